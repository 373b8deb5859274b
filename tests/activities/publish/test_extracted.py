"""What becomes known of a document beside its text."""

from collections.abc import Sequence

from activities.assemble.calls import TextFacts
from activities.publish.extracted import LONGEST_ENTRY, MOST_OUTLINE_ENTRIES, extracted
from muniment.contracts.documents import (
    Chunk,
    DocumentFamily,
    DocumentPlan,
    FindingList,
    HiddenKind,
    OutlineEntry,
)


def plan(**known: object) -> DocumentPlan:
    about = {"media_type": "application/pdf", "family": DocumentFamily.PDF, "page_count": 1}
    return DocumentPlan.model_validate({**about, "pages": (), **known})


def outlined(entries: Sequence[OutlineEntry]) -> object:
    return extracted(plan(outline=tuple(entries)), TextFacts(), [], FindingList(findings=())).get(
        "outline"
    )


def test_all_that_is_known_is_named() -> None:
    known = plan(
        title="The lease",
        authors=("Ann Mill",),
        created="2001-05-03",
        outline=(
            OutlineEntry(title="Rent", level=0, page=2, top=72.5),
            OutlineEntry(title="Elsewhere", level=1),
        ),
    )
    facts = TextFacts(
        language="en",
        hidden_page_count=2,
        hidden_kinds=(HiddenKind.INVISIBLE, HiddenKind.TINY),
    )
    chunks = [Chunk(ordinal=0, text="three words here", token_count=3)]
    findings = FindingList(findings=(), incomplete=("time limit",))
    assert extracted(known, facts, chunks, findings) == {
        "words": 3,
        "title": "The lease",
        "authors": ["Ann Mill"],
        "created": "2001-05-03",
        "language": "en",
        "outline": [
            {"title": "Rent", "level": 0, "page": 2},
            {"title": "Elsewhere", "level": 1},
        ],
        "hidden_text": {"pages": 2, "kinds": ["invisible", "tiny"]},
        "classification_gaps": ["time limit"],
    }


def test_what_is_not_known_is_left_out() -> None:
    assert extracted(plan(), TextFacts(), [], FindingList(findings=())) == {"words": 0}


def test_the_declared_language_outweighs_the_text() -> None:
    known = extracted(
        plan(language="de-AT"), TextFacts(language="en"), [], FindingList(findings=())
    )
    assert known["language"] == "de-AT"


def test_of_a_vast_outline_whole_levels_are_left_out() -> None:
    chapters = MOST_OUTLINE_ENTRIES // 2
    entries = [
        OutlineEntry(title=f"{number}.{level}", level=level, page=number)
        for number in range(chapters)
        for level in range(3)
    ]
    assert outlined(entries) == [
        {"title": f"{number}.{level}", "level": level, "page": number}
        for number in range(chapters)
        for level in range(2)
    ]


def test_an_outline_of_too_many_chapters_is_cut() -> None:
    entries = [
        OutlineEntry(title="x" * 300, level=number % 2, page=1)
        for number in range(3 * MOST_OUTLINE_ENTRIES)
    ]
    first = {"title": "x" * LONGEST_ENTRY, "level": 0, "page": 1}
    assert outlined(entries) == [first] * MOST_OUTLINE_ENTRIES

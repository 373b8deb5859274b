"""What the engine `compare` counts."""

import time
from collections.abc import Sequence

import pytest
from docling_core.types.doc.document import DoclingDocument

from activities.compare.calls import CompareRequest, ReadingFigures, Shared
from activities.compare.engine import compare
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import Page, PageBatch, PageSource
from tests.activities.chunk.documents import paged_document, place, table
from tests.activities.made_documents import in_memory, unheard


def page(number: int, text: str, confidence: float | None = None) -> Page:
    return Page(
        page=number,
        width=612,
        height=792,
        source=PageSource.OCR,
        engine="made",
        confidence=confidence,
        text=text,
    )


def figures(
    present: Sequence[Page],
    candidate: Sequence[Page],
    pages: tuple[int, ...] = (1,),
    documents: tuple[DoclingDocument, DoclingDocument] | None = None,
) -> ReadingFigures:
    """The engine's answer; every page is a batch of its own."""
    parts: list[PageBatch | DoclingDocument] = [
        PageBatch(pages=(each,)) for each in (*present, *candidate)
    ]
    parts += documents or (DoclingDocument(name="a"), DoclingDocument(name="b"))
    content = "\n".join(part.model_dump_json() for part in parts)
    request = CompareRequest(
        pages=pages, present_batches=len(present), candidate_batches=len(candidate)
    )
    return compare(request, EngineContext(in_memory(content.encode()), unheard))


@pytest.mark.parametrize(
    ("present", "candidate", "similarity", "lost", "gained"),
    [
        ("the old deed", "the old deed", 1.0, 0, 0),
        ("the  old\ndeed", "the old deed", 1.0, 0, 0),
        ("the \ufb01rst deed", "the first deed", 1.0, 0, 0),
        ("the old deed", "the new deed", 2 / 3, 1, 1),
        ("one two three four", "three four one two", 0.5, 0, 0),
        ("the the the", "the", 0.5, 2, 0),
        ("the old deed", "", 0.0, 3, 0),
        ("", "", 1.0, 0, 0),
    ],
)
def test_words_are_compared_in_their_order(
    present: str, candidate: str, similarity: float, lost: int, gained: int
) -> None:
    (found,) = figures([page(1, present)], [page(1, candidate)]).pages
    assert found.similarity == pytest.approx(similarity)
    assert (found.words_lost, found.words_gained) == (lost, gained)


def test_only_pages_that_are_asked_for_and_that_both_have_are_compared() -> None:
    present = [page(number, "a b") for number in (1, 2, 3)]
    candidate = [page(number, "a c", 0.8) for number in (2, 3, 4)]
    found = figures(present, candidate, pages=(1, 2, 4)).pages
    assert [each.page for each in found] == [2]
    assert (found[0].present_confidence, found[0].candidate_confidence) == (None, 0.8)


def test_headings_tables_and_cells_are_counted_on_the_pages_compared() -> None:
    candidate = paged_document(4)
    candidate.add_heading("More", prov=place(4, top=90, bottom=80, span=(0, 4)))
    candidate.tables[0].data = table(rows=6, columns=3)
    found = figures([], [], (3, 4), (paged_document(5), candidate)).structure
    assert found.headings == Shared(present=2, candidate=3, shared=2)
    assert found.tables == Shared(present=1, candidate=1, shared=0)
    assert found.cells == Shared(present=24, candidate=18, shared=18)


def test_a_page_of_very_many_words_does_not_take_minutes() -> None:
    words = [f"word{number}" for number in range(300_000)]
    had, has = [page(1, " ".join(words))], [page(1, " ".join([*words[:0:-1], "new"]))]
    began = time.process_time()
    (found,) = figures(had, has).pages
    assert time.process_time() - began < 20
    assert (found.words_lost, found.words_gained) == (1, 1)
    assert found.similarity == pytest.approx(299_999 / 300_000)


def test_the_structure_of_a_page_that_one_of_them_failed_of_is_passed_over() -> None:
    document = paged_document(2)
    words = page(1, "the old deed")
    found = figures([words, page(2, "the new deed")], [words], (1, 2), (document, document))
    assert [each.page for each in found.pages] == [1]
    assert found.structure.headings == Shared(present=1, candidate=1, shared=1)


def test_a_document_without_pages_is_compared_as_its_only_page() -> None:
    document = DoclingDocument(name="sheet")
    document.add_heading("Ledger")
    found = figures([], [], (1,), (document, document)).structure
    assert found.headings == Shared(present=1, candidate=1, shared=1)

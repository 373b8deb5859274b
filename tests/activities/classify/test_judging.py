"""What rules come to: the strictest, and nothing fails open."""

import time
from uuid import uuid4

import pytest
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.chunk.calls import MaskedValue
from activities.chunk.masking import Masker
from activities.classify.judging import judge, reason
from muniment.contracts.documents import Chunk, Finding, FindingKind, FindingList
from muniment.contracts.findings import INCOMPLETE, FindingAct, FindingRule


def rule(act: FindingAct, **about: object) -> FindingRule:
    return FindingRule.model_validate({"policy_id": uuid4(), "act": act, **about})


def finding(entity: str, score: float = 0.9, kind: FindingKind = FindingKind.SECRET) -> Finding:
    return Finding(kind=kind, entity=entity, page=1, start=0, end=4, score=score, recogniser="r")


FOUND = FindingList(findings=(finding("A"), finding("A"), finding("B", 0.4)))


@pytest.mark.parametrize(
    ("rules", "act"),
    [
        ([], FindingAct.RECORD),
        ([rule(FindingAct.RECORD)], FindingAct.RECORD),
        ([rule(FindingAct.MASK, entity="A"), rule(FindingAct.REVIEW, entity="C")], FindingAct.MASK),
        ([rule(FindingAct.MASK), rule(FindingAct.REVIEW, entity="B")], FindingAct.REVIEW),
        ([rule(FindingAct.REFUSE, kind="secret"), rule(FindingAct.MASK)], FindingAct.REFUSE),
        ([rule(FindingAct.REFUSE, kind="personal_data")], FindingAct.RECORD),
        ([rule(FindingAct.REFUSE, entity="B", minimum_score=0.5)], FindingAct.RECORD),
        ([rule(FindingAct.REFUSE, entity="B", minimum_score=0.4)], FindingAct.REFUSE),
    ],
)
def test_the_strictest_rule_that_concerns_a_finding_holds(
    rules: list[FindingRule], act: FindingAct
) -> None:
    assert judge(FOUND, rules).act is act


def test_a_reason_names_types_and_counts() -> None:
    judged = judge(FOUND, [rule(FindingAct.REVIEW), rule(FindingAct.MASK)])
    assert "A (2), B (1)" in reason(judged)
    assert judged.masks(FOUND.findings[0])
    assert judged.act_on(FOUND.findings[0]) is FindingAct.REVIEW


def test_what_was_not_examined_is_looked_at_by_a_person_where_policies_do_anything() -> None:
    unseen = FindingList(findings=(), incomplete=("time limit: pages 3–7 were not examined",))
    assert judge(unseen, [rule(FindingAct.RECORD)]).act is FindingAct.RECORD
    judged = judge(unseen, [rule(FindingAct.MASK, entity="A")])
    assert judged.act is FindingAct.REVIEW
    assert [cause.entity for cause in judged.causes] == [INCOMPLETE]
    assert "parts that were not examined" in reason(judged)


def test_a_value_is_masked_however_its_white_space_is_and_the_longest_first() -> None:
    masker = Masker(
        [
            MaskedValue(value="4111 1111\n1111 1111", token="[CARD]"),
            MaskedValue(value="ana@example.org", token="[SHORT]"),
            MaskedValue(value="li.ana@example.org", token="[LONG]"),
            MaskedValue(value=" ", token="[NOTHING]"),
        ]
    )
    text = "  4111\u00a01111 1111   1111, li.ana@exam\nple.org; ana@example.org"
    assert masker.masked(text) == "  [CARD], [LONG]; [SHORT]"
    chunk = Chunk(ordinal=0, text="x", token_count=1, headings=("To ana@example.org",))
    assert masker.masked_chunks([chunk])[0].headings == ("To [SHORT]",)
    assert Masker([]).masked_chunks([chunk])[0] is chunk


KEY = "-----BEGIN KEY-----\nMIIEow\nAbCdEf\n-----END KEY-----"


def test_a_value_that_several_items_hold_is_masked_in_all_of_them() -> None:
    document = DoclingDocument(name="key")
    for line in KEY.splitlines():
        document.add_text(label=DocItemLabel.TEXT, text=line)
    document.add_text(label=DocItemLabel.TEXT, text="Write to ana.li@exam-")
    document.add_text(label=DocItemLabel.TEXT, text="ple.org, or to ANA.LI@EXAMPLE.ORG.")
    masks = [
        MaskedValue(value=KEY, token="[KEY]"),
        MaskedValue(value="ana.li@exam-\nple.org", token="[EMAIL]"),
    ]
    Masker(masks).mask_document(document)
    assert [item.text for item in document.texts] == [
        "-----[KEY]-----",
        "[KEY]",
        "[KEY]",
        "-----[KEY]-----",
        "Write to [EMAIL]-",
        "[EMAIL], or to [EMAIL].",
    ]


def test_what_is_left_of_a_value_is_counted_and_a_token_is_no_bridge() -> None:
    masker = Masker([MaskedValue(value="4111 1111 1111 1111", token="[CARD]")])

    def count(*texts: str) -> int:
        chunks = [Chunk(ordinal=n, text=text, token_count=1) for n, text in enumerate(texts)]
        return masker.unmasked_count(chunks)

    assert count("The card [CARD] is hers.") == 0
    assert count("4111/1111/1111/1111") == 1
    assert count("4111.1111", "1111.1111") == 1
    assert count("41111111 [CARD] 11111111") == 0
    assert Masker([MaskedValue(value="-- \u200b--", token="[DASHES]")]).unmasked_count([]) == 1


def test_values_that_overlap_leave_nothing_of_either() -> None:
    values = [
        MaskedValue(value="alpha-12345", token="[A]"),
        MaskedValue(value="12345-SECRETTAIL", token="[B]"),
        MaskedValue(value="SECRET", token="[C]"),
    ]
    assert Masker(values).masked("x alpha-12345-SECRETTAIL, SECRET y") == "x [A][B], [C] y"


def test_many_values_are_masked_in_time_that_grows_with_the_text() -> None:
    values = [MaskedValue(value=f"{n}@example.org", token=f"[{n}]") for n in range(10_000)]
    started = time.process_time()
    masked = Masker(values).masked("lorem ipsum dolor 77@example.org " * 6_000)
    assert time.process_time() - started < 10
    assert masked == "lorem ipsum dolor [77] " * 6_000

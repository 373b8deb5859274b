"""Questions that go on from former ones, and those that stand by themselves: the cases that the rule is
measured by."""

import pytest

from retrieval.follow_ups import MOST_CARRIED, in_context

LEASE = "When does the lease of Oak Street end?"
PARIS = "Wann wurde die Brücke über die Elbe gebaut?"

GO_ON = [
    ([LEASE], "Who signed it?", "Who signed it? (lease Oak Street end)"),
    ([LEASE], "And the rent?", "And the rent? (lease Oak Street end)"),
    ([LEASE], "Why?", "Why? (lease Oak Street end)"),
    ([LEASE], "What is its notice period?", "What is its notice period? (lease Oak Street end)"),
    ([LEASE], "what about Elm Street?", "what about Elm Street? (lease Oak end)"),
    ([LEASE], "Who signed?", "Who signed? (lease Oak Street end)"),
    ([LEASE, "Who signed it?"], "And when?", "And when? (signed lease Oak Street end)"),
    ([PARIS], "Wer hat sie bezahlt?", "Wer hat sie bezahlt? (Brücke Elbe gebaut)"),
    ([PARIS], "Und seit wann ist sie gesperrt?", "Und seit wann ist sie gesperrt? (Brücke Elbe gebaut)"),
    (["Qui a signé le bail de Lyon ?"], "Et pourquoi ?", "Et pourquoi ? (signé bail Lyon)"),
    (["¿Quién firmó el contrato?"], "¿Y cuándo?", "¿Y cuándo? (firmó contrato)"),
]  # fmt: skip
STAND_ALONE = [
    "What does the insurance of the warehouse cover?",
    "What is GDPR?",
    "Who is Ada Lovelace?",
    "Is there a fire door in the north wing?",
    "Welche Fristen gibt es im Vertrag mit der Stadt Köln?",
    "Which invoices that mention steel were paid in March?",
    "Was the audit of 2024 finished?",
]


@pytest.mark.parametrize(("former", "question", "asked"), GO_ON)
def test_a_question_that_goes_on_is_put_in_its_context(
    former: list[str], question: str, asked: str
) -> None:
    assert in_context(question, former) == asked


@pytest.mark.parametrize("question", STAND_ALONE)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert in_context(question, [LEASE, PARIS]) is None
    assert in_context(question, []) is None


def test_nothing_is_carried_without_bound_or_from_nothing() -> None:
    long = "Which of " + " ".join(f"word{number}" for number in range(500)) + "?"
    asked = in_context("Why?", [long])
    assert asked is not None
    assert len(asked.split()) == 1 + MOST_CARRIED
    assert in_context("Why?", []) is None
    assert in_context("why", ["?!", " "]) is None
    assert in_context("它们呢", ["橋は誰が建てたか"]) != ""

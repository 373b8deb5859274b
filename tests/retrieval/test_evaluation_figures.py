"""The figures of an evaluation: of rankings, of answers, and of whole runs."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.answer_metrics import exact_match, token_f1
from retrieval.evaluation_summary import compare, percentile, summarise
from retrieval.language_models.judge import average_precision
from retrieval.question_evaluation import document_of
from retrieval.ranking_metrics import ndcg, recall, reciprocal_rank

DOCUMENTS = [f"d{number}" for number in range(12)]
RANKINGS = st.permutations(DOCUMENTS).flatmap(
    lambda order: st.integers(0, len(order)).map(lambda length: order[:length])
)
GRADES = st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from([1.0, 2.0, 4.0]))


def ndcg_by_arrays(ranking: Sequence[str], judgements: dict[str, float]) -> float:
    """The formula once more, over whole arrays (Järvelin and Kekäläinen 2002)."""
    discounts = 1 / np.log2(np.arange(2, 12))
    gains, best = np.zeros(10), np.zeros(10)
    given_ = np.array([judgements.get(each, 0.0) for each in ranking[:10]])
    known = np.sort(np.array(list(judgements.values())))[::-1][:10]
    gains[: len(given_)], best[: len(known)] = given_, known
    return float(gains @ discounts / (best @ discounts)) if known.size else 0.0


@given(RANKINGS, GRADES)
def test_rankings_are_measured_as_by_other_ways_to_count(
    ranking: list[str], judgements: dict[str, float]
) -> None:
    assert ndcg(ranking, judgements) == pytest.approx(ndcg_by_arrays(ranking, judgements))
    hits = np.flatnonzero(np.isin(ranking[:10], list(judgements)))
    assert reciprocal_rank(ranking, judgements) == (1 / (hits[0] + 1) if hits.size else 0.0)
    assert recall(ranking, judgements, 10) == (hits.size / len(judgements) if judgements else 0.0)


@pytest.mark.parametrize(
    ("answer", "right", "exact", "shared"),
    [
        ("The Normans.", ["Normans"], 1.0, 1.0),
        ("in the 10th and 11th centuries", ["10th century"], 0.0, 2 / 7),
        ("Rollo came from Denmark", ["Rollo", "Denmark, Rollo came"], 0.0, 2 * 3 / 7),
        ("", ["Rollo"], 0.0, 0.0),
        ("a the", ["an"], 1.0, 1.0),
        ("Rollo", [], 0.0, 0.0),
    ],
)
def test_answers_are_measured_as_squad_does(
    answer: str, right: list[str], exact: float, shared: float
) -> None:
    assert exact_match(answer, right) == exact
    assert token_f1(answer, right) == pytest.approx(shared)


def test_average_precision_counts_where_the_useful_ones_stand() -> None:
    assert average_precision([1, 2, 3], {1, 3}) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 2, 3], {9}) == 0.0
    assert average_precision([], {1}) == 0.0


def test_a_file_is_known_by_its_name_with_and_without_its_ending() -> None:
    assert document_of("17.txt", {"17": 1.0}) == "17"
    assert document_of("17.txt", {"17.txt": 1.0, "17": 1.0}) == "17.txt"
    assert document_of("report.v2.pdf", {"other": 1.0}) == "report.v2.pdf"


def test_a_run_is_summed_up() -> None:
    summary = summarise(
        [{"ndcg@10": 1.0, "search_ms": 10.0, "tokens": 7.0}]
        + [{"ndcg@10": 0.0, "search_ms": 20.0, "tokens": 0.0, "token_f1": 0.5}] * 3
    )
    assert summary == {
        "ndcg@10": 0.25,
        "search_ms_p50": 20.0,
        "search_ms_p95": 20.0,
        "token_f1": 0.5,
        "tokens": 7.0,
    }
    assert summarise([]) == {}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([50, 95]))
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: int) -> None:
    assert percentile(values, percent) == np.percentile(values, percent, method="inverted_cdf")


def test_what_fell_is_worse_and_what_nobody_measured_before_is_not() -> None:
    before = {"ndcg@10": 0.7, "unanswered": 0.1, "search_ms_p95": 100.0, "tokens": 100.0}
    now = {"ndcg@10": 0.6, "unanswered": 0.2, "search_ms_p95": 151.0, "tokens": 150.0, "new": 0.1}
    changes = compare(now, before, tolerance=0.05)
    assert {name for name, change in changes.items() if change.is_worse} == {
        "ndcg@10",
        "unanswered",
        "search_ms_p95",
    }
    assert changes["ndcg@10"].difference == pytest.approx(-0.1)
    assert changes["new"].difference is None
    assert not any(each.is_worse for each in compare(before, before, tolerance=0.0).values())

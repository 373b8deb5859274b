"""The arithmetic of fusion."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import RRF_K, fuse, ranks, scaled_to_unit
from retrieval.lexical import DEPTH
from retrieval.query_types import Weighing
from retrieval.request import FusionMethod

A, B, C = (UUID(int=number) for number in (1, 2, 3))
SCORES = st.dictionaries(st.uuids(), st.floats(-1e6, 1e6), max_size=20)
BM25 = st.dictionaries(st.uuids(), st.floats(0, 1e6), max_size=20)


def test_minmax_adds_the_weighted_scaled_scores() -> None:
    fused = fuse({A: 10.0, B: 5.0, C: 0.0}, {B: 0.9, C: 0.5}, Weighing(FusionMethod.MINMAX, 0.25))
    assert list(fused) == [A, B, C]
    assert [each.score for each in fused.values()] == pytest.approx([0.75, 0.75 * 0.5 + 0.25, 0.0])


def test_reciprocal_ranks_add_up() -> None:
    fused = fuse({A: 10.0, B: 5.0}, {B: 0.9, C: 0.5}, Weighing(FusionMethod.RRF, 0.5))
    assert list(fused) == [B, A, C]
    assert fused[B].score == pytest.approx(0.5 / (RRF_K + 2) + 0.5 / (RRF_K + 1))


def test_the_last_of_few_words_hits_is_above_what_has_none_of_the_words() -> None:
    fused = fuse({A: 9.0, B: 6.0}, {C: 0.8, A: 0.4}, Weighing(FusionMethod.MINMAX, 0.5))
    assert [each.score for each in fused.values()] == pytest.approx([0.5, 0.5, 1 / 3])


@pytest.mark.parametrize("method", FusionMethod)
def test_what_has_no_weight_is_in_its_order_all_the_same(method: FusionMethod) -> None:
    nearest = {C: 0.9, A: 0.5, B: 0.1}
    assert list(fuse({}, nearest, Weighing(method, 0.0))) == [C, A, B]
    assert list(fuse({B: 4.0}, nearest, Weighing(method, 0.0))) == [B, C, A]
    assert list(fuse({A: 2.0, B: 4.0}, {C: 0.9}, Weighing(method, 1.0))) == [C, B, A]


def test_the_last_of_a_list_that_was_cut_is_as_what_was_cut_off() -> None:
    long = {UUID(int=number): 500.0 - number for number in range(DEPTH)}
    fused = fuse(long, {}, Weighing(FusionMethod.MINMAX, 0.0))
    assert list(fused) == list(long)
    assert fused[UUID(int=DEPTH - 1)].lexical == 0.0


def test_scores_that_do_not_differ_all_count_fully() -> None:
    assert scaled_to_unit({A: 3.0, B: 3.0}) == {A: 1.0, B: 1.0}
    assert scaled_to_unit({}) == {}


def test_equal_scores_are_ranked_by_id() -> None:
    assert ranks({B: 1.0, A: 1.0, C: 2.0}) == {C: 1, A: 2, B: 3}


@given(BM25, SCORES, st.sampled_from(FusionMethod), st.floats(0, 1))
def test_fusion_ranks_every_passage_once_and_best_first(
    lexical: dict[UUID, float], vector: dict[UUID, float], method: FusionMethod, alpha: float
) -> None:
    fused = fuse(lexical, vector, Weighing(method, alpha))
    scores = [each.score for each in fused.values()]
    assert fused.keys() == lexical.keys() | vector.keys()
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 + 1e-9 for score in scores)


@given(BM25, st.sampled_from(FusionMethod))
def test_all_weight_on_one_list_keeps_its_order(
    lexical: dict[UUID, float], method: FusionMethod
) -> None:
    fused = fuse(lexical, {}, Weighing(method, 0.0))
    given_order = [lexical[key] for key in fused]
    if method is FusionMethod.RRF:
        assert given_order == sorted(lexical.values(), reverse=True)
    assert not fused or given_order[0] == pytest.approx(max(lexical.values()), rel=1e-6, abs=1e-6)

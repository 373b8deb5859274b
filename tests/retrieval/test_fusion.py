"""The arithmetic of fusion."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import RRF_K, fuse, ranks, scaled_to_unit
from retrieval.request import Fusion, FusionMethod

A, B, C = (UUID(int=number) for number in (1, 2, 3))
SCORES = st.dictionaries(st.uuids(), st.floats(-1e6, 1e6), max_size=20)


def test_minmax_adds_the_weighted_scaled_scores() -> None:
    fused = fuse({A: 10.0, B: 5.0, C: 0.0}, {B: 0.9, C: 0.5}, Fusion(alpha=0.25))
    assert list(fused) == [A, B, C]
    assert [each.score for each in fused.values()] == pytest.approx([0.75, 0.75 * 0.5 + 0.25, 0.0])


def test_reciprocal_ranks_add_up() -> None:
    fused = fuse({A: 10.0, B: 5.0}, {B: 0.9, C: 0.5}, Fusion(method=FusionMethod.RRF, alpha=0.5))
    assert list(fused) == [B, A, C]
    assert fused[B].score == pytest.approx(0.5 / (RRF_K + 2) + 0.5 / (RRF_K + 1))


def test_scores_that_do_not_differ_all_count_fully() -> None:
    assert scaled_to_unit({A: 3.0, B: 3.0}) == {A: 1.0, B: 1.0}
    assert scaled_to_unit({}) == {}


def test_equal_scores_are_ranked_by_id() -> None:
    assert ranks({B: 1.0, A: 1.0, C: 2.0}) == {C: 1, A: 2, B: 3}


@given(SCORES, SCORES, st.sampled_from(FusionMethod), st.floats(0, 1))
def test_fusion_ranks_every_passage_once_and_best_first(
    lexical: dict[UUID, float], vector: dict[UUID, float], method: FusionMethod, alpha: float
) -> None:
    fused = fuse(lexical, vector, Fusion(method=method, alpha=alpha))
    scores = [each.score for each in fused.values()]
    assert fused.keys() == lexical.keys() | vector.keys()
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 + 1e-9 for score in scores)


@given(SCORES, st.sampled_from(FusionMethod))
def test_all_weight_on_one_list_keeps_its_order(
    lexical: dict[UUID, float], method: FusionMethod
) -> None:
    fused = fuse(lexical, {}, Fusion(method=method, alpha=0.0))
    given_order = [lexical[key] for key in fused]
    if method is FusionMethod.RRF:
        assert given_order == sorted(lexical.values(), reverse=True)
    assert not fused or given_order[0] == pytest.approx(max(lexical.values()), rel=1e-6, abs=1e-6)

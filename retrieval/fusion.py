"""Two ranked lists become one: pure functions, scores in, scores out."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from retrieval.request import Fusion, FusionMethod

RRF_K = 60
"""Cormack, Clarke and Büttcher 2009; what facts of our own and published figures were taken with."""

Scores = Mapping[UUID, float]


@dataclass(frozen=True)
class Fused:
    """What the two lists gave; a passage that one of them lacks gets 0 from it."""

    lexical: float
    vector: float

    @property
    def score(self) -> float:
        return self.lexical + self.vector


def fuse(lexical: Scores, vector: Scores, fusion: Fusion) -> dict[UUID, Fused]:
    """Every passage of either list, best first; equal scores in the order of their ids."""
    scale = scaled_to_unit if fusion.method is FusionMethod.MINMAX else reciprocal_ranks
    by_words, by_vector = scale(lexical), scale(vector)
    fused = {
        key: Fused(
            lexical=(1.0 - fusion.alpha) * by_words.get(key, 0.0),
            vector=fusion.alpha * by_vector.get(key, 0.0),
        )
        for key in by_words.keys() | by_vector.keys()
    }
    return dict(sorted(fused.items(), key=lambda item: (-item[1].score, item[0])))


def scaled_to_unit(scores: Scores) -> dict[UUID, float]:
    """The best becomes 1 and the last 0; all 1 when they do not differ."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high == low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def reciprocal_ranks(scores: Scores) -> dict[UUID, float]:
    """1 / (k + rank), ranks from 1."""
    return {key: 1.0 / (RRF_K + rank) for key, rank in ranks(scores).items()}


def ranks(scores: Scores) -> dict[UUID, int]:
    """Ranks from 1, best first; equal scores in the order of their ids."""
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: rank for rank, key in enumerate(order, start=1)}

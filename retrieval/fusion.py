"""Two ranked lists become one: pure functions, scores in, scores out."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from retrieval.lexical import DEPTH
from retrieval.query_types import Weighing
from retrieval.request import FusionMethod

RRF_K = 60
"""Cormack, Clarke and Büttcher 2009; what facts of our own and published figures were taken with."""

Scores = Mapping[UUID, float]


@dataclass(frozen=True)
class Fused:
    """What the two lists gave: BM25 and cosine, or their ranks. A passage that one of them lacks gets 0
    from it."""

    lexical: float
    vector: float

    @property
    def score(self) -> float:
        return self.lexical + self.vector


def fuse(lexical: Scores, vector: Scores, weighing: Weighing) -> dict[UUID, Fused]:
    """Every passage of either list, best first; equal scores by meaning, then in the order of their ids: so
    that what a list found that has no weight is in its order, too."""
    if weighing.method is FusionMethod.RRF:
        by_words, by_vector = reciprocal_ranks(lexical), reciprocal_ranks(vector)
    else:
        # What has none of the words has a score as well: 0. It is the least one, unless the list was cut.
        is_cut = len(lexical) >= DEPTH
        by_words = scaled_to_unit(lexical, least=None if is_cut else 0.0)
        by_vector = scaled_to_unit(vector)
    fused = {
        key: Fused(
            lexical=(1.0 - weighing.alpha) * by_words.get(key, 0.0),
            vector=weighing.alpha * by_vector.get(key, 0.0),
        )
        for key in by_words.keys() | by_vector.keys()
    }
    order = sorted(
        fused,
        key=lambda key: (-fused[key].score, -by_vector.get(key, 0.0), -by_words.get(key, 0.0), key),
    )
    return {key: fused[key] for key in order}


def scaled_to_unit(scores: Scores, least: float | None = None) -> dict[UUID, float]:
    """The best becomes 1, and `least` 0: the last one's score, unless it is given. All 1 when there is
    nothing between them."""
    if not scores:
        return {}
    low = min(scores.values()) if least is None else least
    high = max(scores.values())
    if high <= low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def reciprocal_ranks(scores: Scores) -> dict[UUID, float]:
    """1 / (k + rank), ranks from 1."""
    return {key: 1.0 / (RRF_K + rank) for key, rank in ranks(scores).items()}


def ranks(scores: Scores) -> dict[UUID, int]:
    """Ranks from 1, best first; equal scores in the order of their ids."""
    order = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: rank for rank, key in enumerate(order, start=1)}

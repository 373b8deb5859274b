"""How good an order of documents is, by what was judged of them; as trec_eval counts."""

import math
from collections.abc import Mapping, Sequence

CUTOFF = 10

Judgements = Mapping[str, float]
"""By document its grade, above 0."""


def ndcg(ranking: Sequence[str], judgements: Judgements, cutoff: int = CUTOFF) -> float:
    """Normalised discounted cumulative gain with linear gains."""
    best = sorted(judgements.values(), reverse=True)[:cutoff]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, start=1))
    gained = sum(
        judgements.get(document, 0.0) / math.log2(rank + 1)
        for rank, document in enumerate(ranking[:cutoff], start=1)
    )
    return gained / ideal if ideal else 0.0


def recall(ranking: Sequence[str], judgements: Judgements, cutoff: int = 100) -> float:
    """The share of the judged documents among the first `cutoff`."""
    return len(judgements.keys() & set(ranking[:cutoff])) / len(judgements) if judgements else 0.0


def reciprocal_rank(ranking: Sequence[str], judgements: Judgements, cutoff: int = CUTOFF) -> float:
    """Of the first judged document, 0 where none is among the first `cutoff`."""
    for rank, document in enumerate(ranking[:cutoff], start=1):
        if document in judgements:
            return 1 / rank
    return 0.0

"""A whole run in figures, and whether it is worse than the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from pydantic import JsonValue

_MILLISECONDS = "_ms"
_TOKENS = "tokens"
_BETTER_WHEN_SMALLER = frozenset(("degraded", "failed", "unanswered"))
GROWTH = 0.5
"""Times and tokens are worse where they grew by more than half: machines are not equally busy every night."""


@dataclass(frozen=True)
class Change:
    """Of a figure since the run before; `before` is None where that had none."""

    value: float
    before: float | None
    is_worse: bool

    @property
    def difference(self) -> float | None:
        return None if self.before is None else self.value - self.before


def summarise(questions: Sequence[Mapping[str, JsonValue]]) -> dict[str, float]:
    """Of figures by question: p50 and p95 of times, the sum of tokens, the mean of what remains over the
    questions that have it."""
    by_name: dict[str, list[float]] = {}
    for figures in questions:
        for name, value in figures.items():
            if isinstance(value, int | float):
                by_name.setdefault(name, []).append(float(value))
    summary: dict[str, float] = {}
    for name, values in sorted(by_name.items()):
        if name.endswith(_MILLISECONDS):
            summary[f"{name}_p50"] = percentile(values, 50)
            summary[f"{name}_p95"] = percentile(values, 95)
        else:
            summary[name] = sum(values) if name == _TOKENS else mean(values)
    return summary


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(rank, 1) - 1]


def compare(
    metrics: Mapping[str, float], before: Mapping[str, float], tolerance: float
) -> dict[str, Change]:
    """By name. A share is worse where it fell, or rose where less is better, by more than `tolerance`."""
    return {
        name: Change(value, before.get(name), _is_worse(name, value, before.get(name), tolerance))
        for name, value in metrics.items()
    }


def _is_worse(name: str, value: float, before: float | None, tolerance: float) -> bool:
    if before is None:
        return False
    if name == _TOKENS or f"{_MILLISECONDS}_p" in name:
        return value > before * (1 + GROWTH)
    if name in _BETTER_WHEN_SMALLER:
        return value - before > tolerance
    return before - value > tolerance

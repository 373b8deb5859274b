"""How near a text comes to its truth. Every score is from 0 to 1."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Indel, Levenshtein


def word_similarity(ours: Sequence[str], truth: Sequence[str]) -> float:
    """Twice the longest common subsequence of words over all words of both; 1 when none has any."""
    return float(Indel.normalized_similarity(ours, truth))


def character_error(ours: str, truth: str) -> float:
    """Edits that turn ours into the truth, over the truth's length; at most 1."""
    if not truth:
        return float(bool(ours))
    return min(1.0, float(Levenshtein.distance(ours, truth)) / len(truth))


def word_error(ours: Iterable[str], truth: Iterable[str]) -> float:
    """1 − the share of the truth's words, as a multiset, that ours has too: in any order."""
    wanted = Counter(truth)
    total = wanted.total()
    return 1.0 - (wanted & Counter(ours)).total() / total if total else 0.0


def f1(ours: Iterable[str], truth: Iterable[str]) -> float | None:
    """Of two multisets; None when the truth is empty, where nothing can be found."""
    wanted, found = Counter(truth), Counter(ours)
    if not wanted:
        return None
    return 2 * (wanted & found).total() / (wanted.total() + found.total())


def contains(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the phrase's words stand among the words, one after another, in any spacing."""
    return bool(phrase) and "".join(phrase) in "".join(words)

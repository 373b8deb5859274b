"""BM25 with Lucene's idf and without the constant factor k1 + 1 (Kamphuis et al. 2020, "Which BM25 do you
mean?"), over arrays of postings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from db.queries.lexical import Corpus, DocumentRanges, Numbers, TermPostings

SPARSE = 32
"""Where the numbers of postings lie that far apart, the sums are kept for those that occur instead of
for all in between."""


@dataclass(frozen=True)
class Bm25:
    """`k1`: how soon a term that is repeated counts no more. `b`: how much the length of a passage counts,
    from 0 to 1."""

    k1: float = 1.2
    b: float = 0.75


@dataclass(frozen=True)
class Scored:
    """Passages by number, those of the greatest score first."""

    numbers: Numbers
    scores: npt.NDArray[np.float64]


class _Places:
    """Where each number of some postings has its place in an array."""

    def __init__(self, terms: Sequence[TermPostings]) -> None:
        joined = np.concatenate([term.numbers for term in terms])
        first, last = int(joined.min()), int(joined.max())
        self.numbers: Numbers
        if last - first < SPARSE * len(joined):
            self.numbers = np.arange(first, last + 1)
            self._places = [term.numbers - first for term in terms]
        else:
            self.numbers, places = np.unique(joined, return_inverse=True)
            ends = np.cumsum([len(term.numbers) for term in terms])[:-1]
            self._places = np.split(places, ends)

    def of_term(self, index: int) -> Numbers:
        return self._places[index]

    def inside(self, first: Numbers, passages: Numbers) -> npt.NDArray[np.bool_]:
        """Which places have numbers of these ranges, none of which overlaps another."""
        changes = np.zeros(len(self.numbers) + 1, np.int32)
        np.add.at(changes, np.searchsorted(self.numbers, first), 1)
        np.add.at(changes, np.searchsorted(self.numbers, first + passages), -1)
        inside: npt.NDArray[np.bool_] = np.cumsum(changes)[:-1] > 0
        return inside


def best_passages(
    terms: Sequence[TermPostings],
    corpus: Corpus,
    parameters: Bm25,
    most: int,
    ranges: DocumentRanges | None = None,
) -> Scored:
    """The `most` best passages; with `ranges` those of the wanted documents alone. Whose caller does not
    see all counts nothing but what `ranges` holds. Equal scores are in the order of the numbers."""
    if not terms:
        return Scored(np.empty(0, np.int64), np.empty(0))
    places = _Places(terms)
    corpus, visible = _in_sight(places, corpus, ranges)
    scores = np.zeros(len(places.numbers))
    for index, term in enumerate(terms):
        where = places.of_term(index)
        weight = term.occurrences * _idf(where, visible, corpus.passages)
        # Each passage stands once among a term's postings.
        scores[where] += weight * _saturation(term, corpus, parameters)
    if ranges is not None:
        scores[~places.inside(ranges.first[ranges.wanted], ranges.passages[ranges.wanted])] = 0
    return _best(places.numbers, scores, most)


def idf_of_terms(
    terms: Sequence[TermPostings], corpus: Corpus, ranges: DocumentRanges | None = None
) -> dict[str, float]:
    """The inverse document frequency of each term, in what the caller sees."""
    if not terms:
        return {}
    places = _Places(terms)
    corpus, visible = _in_sight(places, corpus, ranges)
    return {
        term.term: _idf(places.of_term(index), visible, corpus.passages)
        for index, term in enumerate(terms)
    }


def _in_sight(
    places: _Places, corpus: Corpus, ranges: DocumentRanges | None
) -> tuple[Corpus, npt.NDArray[np.bool_] | None]:
    """What there is for the caller, and which places are; none where all are."""
    if corpus.sees_all or ranges is None:
        return corpus, None
    passages, terms = int(ranges.passages.sum()), int(ranges.terms.sum())
    in_sight = replace(corpus, passages=passages, terms=terms)
    return in_sight, places.inside(ranges.first, ranges.passages)


def _idf(where: Numbers, visible: npt.NDArray[np.bool_] | None, passages: int) -> float:
    frequency = len(where) if visible is None else int(np.count_nonzero(visible[where]))
    return inverse_document_frequency(frequency, passages)


def inverse_document_frequency(frequency: int, passages: int) -> float:
    """Passages that were deleted count until their postings are rewritten, so that a term may stand in more
    of them than there are."""
    absent = max(passages - frequency, 0)
    return math.log(1 + (absent + 0.5) / (frequency + 0.5))


def _saturation(term: TermPostings, corpus: Corpus, parameters: Bm25) -> npt.NDArray[np.float32]:
    """Between 0 and 1 for each passage."""
    mean_length = max(corpus.terms / max(corpus.passages, 1), 1)
    k1, b = np.float32(parameters.k1), np.float32(parameters.b)
    saturation = term.lengths * np.float32(k1 * b / mean_length)
    saturation += k1 * (1 - b)
    frequencies = term.frequencies.astype(np.float32)
    saturation += frequencies
    return np.divide(frequencies, saturation, out=saturation)


def _best(numbers: Numbers, scores: npt.NDArray[np.float64], most: int) -> Scored:
    found = np.flatnonzero(scores > 0)
    if len(found) > most:
        threshold = np.partition(scores[found], len(found) - most)[len(found) - most]
        found = found[scores[found] >= threshold]
    # A stable sort by numbers that are sorted already.
    order = found[np.argsort(-scores[found], kind="stable")][:most]
    return Scored(numbers[order], scores[order])

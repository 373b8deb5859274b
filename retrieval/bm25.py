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


FREQUENT = 20_000
"""A term of fewer passages is scored sooner than it is found out whether that is needed."""

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Bm25:
    """`k1`: how soon a term that is repeated counts no more. `b`: how much the length of a passage counts,
    from 0 to 1."""

    k1: float = 1.2
    b: float = 0.75


DEFAULT_BM25 = Bm25()


@dataclass(frozen=True)
class Scored:
    """Passages by number, those of the greatest score first."""

    numbers: Numbers
    scores: Scores


class _Places:
    """Where each number of some postings has its place in an array."""

    def __init__(self, terms: Sequence[TermPostings]) -> None:
        self._first = min(int(term.numbers[0]) for term in terms)
        last = max(int(term.numbers[-1]) for term in terms)
        self._numbers: Numbers | None = None
        self.amount = last - self._first + 1
        if self.amount < SPARSE * sum(len(term.numbers) for term in terms):
            self._places = [term.numbers - self._first for term in terms]
            return
        joined = np.concatenate([term.numbers for term in terms])
        self._numbers, places = np.unique(joined, return_inverse=True)
        self.amount = len(self._numbers)
        ends = np.cumsum([len(term.numbers) for term in terms])[:-1]
        self._places = np.split(places, ends)

    def of_term(self, index: int) -> Numbers:
        """In their order."""
        return self._places[index]

    def numbers_at(self, places: Numbers) -> Numbers:
        return places + self._first if self._numbers is None else self._numbers[places]

    def inside(self, first: Numbers, passages: Numbers) -> npt.NDArray[np.bool_]:
        """Which places have numbers of these ranges, none of which overlaps another."""
        changes = np.zeros(self.amount + 1, np.int32)
        np.add.at(changes, self._place_from(first), 1)
        np.add.at(changes, self._place_from(first + passages), -1)
        inside: npt.NDArray[np.bool_] = np.cumsum(changes)[:-1] > 0
        return inside

    def _place_from(self, numbers: Numbers) -> Numbers:
        """Of each number, or of the next one that has a place."""
        if self._numbers is None:
            return np.clip(numbers - self._first, 0, self.amount)
        return np.searchsorted(self._numbers, numbers)


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
        return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    places = _Places(terms)
    corpus, visible = _in_sight(places, corpus, ranges)
    weights = [
        term.occurrences * _idf(places.of_term(index), visible, corpus.passages)
        for index, term in enumerate(terms)
    ]
    if ranges is None:
        return _best(places, _pruned(places, terms, weights, corpus, parameters, most), most)
    scores = np.zeros(places.amount, np.float32)
    for index, term in enumerate(terms):
        # Each passage stands once among a term's postings.
        scores[places.of_term(index)] += _parts(term, weights[index], corpus, parameters)
    scores[~places.inside(ranges.first[ranges.wanted], ranges.passages[ranges.wanted])] = 0
    return _best(places, scores, most)


def _pruned(
    places: _Places,
    terms: Sequence[TermPostings],
    weights: Sequence[float],
    corpus: Corpus,
    parameters: Bm25,
    most: int,
) -> Scores:
    """Scores that are right for the `most` best passages. A frequent term adds less than its weight: where
    those that are left could bring no passage among the best by themselves (MaxScore; Turtle and Flood
    1995), they are looked up for the passages that have a rarer one."""
    scores = np.zeros(places.amount, np.float32)
    order = sorted(range(len(terms)), key=lambda index: len(terms[index].numbers))
    for done, index in enumerate(order):
        if len(terms[index].numbers) >= FREQUENT:
            rest = order[done:]
            found = np.flatnonzero(scores)
            reachable = sum(weights[each] for each in rest)
            if len(found) >= most and np.partition(scores[found], -most)[-most] > reachable:
                _add_to(
                    scores,
                    found,
                    [(places.of_term(each), terms[each], weights[each]) for each in rest],
                    corpus,
                    parameters,
                )
                return scores
        scores[places.of_term(index)] += _parts(terms[index], weights[index], corpus, parameters)
    return scores


def _add_to(
    scores: Scores,
    found: Numbers,
    rest: Sequence[tuple[Numbers, TermPostings, float]],
    corpus: Corpus,
    parameters: Bm25,
) -> None:
    for where, term, weight in rest:
        at = np.searchsorted(where, found)
        at[at == len(where)] = 0
        is_there = where[at] == found
        at = at[is_there]
        part = replace(term, frequencies=term.frequencies[at], lengths=term.lengths[at])
        scores[found[is_there]] += _parts(part, weight, corpus, parameters)


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


def _parts(term: TermPostings, weight: float, corpus: Corpus, parameters: Bm25) -> Scores:
    """What the term adds to the score of each of its passages: more than nothing, less than its weight."""
    mean_length = max(corpus.terms / max(corpus.passages, 1), 1)
    k1, b = parameters.k1, parameters.b
    saturation = term.lengths * np.float32(k1 * b / mean_length)
    saturation += np.float32(k1 * (1 - b))
    frequencies = term.frequencies.astype(np.float32)
    saturation += frequencies
    np.divide(frequencies, saturation, out=saturation)
    saturation *= np.float32(weight)
    return saturation


def _best(places: _Places, scores: Scores, most: int) -> Scored:
    found = np.flatnonzero(scores)
    if len(found) > most:
        threshold = np.partition(scores[found], -most)[-most]
        found = found[scores[found] >= threshold]
    # A stable sort by numbers that are sorted already.
    order = found[np.argsort(-scores[found], kind="stable")][:most]
    return Scored(places.numbers_at(order), scores[order])

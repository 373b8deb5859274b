"""BM25 with Lucene's idf and without the constant factor k1 + 1 (Kamphuis et al. 2020, "Which BM25 do you
mean?"), over arrays of postings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from db.queries.entries import Numbers
from db.queries.lexical import DocumentRanges, Extent, TermPostings

SPARSE = 3
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


def best_passages(
    terms: Sequence[TermPostings],
    extents: Mapping[str, Extent],
    parameters: Bm25,
    most: int,
    ranges: DocumentRanges | None = None,
) -> Scored:
    """The `most` best passages; with `ranges` those of the wanted documents alone. A term is the rarer the
    fewer of its own language's passages it stands in. Equal scores are in the order of the numbers."""
    weights = {
        (term.language, term.term): term.occurrences
        * inverse_document_frequency(term.passages, extents[term.language].passages)
        for term in terms
    }
    if ranges is not None:
        terms = [_wanted(term, ranges) for term in terms]
    terms = [term for term in terms if len(term.numbers)]
    if not terms:
        return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    places = _Places(terms)
    of_terms = [weights[term.language, term.term] for term in terms]
    return _best(places, _pruned(places, terms, of_terms, extents, parameters, most), most)


def _wanted(term: TermPostings, ranges: DocumentRanges) -> TermPostings:
    places = ranges.places_in(term.numbers, wanted_only=True)
    if len(places) == len(term.numbers):
        return term
    return replace(
        term,
        numbers=term.numbers[places],
        frequencies=term.frequencies[places],
        lengths=term.lengths[places],
    )


def _pruned(
    places: _Places,
    terms: Sequence[TermPostings],
    weights: Sequence[float],
    extents: Mapping[str, Extent],
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
                    extents,
                    parameters,
                )
                return scores
        scores[places.of_term(index)] += parts(
            terms[index], weights[index], extents[terms[index].language], parameters
        )
    return scores


def _add_to(
    scores: Scores,
    found: Numbers,
    rest: Sequence[tuple[Numbers, TermPostings, float]],
    extents: Mapping[str, Extent],
    parameters: Bm25,
) -> None:
    for where, term, weight in rest:
        at = np.searchsorted(where, found)
        at[at == len(where)] = 0
        is_there = where[at] == found
        at = at[is_there]
        part = replace(term, frequencies=term.frequencies[at], lengths=term.lengths[at])
        scores[found[is_there]] += parts(part, weight, extents[term.language], parameters)


def inverse_document_frequency(frequency: int, passages: int) -> float:
    """Passages that were deleted count until their postings are rewritten, so that a term may stand in more
    of them than there are."""
    absent = max(passages - frequency, 0)
    return math.log(1 + (absent + 0.5) / (frequency + 0.5))


def parts(term: TermPostings, weight: float, extent: Extent, parameters: Bm25) -> Scores:
    """What the term adds to the score of each of its passages: more than nothing, less than its weight."""
    mean_length = max(extent.terms / max(extent.passages, 1), 1)
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

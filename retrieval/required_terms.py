"""Of the passages that a query's words find, those in which all words of its conditions stand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import numpy.typing as npt

from db.queries.entries import Numbers
from db.queries.lexical import QueryPostings, TermPostings


def with_required(
    found: QueryPostings, required: Mapping[str, Collection[str]]
) -> Sequence[TermPostings]:
    """The postings of the passages in which all terms stand that their language requires, as far as these
    were read. In how many passages a term stands is still told of all."""
    allowed: dict[str, Numbers] = {}
    for language, names in required.items():
        of_language = {term.term: term for term in found.terms if term.language == language}
        needed = [of_language[name].numbers for name in names if name in of_language]
        if len(needed) < len(names) and not found.truncated:
            # It stands nowhere.
            needed.append(np.empty(0, np.int64))
        if needed:
            needed.sort(key=len)
            allowed[language] = reduce(_common, needed)
    return [
        of_passages(term, allowed[term.language]) if term.language in allowed else term
        for term in found.terms
    ]


def of_passages(term: TermPostings, numbers: Numbers) -> TermPostings:
    """Of these passages alone, in the order of their numbers here."""
    places = np.searchsorted(term.numbers, _common(numbers, term.numbers))
    return replace(
        term,
        numbers=term.numbers[places],
        frequencies=term.frequencies[places],
        lengths=term.lengths[places],
    )


def _common(few: Numbers, more: Numbers) -> Numbers:
    """Those of the few, in their order, that are among the more, which are in theirs."""
    places = np.searchsorted(more, few)
    is_common: npt.NDArray[np.bool_] = np.zeros(len(few), np.bool_)
    inside = places < len(more)
    is_common[inside] = more[places[inside]] == few[inside]
    return few[is_common]

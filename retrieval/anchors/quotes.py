"""Words quoted of a page: verified, and described so that they can be found in another reading."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from retrieval.anchors.folding import Folded, digest, fold, fold_with_offsets

CONTEXT_CHARACTERS = 64
"""Kept before and behind a quote: what tells one "shall" from another."""
MOST_QUOTED = 10_000
"""Code points of the page that a quote is kept of: words with whatever white space stands between them."""
MOST_OCCURRENCES = 10_000
"""Of words on a page; counting 200,000 of "aaa…" takes seconds."""
MOST_LOCATED = 10
"""More than one is told apart by whoever quotes."""


class StandTooOften(ValueError):
    """Words stand on the page more than MOST_OCCURRENCES times."""


@dataclass(frozen=True)
class Quote:
    """Words of a page as it was read. `start` and `end` are code points of the page's text; `prefix` and
    `suffix` stand around them. Of the `occurrences` of the words on the page it is the one that
    `occurrence` others come before. `page_digest` is that of the page's folded text."""

    page: int
    exact: str
    prefix: str
    suffix: str
    start: int
    end: int
    occurrence: int
    occurrences: int
    page_digest: bytes


def locate(
    page: int,
    text: str,
    exact: str,
    prefix: str = "",
    suffix: str = "",
    *,
    start: int | None = None,
) -> list[Quote]:
    """Where the words stand in the page's text with that before and behind them (and begin at `start`,
    where it is given), however the white space goes. Empty: nowhere; at most the first MOST_LOCATED.
    Raises StandTooOften."""
    folded = fold_with_offsets(text)
    wanted, before, behind = fold(exact), fold(prefix), fold(suffix)
    places = occurrences_of(wanted, folded.text, MOST_OCCURRENCES + 1)
    if len(places) > MOST_OCCURRENCES:
        raise StandTooOften
    found = (
        number
        for number, place in enumerate(places)
        if (start is None or folded.offsets[place] == start)
        and folded.text.endswith(before, 0, place)
        and folded.text.startswith(behind, place + len(wanted))
    )
    return [
        _quote(page, text, folded, places, number, len(wanted))
        for number in islice(found, MOST_LOCATED)
    ]


def quote_at(page: int, text: str, start: int, end: int) -> Quote | None:
    """The words between two code points of the page's text; None where there are none, or where they
    stand more than MOST_OCCURRENCES times."""
    folded, wanted = fold_with_offsets(text), fold(text[start:end])
    place = bisect_left(folded.offsets, start)
    if not wanted or not folded.text.startswith(wanted, place):
        return None
    places = occurrences_of(wanted, folded.text, MOST_OCCURRENCES + 1)
    if len(places) > MOST_OCCURRENCES:
        return None
    return _quote(page, text, folded, places, bisect_left(places, place), len(wanted))


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch with the words that lie in it by more than half, and without those that do not."""
    first, last = _word_edge(text, start), _word_edge(text, end)
    words = text[first:last]
    if not words.strip():
        return start, end
    return first + len(words) - len(words.lstrip()), last - len(words) + len(words.rstrip())


def _word_edge(text: str, edge: int) -> int:
    """The nearer end of the word that the edge divides."""
    first = last = edge
    while first > 0 and text[first - 1].isalnum():
        first -= 1
    while last < len(text) and text[last].isalnum():
        last += 1
    if edge in (first, last):
        return edge
    return first if edge - first <= last - edge else last


def occurrences_of(wanted: str, folded: str, most: int | None = None) -> list[int]:
    """Where it begins, each time it stands there, overlapping ones too; the first `most` of them."""
    places: list[int] = []
    place = folded.find(wanted) if wanted else -1
    while place >= 0 and (most is None or len(places) < most):
        places.append(place)
        place = folded.find(wanted, place + 1)
    return places


def _quote(
    page: int, text: str, folded: Folded, places: Sequence[int], number: int, letters: int
) -> Quote:
    start, end = folded.stretch(places[number], places[number] + letters)
    return Quote(
        page=page,
        exact=text[start:end],
        prefix=text[max(0, start - CONTEXT_CHARACTERS) : start],
        suffix=text[end : end + CONTEXT_CHARACTERS],
        start=start,
        end=end,
        occurrence=number,
        occurrences=len(places),
        page_digest=digest(folded.text),
    )

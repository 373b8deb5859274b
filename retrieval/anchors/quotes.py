"""Words quoted of a page: verified, and described so that they can be found in another reading."""

from dataclasses import dataclass

from retrieval.anchors.folding import digest, fold, fold_with_offsets

CONTEXT_CHARACTERS = 64
"""Kept before and behind a quote: what tells one "shall" from another."""


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


def locate(page: int, text: str, exact: str, prefix: str = "", suffix: str = "") -> list[Quote]:
    """Where the words stand in the page's text with that before and behind them, however the white space
    goes. Empty: nowhere."""
    folded = fold_with_offsets(text)
    wanted, before, behind = fold(exact), fold(prefix), fold(suffix)
    places = occurrences_of(wanted, folded.text)
    page_digest = digest(folded.text)
    return [
        _quote(
            page,
            text,
            page_digest,
            folded.stretch(place, place + len(wanted)),
            (number, len(places)),
        )
        for number, place in enumerate(places)
        if folded.text[:place].endswith(before)
        and folded.text.startswith(behind, place + len(wanted))
    ]


def quote_at(page: int, text: str, start: int, end: int) -> Quote | None:
    """The words between two code points of the page's text; None where there are none."""
    wanted = fold(text[start:end])
    matching = [each for each in locate(page, text, text[start:end]) if each.start < end]
    found = [each for each in matching if each.end > start]
    return min(found, key=lambda each: abs(each.start - start)) if wanted and found else None


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


def occurrences_of(wanted: str, folded: str) -> list[int]:
    """Where it begins, each time it stands there; overlapping ones too."""
    places: list[int] = []
    place = folded.find(wanted) if wanted else -1
    while place >= 0:
        places.append(place)
        place = folded.find(wanted, place + 1)
    return places


def _quote(
    page: int, text: str, page_digest: bytes, stretch: tuple[int, int], counted: tuple[int, int]
) -> Quote:
    start, end = stretch
    return Quote(
        page=page,
        exact=text[start:end],
        prefix=text[max(0, start - CONTEXT_CHARACTERS) : start],
        suffix=text[end : end + CONTEXT_CHARACTERS],
        start=start,
        end=end,
        occurrence=counted[0],
        occurrences=counted[1],
        page_digest=page_digest,
    )

"""Where the words of a recognised line stand: the recogniser tells the column of every character."""

from collections.abc import Sequence
from itertools import chain, pairwise
from statistics import median

from rapidocr.ch_ppocr_rec.typings import WordInfo

Quadrilateral = Sequence[Sequence[float]]
"""Its corners: upper left, upper right, lower right, lower left, each (x, y)."""
Span = tuple[float, float]
"""Where a word begins and ends, as shares of its line's length."""


def spans_of_words(text: str, columns_read: WordInfo) -> tuple[Span, ...]:
    """Of the words between white space, in the order of the text; none where the columns do not fit
    the text."""
    columns = list(chain.from_iterable(columns_read.word_cols))
    length = columns_read.line_txt_len
    if length <= 0 or len(columns) != sum(not letter.isspace() for letter in text):
        return ()
    words, first = list[Sequence[int]](), 0
    for word in text.split():
        words.append(columns[first : first + len(word)])
        first += len(word)
    if len(words) == 1:
        return ((0.0, 1.0),)
    reach = _character_width(words) / 2
    extents = [(word[0] + 0.5 - reach, word[-1] + 0.5 + reach) for word in words]
    return tuple(
        (min(max(start / length, 0.0), 1.0), min(max(end / length, 0.0), 1.0))
        for start, end in _apart(extents)
    )


def corners_of_word(line: Quadrilateral, span: Span) -> tuple[tuple[float, float], ...]:
    """The part of a line's quadrilateral, whose first corner is where its text begins."""
    upper_left, upper_right, lower_right, lower_left = line
    start, end = span
    return (
        _between(upper_left, upper_right, start),
        _between(upper_left, upper_right, end),
        _between(lower_left, lower_right, end),
        _between(lower_left, lower_right, start),
    )


def _character_width(words: Sequence[Sequence[int]]) -> float:
    """In columns."""
    steps = [after - before for word in words for before, after in pairwise(word)]
    return median(steps) if steps else 1.0


def _apart(extents: Sequence[Span]) -> list[Span]:
    """The same without overlaps: words that reach into one another meet half-way."""
    cut = list(extents)
    for index, (before, after) in enumerate(pairwise(extents)):
        if before[1] > after[0]:
            middle = (before[1] + after[0]) / 2
            cut[index] = (cut[index][0], middle)
            cut[index + 1] = (middle, cut[index + 1][1])
    return cut


def _between(start: Sequence[float], end: Sequence[float], share: float) -> tuple[float, float]:
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))

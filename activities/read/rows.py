"""Lines out of words that follow one another in the content stream, and their text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from activities.read.cleaning import BULLET
from activities.read.directions import has_right_to_left, is_right_to_left, logical_order
from activities.read.geometry import Box, shares_row
from activities.read.words import Placed, Word
from muniment.contracts.documents import Line
from muniment.contracts.word_boxes import pack_boxes

WORD_GAP = 1.6
"""Widest gap within a line, in ems: justified lines have such, columns are further apart."""
NO_GAP = 0.1
"""Words of different fonts closer than this, in ems, are parts of one: the change of font has parted
them. In one font there is a space between them, however narrow; but letters of joined scripts come
in pieces."""
LONGEST_BASE = 2
"""Letters before a raised or lowered mark that belongs to them (x², CO₂); after longer words it
refers to a note."""
OVERLAP = 0.3
SUPERSCRIPT_SIZE = 0.8
LONGEST_SUPERSCRIPT_WORDS = 2
_MISREAD_BULLETS = frozenset("¥∞")
"""What the bullet of the Macintosh encoding and of Symbol are decoded to."""


@dataclass(slots=True)
class Row:
    """A line in the making; `box` is upright."""

    words: list[Placed]
    box: Box

    @classmethod
    def of(cls, words: Sequence[Placed]) -> "Row":
        box = words[0].box
        for word in words[1:]:
            box = box.joined(word.box)
        return cls(list(words), box)

    @property
    def size(self) -> float:
        """The size in which most of the line is set."""
        return median(word.size for word in self.words)

    def add(self, word: Placed) -> None:
        self.words.append(word)
        self.box = self.box.joined(word.box)

    def absorb(self, other: "Row") -> None:
        self.words.extend(other.words)
        self.box = self.box.joined(other.box)


def rows_of(words: Sequence[Placed]) -> list[Row]:
    """Words that follow one another in the stream, on one baseline and close by, are a row."""
    rows: list[Row] = []
    for word in words:
        if rows and _continues(rows[-1].words[-1], word):
            rows[-1].add(word)
        elif len(rows) > 1 and _returns(rows[-2], rows[-1], word):
            raised = rows.pop()
            rows[-1].absorb(raised)
            rows[-1].add(word)
        else:
            rows.append(Row([word], word.box))
    return _bridged(rows)


def _continues(before: Placed, word: Placed) -> bool:
    if not shares_row(before.box, word.box):
        return False
    size = max(before.size, word.size)
    gap = max(word.box.left - before.box.right, before.box.left - word.box.right)
    return gap <= WORD_GAP * size


def _returns(line: Row, raised: Row, word: Placed) -> bool:
    """To the line before a mark set above or below it."""
    return (
        len(raised.words) <= LONGEST_SUPERSCRIPT_WORDS
        and raised.words[0].size <= SUPERSCRIPT_SIZE * line.words[-1].size
        and raised.box.left >= line.box.right - OVERLAP * word.size
        and raised.box.top < line.box.bottom
        and raised.box.bottom > line.box.top
        and shares_row(line.box, word.box)
        and 0 <= word.box.left - raised.box.right + OVERLAP * word.size <= WORD_GAP * word.size
    )


def _bridged(rows: Sequence[Row]) -> list[Row]:
    """Rows that continue the one before them: a right-to-left line comes in runs, each from left to
    right, and a tab or a raised mark parts others."""
    joined: list[Row] = []
    for row in rows:
        if joined and _adjoins(joined[-1], row):
            joined[-1].absorb(row)
        else:
            joined.append(row)
    return joined


def _adjoins(before: Row, row: Row) -> bool:
    if not shares_row(before.box, row.box):
        return False
    size = max(before.size, row.size)
    gap = max(row.box.left - before.box.right, before.box.left - row.box.right)
    return -OVERLAP * size <= gap <= WORD_GAP * size


def line_of(row: Row, width: float, height: float) -> Line:
    """The row as contracts carry it; its text is empty when nothing of it can be read."""
    tokens = list(_tokens(row))
    text = " ".join(token for token, _ in tokens)
    place = row.words[0].word.box
    for placed in row.words[1:]:
        place = place.joined(placed.word.box)
    bbox = place.clipped(width, height)
    letters = sum(len(placed.word.text) for placed in row.words)

    def mostly(has: Sequence[int]) -> bool:
        return sum(has) > 0.6 * letters

    return Line(
        text=text,
        bbox=bbox,
        font_size=round(_dominant_size(row), 2),
        bold=mostly([len(p.word.text) for p in row.words if p.word.style.bold]),
        italic=mostly([len(p.word.text) for p in row.words if p.word.style.italic]),
        monospace=mostly([len(p.word.text) for p in row.words if p.word.style.monospace]),
        word_boxes=pack_boxes([box.clipped(width, height) for _, box in tokens], bbox),
    )


def _dominant_size(row: Row) -> float:
    """The size of most characters: raised marks and large initials do not count."""
    weights: dict[float, int] = {}
    for placed in row.words:
        weights[placed.size] = weights.get(placed.size, 0) + len(placed.word.text)
    return max(weights, key=lambda size: (weights[size], size))


def _tokens(row: Row) -> Iterator[tuple[str, Box]]:
    """The words between white space in the order of reading, with their boxes on the page."""
    is_rtl = is_right_to_left(" ".join(placed.word.text for placed in row.words))
    words = logical_order(row.words) if is_rtl else _in_order(row.words)
    text, place, before = "", words[0].word.box, words[0]
    for position, placed in enumerate(words):
        if position and _is_joined(before, placed):
            text += placed.word.text
            place = place.joined(placed.word.box)
        else:
            if position:
                yield from _split(_mended_bullet(text, position, placed), place)
            text, place = placed.word.text, placed.word.box
        before = placed
    yield from _split(text, place)


def _in_order(words: Sequence[Placed]) -> Sequence[Placed]:
    """From left to right; as painted where nothing runs back."""
    if all(
        after.box.left >= before.box.left - OVERLAP * after.size
        for before, after in pairwise(words)
    ):
        return words
    return sorted(words, key=lambda placed: placed.box.left)


def _is_joined(before: Placed, after: Placed) -> bool:
    if _are_spaced(before.word, after.word):
        return False
    smaller, larger = sorted((before.size, after.size))
    if smaller <= SUPERSCRIPT_SIZE * larger and len(before.word.text) > LONGEST_BASE:
        return False
    size = max(before.size, after.size)
    gap = max(after.box.left - before.box.right, before.box.left - after.box.right)
    return -OVERLAP * size < gap < NO_GAP * size


def _are_spaced(before: Word, after: Word) -> bool:
    """Whether there is a space between two words, even where it takes no room: in one font it is why
    they are two, and scripts of two directions are never one word."""
    if not (before.text[-1:].isalnum() and after.text[:1].isalnum()):
        return False
    are_rtl = has_right_to_left(before.text), has_right_to_left(after.text)
    if any(are_rtl):
        return not all(are_rtl)
    return before.style == after.style


def _mended_bullet(text: str, position: int, following: Placed) -> str:
    """The first word of a line, when it is a bullet that was decoded wrongly."""
    if position == 1 and text in _MISREAD_BULLETS and not following.word.text[:1].isdigit():
        return BULLET
    return text


def _split(text: str, box: Box) -> Iterator[tuple[str, Box]]:
    """A word with white space inside, as several: each gets its share of the box."""
    parts = text.split()
    if len(parts) == 1:
        yield parts[0], box
        return
    letters = sum(map(len, parts)) or 1
    start = box.left
    for part in parts:
        end = start + box.width * len(part) / letters
        yield part, Box(start, box.top, end, box.bottom)
        start = end

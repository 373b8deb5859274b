"""Lines out of a text layer's words, in reading order."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from activities.read.geometry import Box, Turn, overlap, shares_row
from activities.read.reading_order import reading_order
from muniment.contracts.documents import Line

SMALLEST_WORD_POINTS = 1.6
HIDDEN_UNLESS_VISIBLE_SHARE = 0.2
"""Hidden words are dropped when at least this share of the words is visible; else they are an OCR
layer, and all there is to read."""
WORD_GAP = 1.6
"""Widest gap within a line, in line heights."""
OVERPRINT_POINTS = 1.0
MAXIMUM_INVERSIONS = 0.02
GUTTER_SHARE = 0.25
GUTTER_WORDS = 4

_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)} | {
    0x00AD: "-",
    0x00A0: " ",
}
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


@dataclass(frozen=True, slots=True)
class Word:
    """`box` is the word's place on the page, `turn` the direction of its text."""

    text: str
    box: Box
    turn: Turn = Turn.RIGHT
    hidden: bool = False
    bold: bool = False


@dataclass(slots=True)
class _Row:
    """A line in the making; `box` is upright."""

    words: list[Word] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    @property
    def box(self) -> Box:
        whole = self.boxes[0]
        for box in self.boxes[1:]:
            whole = whole.joined(box)
        return whole

    def add(self, word: Word, box: Box) -> None:
        self.words.append(word)
        self.boxes.append(box)


def lay_out(words: Sequence[Word], width: float, height: float) -> list[Line]:
    """The page's lines. Words in another direction than most follow after the others."""
    kept = _clean(words, width, height)
    main_turn = _main_turn(kept)
    lines: list[Line] = []
    for turn in sorted(Turn, key=lambda turn: turn is not main_turn):
        turned = [word for word in kept if word.turn is turn]
        rows = _ordered(_rows(turned, turn, width, height))
        lines.extend(_line(row, width, height) for row in rows)
    return [line for line in lines if line.text]


def _clean(words: Sequence[Word], width: float, height: float) -> list[Word]:
    visible = sum(1 for word in words if not word.hidden)
    drop_hidden = visible >= HIDDEN_UNLESS_VISIBLE_SHARE * len(words)
    kept: list[Word] = []
    recent: dict[str, Word] = {}
    for word in words:
        box = word.box
        off_page = box.right <= 0 or box.bottom <= 0 or box.left >= width or box.top >= height
        if off_page or not word.text.strip() or (word.hidden and drop_hidden):
            continue
        if max(box.width, box.height) < SMALLEST_WORD_POINTS:
            continue
        before = recent.get(word.text)
        if before is not None and _overprinted(before.box, box):
            continue  # bold made by printing twice
        recent[word.text] = word
        kept.append(word)
    return kept


def _overprinted(first: Box, second: Box) -> bool:
    return (
        abs(first.left - second.left) < OVERPRINT_POINTS
        and abs(first.top - second.top) < OVERPRINT_POINTS
        and abs(first.right - second.right) < OVERPRINT_POINTS
    )


def _main_turn(words: Sequence[Word]) -> Turn:
    weights: Counter[Turn] = Counter()
    for word in words:
        weights[word.turn] += len(word.text)
    return weights.most_common(1)[0][0] if weights else Turn.RIGHT


def _rows(words: Sequence[Word], turn: Turn, width: float, height: float) -> list[_Row]:
    """Words that follow one another in the stream, on one baseline and close by."""
    found: list[_Row] = []
    for word in words:
        box = word.box.upright(turn, width, height)
        if not found or not _continues(found[-1].boxes[-1], box):
            found.append(_Row())
        found[-1].add(word, box)
    return found


def _continues(before: Box, box: Box) -> bool:
    if not shares_row(before, box):
        return False
    size = max(before.height, box.height)
    gap = max(box.left - before.right, before.left - box.right)
    return gap <= WORD_GAP * size


def _ordered(rows: list[_Row]) -> list[_Row]:
    """Stream order, unless it is provably wrong."""
    boxes = [row.box for row in rows]
    if len(rows) < 4 or not (_inverted(boxes) or _painted_across(rows, boxes)):
        return rows
    return [rows[index] for index in reading_order(boxes)]


def _inverted(boxes: Sequence[Box]) -> bool:
    """Lines often stand above the one before them, in the same column."""
    inversions = sum(
        1
        for before, box in pairwise(boxes)
        if box.bottom <= before.top + 0.2 * before.height
        and overlap(before.left, before.right, box.left, box.right)
        > 0.3 * min(before.width, box.width)
    )
    return inversions >= 2 and inversions > MAXIMUM_INVERSIONS * len(boxes)


def _painted_across(rows: Sequence[_Row], boxes: Sequence[Box]) -> bool:
    """Columns painted row by row: many neighbours share a baseline across a gutter."""
    across = sum(
        1
        for (first, first_box), (second, second_box) in pairwise(zip(rows, boxes, strict=True))
        if shares_row(first_box, second_box)
        and len(first.words) >= GUTTER_WORDS
        and len(second.words) >= GUTTER_WORDS
    )
    return across > GUTTER_SHARE * len(rows)


def _line(row: _Row, width: float, height: float) -> Line:
    words = _logical(row)
    text = " ".join(" ".join(word.text.translate(_LIGATURES).split()) for word in words)
    place = words[0].box
    for word in words[1:]:
        place = place.joined(word.box)
    letters = sum(len(word.text) for word in words)
    bold = sum(len(word.text) for word in words if word.bold)
    return Line(
        text=text.strip(),
        bbox=place.clipped(width, height),
        font_size=round(median(box.height for box in row.boxes), 2),
        bold=bold > 0.6 * letters,
    )


def _logical(row: _Row) -> list[Word]:
    """Words in the order of reading: right to left where most letters are, islands kept."""
    if not _is_right_to_left(" ".join(word.text for word in row.words)):
        return row.words
    placed = sorted(zip(row.boxes, row.words, strict=True), key=lambda pair: -pair[0].left)
    logical: list[Word] = []
    island: list[Word] = []
    for _, word in placed:
        if _is_right_to_left(word.text) or not any(letter.isalnum() for letter in word.text):
            logical.extend(reversed(island))
            island.clear()
            logical.append(word)
        else:
            island.append(word)
    return [*logical, *reversed(island)]


def _is_right_to_left(text: str) -> bool:
    letters = [unicodedata.bidirectional(character) for character in text if character.isalpha()]
    return sum(1 for letter in letters if letter in _RIGHT_TO_LEFT) * 2 > len(letters)

"""Paragraphs, list items, code and tables out of the lines of a page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median

from muniment.contracts.documents import BoundingBox, Line, Page, PageSource, Table

PARAGRAPH_GAP = 0.45
"""Distance from line to line, in ems over the usual one, that parts paragraphs."""
TIGHT = 0.15
"""More than the usual distance by this, in ems, is set apart."""
USUAL_PITCH = 1.2
"""In ems, where a page has too few lines to tell."""
SIZE_STEP = 1.08
OCR_SIZE_STEP = 1.35
"""Boxes of OCR vary by the letters in them."""
INDENT = 1.2
SHORT_BY = 4.0
"""A last line ends this many ems short of its block's right edge."""

BULLETS = frozenset("•‣◦▪●○■□–—*·-➢✓")
_MARKER = re.compile(
    r"^(?P<marker>[•‣◦▪●○■□–—*·➢✓-]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})[.)])\s+(?=\S)"
)
_SENTENCE_END = frozenset('.!?:;"”’)。؟')


class Label(StrEnum):
    TEXT = "text"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    CAPTION = "caption"
    FOOTNOTE = "footnote"
    CODE = "code"
    TABLE = "table"
    PICTURE = "picture"
    FURNITURE_TOP = "furniture_top"
    FURNITURE_BOTTOM = "furniture_bottom"


@dataclass(slots=True)
class Block:
    """Lines that belong together, on one page. A block that `continues` is the rest of the paragraph
    before it. Of a table `table` says how its cells lie and `lines` holds their text; a picture has
    a place only."""

    page: int
    label: Label
    lines: list[Line] = field(default_factory=list)
    marker: str = ""
    level: int = 1
    continues: bool = False
    table: Table | None = None
    place: BoundingBox | None = None

    @property
    def size(self) -> float:
        return median(size_of(line) for line in self.lines) if self.lines else 0.0

    @property
    def plain_text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @property
    def bbox(self) -> BoundingBox | None:
        if self.place is not None:
            return self.place
        return bounding([line.bbox for line in self.lines if line.bbox is not None])


def bounding(boxes: Sequence[BoundingBox]) -> BoundingBox | None:
    """The smallest box that holds all; None for none."""
    if not boxes:
        return None
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def size_of(line: Line) -> float:
    """The em square's height; of OCR the box's."""
    if line.font_size is not None:
        return line.font_size
    return line.bbox[3] - line.bbox[1] if line.bbox is not None else 0.0


def blocks_of(page: Page, furniture: frozenset[int]) -> list[Block]:
    """The page's blocks in its order; lines of those indices are left out."""
    blocks: list[Block] = []
    for run in _runs(page, furniture):
        if isinstance(run, Table):
            lines = list(page.lines[run.first_line : run.first_line + run.line_count])
            blocks.append(Block(page.page, Label.TABLE, lines, table=run, place=run.bbox))
        else:
            blocks.extend(_split(page, run))
    return blocks


def _runs(page: Page, furniture: frozenset[int]) -> Iterator[Table | list[Line]]:
    """Tables, and the lines between them."""
    start = 0
    for table in sorted(page.tables, key=lambda table: table.first_line):
        yield [page.lines[i] for i in range(start, table.first_line) if i not in furniture]
        yield table
        start = table.first_line + table.line_count
    yield [page.lines[i] for i in range(start, len(page.lines)) if i not in furniture]


def _split(page: Page, lines: Sequence[Line]) -> list[Block]:
    splitter = _Splitter(_usual_pitch(lines), page.source is PageSource.OCR)
    blocks: list[Block] = []
    for line in lines:
        last = blocks[-1] if blocks else None
        beside = last is not None and _stands_beside(last.lines[-1], line)
        marker = None if beside or line.monospace else _MARKER.match(line.text)
        if last is None or marker or (not beside and splitter.starts_anew(last, line)):
            last = Block(page.page, Label.CODE if line.monospace else Label.TEXT)
            if marker:
                last.label = Label.LIST_ITEM
                last.marker = marker.group("marker")
            blocks.append(last)
        last.lines.append(line)
    return blocks


def _stands_beside(before: Line, line: Line) -> bool:
    """Next to the line before, on its row: the value to a label, or another run of the line."""
    if before.bbox is None or line.bbox is None:
        return False
    if line.bbox[0] < before.bbox[2] - 1 and before.bbox[0] < line.bbox[2] - 1:
        return False
    shared = min(before.bbox[3], line.bbox[3]) - max(before.bbox[1], line.bbox[1])
    return shared > 0.5 * min(_height(before.bbox), _height(line.bbox))


def _height(box: BoundingBox) -> float:
    return box[3] - box[1]


def _middle(box: BoundingBox) -> float:
    return (box[1] + box[3]) / 2


def _usual_pitch(lines: Sequence[Line]) -> float:
    """Median distance between the middles of lines that follow one another, in ems."""
    pitches = [
        (_middle(after.bbox) - _middle(before.bbox)) / max(1.0, size_of(before))
        for before, after in pairwise(lines)
        if before.bbox is not None and after.bbox is not None
    ]
    plausible = [pitch for pitch in pitches if 0.8 < pitch < 2.2]
    return median(plausible) if len(plausible) > 2 else USUAL_PITCH


@dataclass(frozen=True, slots=True)
class _Splitter:
    """Decides where a paragraph ends; `pitch` is the usual distance of lines, in ems."""

    pitch: float
    is_ocr: bool

    def starts_anew(self, block: Block, line: Line) -> bool:
        last = block.lines[-1]
        if last.bbox is None or line.bbox is None:
            return False
        if line.monospace != (block.label is Label.CODE):
            return True
        size = max(1.0, size_of(last))
        larger, smaller = max(size, size_of(line)), max(1.0, min(size, size_of(line)))
        if larger > (OCR_SIZE_STEP if self.is_ocr else SIZE_STEP) * smaller:
            return True
        pitch = (_middle(line.bbox) - _middle(last.bbox)) / size
        if block.label is Label.CODE:
            return not -0.5 < pitch < 4 * self.pitch
        if pitch > self.pitch + PARAGRAPH_GAP or line.bbox[3] < last.bbox[1]:
            return True
        if line.bbox[0] > last.bbox[2] or line.bbox[2] < last.bbox[0]:
            return True
        return _changes_style(block, line, pitch <= self.pitch + TIGHT) or _is_indented_start(
            block, line, size
        )


def _changes_style(block: Block, line: Line, is_tight: bool) -> bool:
    """After lines that are all bold or italic, one that is not; or such a line after a sentence's
    end. A bold start of a paragraph reaches as far to the right as its next line."""
    was_bold = all(before.bold for before in block.lines)
    was_italic = all(before.italic for before in block.lines)
    if (was_bold, was_italic) == (line.bold, line.italic):
        return False
    last = block.lines[-1]
    if line.bold > was_bold or line.italic > was_italic:
        return last.text[-1:] in _SENTENCE_END
    if last.bbox is None or line.bbox is None or not is_tight:
        return True
    return last.bbox[2] < line.bbox[2] - SHORT_BY * size_of(line)


def _is_indented_start(block: Block, line: Line, size: float) -> bool:
    """A first line set in or out, after a line that ends a sentence short of the right edge."""
    last = block.lines[-1]
    if last.bbox is None or line.bbox is None or last.text[-1:] not in _SENTENCE_END:
        return False
    boxes = [item.bbox for item in block.lines[1:] or block.lines if item.bbox is not None]
    left = min(box[0] for box in boxes)
    right = max(box[2] for box in boxes)
    set_in = line.bbox[0] - left > INDENT * size
    ends_short = len(block.lines) > 1 and right - last.bbox[2] > SHORT_BY * size
    back_out = block.label is Label.LIST_ITEM and line.bbox[0] < left - 0.5 * size
    return set_in or ends_short or back_out

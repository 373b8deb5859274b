"""Paragraphs, headings and list items out of the lines of pages."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median

from activities.assemble.furniture import find_furniture
from muniment.contracts.documents import BoundingBox, Line, Page, PageSource

HEADING_SIZE = 1.13
"""A line this much larger than the body is a heading, where no long prose is set in its size."""
OCR_HEADING_SIZE = 1.35
"""Boxes of OCR vary by the letters in them."""
LONGEST_HEADING_CHARACTERS = 160
LONGEST_HEADING_LINES = 3
PROSE_LINES = 5
"""A size class in which blocks of that many lines are set holds prose, not headings."""
PARAGRAPH_GAP = 0.75
"""Gap between lines, in line heights over the usual one, that parts paragraphs."""
SIZE_STEP = 1.08
INDENT = 1.2

_MARKER = re.compile(r"^(?P<marker>[•‣◦▪●○■□–—*·-]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s+(?=\S)")
_BULLETS = frozenset("•‣◦▪●○■□–—*·-")
_DOTTED_LEADER = re.compile(r"(\.\s?){4,}")
_SENTENCE_END = frozenset('.!?:;"”’)')


class Label(StrEnum):
    TEXT = "text"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    FURNITURE_TOP = "furniture_top"
    FURNITURE_BOTTOM = "furniture_bottom"


@dataclass(slots=True)
class Block:
    """Lines that belong together, on one page."""

    page: int
    label: Label
    lines: list[Line] = field(default_factory=list)
    marker: str = ""
    level: int = 1

    @property
    def size(self) -> float:
        return median(_size(line) for line in self.lines)

    @property
    def bbox(self) -> BoundingBox | None:
        boxes = [line.bbox for line in self.lines if line.bbox is not None]
        if not boxes:
            return None
        return (
            min(box[0] for box in boxes),
            min(box[1] for box in boxes),
            max(box[2] for box in boxes),
            max(box[3] for box in boxes),
        )


def make_blocks(pages: Sequence[Page]) -> list[Block]:
    """The document's blocks, in the pages' order, running heads and feet among them."""
    furniture = find_furniture(pages)
    body_size = _body_size(pages)
    blocks: list[Block] = []
    for page in pages:
        body = []
        for index, line in enumerate(page.lines):
            place = furniture.get((page.page, index))
            if place is None:
                body.append(line)
            else:
                label = Label.FURNITURE_TOP if place.at_top else Label.FURNITURE_BOTTOM
                blocks.append(Block(page.page, label, [line]))
        blocks.extend(_split(page, body))
    _label(blocks, body_size, {page.page: page.source for page in pages})
    return blocks


def text_of(block: Block, vocabulary: frozenset[str]) -> str:
    """The block's lines joined to one; words cut at a line's end are mended where the document
    has them whole, or where the rest starts with a small letter."""
    text = ""
    for line in block.lines:
        following = line.text.strip()
        if not text:
            text = following
        elif text.endswith("-") and following[:1].islower():
            text = _mended(text, following, vocabulary)
        else:
            text = f"{text} {following}"
    return text[len(block.marker) :].strip() if block.marker else text


def vocabulary(pages: Iterable[Page]) -> frozenset[str]:
    """The document's words, in small letters, hyphenated ones among them."""
    words: set[str] = set()
    for page in pages:
        words.update(re.findall(r"\w+(?:-\w+)*", page.text.lower()))
    return frozenset(words)


def _mended(text: str, following: str, words: frozenset[str]) -> str:
    first = re.search(r"(\w+)-$", text)
    rest = re.match(r"\w+", following)
    if first is None or rest is None:
        return text + following
    hyphenated = f"{first.group(1)}-{rest.group(0)}".lower()
    whole = f"{first.group(1)}{rest.group(0)}".lower()
    if hyphenated in words and whole not in words:
        return text + following
    return text[:-1] + following


def _size(line: Line) -> float:
    if line.font_size is not None:
        return line.font_size
    return line.bbox[3] - line.bbox[1] if line.bbox is not None else 0.0


def _body_size(pages: Sequence[Page]) -> float:
    """The size in which most characters are set."""
    weights: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            weights[round(_size(line) * 2) / 2] += len(line.text)
    return weights.most_common(1)[0][0] if weights else 0.0


def _split(page: Page, lines: Sequence[Line]) -> list[Block]:
    blocks: list[Block] = []
    pitch = _usual_gap(lines)
    for line in lines:
        beside = bool(blocks) and _stands_beside(blocks[-1].lines[-1], line)
        marker = None if beside else _MARKER.match(line.text)
        if not blocks or marker or (not beside and _starts_anew(blocks[-1].lines, line, pitch)):
            blocks.append(Block(page.page, Label.TEXT))
        if marker and not blocks[-1].lines:
            blocks[-1].label = Label.LIST_ITEM
            blocks[-1].marker = marker.group("marker")
        blocks[-1].lines.append(line)
    return blocks


def _stands_beside(before: Line, line: Line) -> bool:
    """Next to the line before, on its row: a table's next cell, or the value to a label."""
    if before.bbox is None or line.bbox is None or line.bbox[0] < before.bbox[2] - 1:
        return False
    shared = min(before.bbox[3], line.bbox[3]) - max(before.bbox[1], line.bbox[1])
    return shared > 0.5 * min(_size(before), _size(line))


def _usual_gap(lines: Sequence[Line]) -> float:
    """Median distance from a line's foot to the next line's head, in its height."""
    gaps = [
        (after.bbox[1] - before.bbox[3]) / max(1.0, _size(before))
        for before, after in pairwise(lines)
        if before.bbox is not None
        and after.bbox is not None
        and before.bbox[3] - _size(before) * 0.5 <= after.bbox[1]
        and after.bbox[1] - before.bbox[3] < 2 * _size(before)
    ]
    return median(gaps) if gaps else 0.2


def _starts_anew(before: Sequence[Line], line: Line, pitch: float) -> bool:
    last = before[-1]
    if last.bbox is None or line.bbox is None:
        return False
    height = max(1.0, _size(last))
    if max(_size(line), height) > SIZE_STEP * min(max(1.0, _size(line)), height) and (
        line.font_size is not None or max(_size(line), height) > OCR_HEADING_SIZE * height
    ):
        return True
    if line.bold != last.bold:
        return True
    gap = (line.bbox[1] - last.bbox[3]) / height
    if gap > pitch + PARAGRAPH_GAP or line.bbox[3] < last.bbox[1]:
        return True
    if line.bbox[0] > last.bbox[2] or line.bbox[2] < last.bbox[0]:
        return True
    return _is_indented_start(before, line, height)


def _is_indented_start(before: Sequence[Line], line: Line, height: float) -> bool:
    """A first line set in, after a line that ends a sentence short of the block's right edge."""
    last = before[-1]
    if last.bbox is None or line.bbox is None or last.text[-1:] not in _SENTENCE_END:
        return False
    boxes = [item.bbox for item in before[1:] or before if item.bbox is not None]
    left = min(box[0] for box in boxes)
    right = max(box[2] for box in boxes)
    set_in = line.bbox[0] - left > INDENT * height
    ends_short = len(before) > 1 and right - last.bbox[2] > 4 * height
    return set_in or ends_short


def _label(blocks: Sequence[Block], body_size: float, sources: dict[int, PageSource]) -> None:
    candidates = [block for block in blocks if block.label in (Label.TEXT, Label.LIST_ITEM)]
    prose = {
        round(block.size, 1)
        for block in candidates
        if len(block.lines) >= PROSE_LINES and block.label is Label.TEXT
    }
    headings = [
        block for block in candidates if _is_heading(block, body_size, prose, sources[block.page])
    ]
    sizes = sorted({round(block.size) for block in headings}, reverse=True)
    for block in headings:
        block.label = Label.HEADING
        block.marker = ""
        block.level = min(sizes.index(round(block.size)) + 1, 6)


def _is_heading(block: Block, body_size: float, prose: set[float], source: PageSource) -> bool:
    text = " ".join(line.text for line in block.lines)
    letters = sum(1 for character in text if character.isalpha())
    if (
        body_size <= 0
        or len(block.lines) > LONGEST_HEADING_LINES
        or len(text) > LONGEST_HEADING_CHARACTERS
        or letters < 3
        or letters * 2 < len(text.replace(" ", ""))
        or _DOTTED_LEADER.search(text)
        or block.marker in _BULLETS
    ):
        return False
    if source is PageSource.OCR:
        return block.size >= OCR_HEADING_SIZE * body_size
    if block.size >= HEADING_SIZE * body_size and round(block.size, 1) not in prose:
        return True
    ends_open = text.rstrip()[-1:] not in ".,;:"
    return (
        all(line.bold for line in block.lines)
        and block.size >= 0.95 * body_size
        and len(block.lines) <= 2
        and ends_open
    )

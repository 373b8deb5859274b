"""A Page out of the blocks that Surya gives: label, HTML and box of each, in reading order.

Surya tells boxes of blocks, not of lines: a line's box is its share of the block's, by the room that
its text takes, and a cell's an even share of the table's. Font sizes are estimated from that room too,
since a block's height says nothing of its letters'.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from activities.ocr_service.surya_html import HtmlTable, table_of, text_lines
from activities.read.geometry import Box
from activities.read.page_image import PageImage
from muniment.contracts.documents import BoundingBox, Line, Page, PageSource, Table, TableCell
from muniment.contracts.ocr import OcrEngineName

TABLE = "Table"
PICTURES = frozenset(("Picture", "Figure", "Diagram"))
PITCH = 1.2
"""Of lines, in ems."""
NARROW, WIDE = 0.5, 1.0
"""A character's usual width, in ems: most scripts', and that of Chinese, Japanese and Korean."""


@dataclass(frozen=True, slots=True)
class SuryaBlock:
    """`label` by Surya's own names, `box` in pixels; `confidence` from 0 to 1, None where the server
    tells no probabilities."""

    label: str
    html: str
    box: Box
    confidence: float | None


def page_of(number: int, image: PageImage, blocks: Sequence[SuryaBlock]) -> Page:
    """The page's lines, tables and pictures, in the blocks' order."""
    page = _Composed(image)
    for block in blocks:
        page.add(block)
    scores = [block.confidence for block in blocks if block.confidence is not None and block.html]
    return Page(
        page=number,
        width=round(image.width, 2),
        height=round(image.height, 2),
        rotation=image.rotation,
        source=PageSource.OCR,
        engine=OcrEngineName.SURYA.value,
        confidence=round(sum(scores) / len(scores), 4) if scores else None,
        text="\n".join(line.text for line in page.lines),
        lines=tuple(page.lines),
        tables=tuple(page.tables),
        pictures=tuple(page.pictures),
    )


@dataclass
class _Composed:
    image: PageImage
    lines: list[Line] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[BoundingBox] = field(default_factory=list)

    def add(self, block: SuryaBlock) -> None:
        place = _on_page(block.box, self.image)
        if block.label in PICTURES and place is not None:
            self.pictures.append(place.clipped(self.image.width, self.image.height))
        table = table_of(block.html) if block.label == TABLE and place is not None else None
        if table is not None and place is not None:
            self._add_lines(block, _above(place, table), table.outside)
            self._add_table(block, place, table)
        else:
            self._add_lines(block, place, text_lines(block.html))

    def _add_lines(self, block: SuryaBlock, place: Box | None, texts: Sequence[str]) -> None:
        for text, box in zip(texts, _slices(place, texts), strict=True):
            self.lines.append(self._line(text, block, box, _font_size(box, text)))

    def _add_table(self, block: SuryaBlock, place: Box, table: HtmlTable) -> None:
        first = len(self.lines)
        cells = []
        size = place.height / table.row_count / PITCH
        for cell in table.cells:
            if not cell.text:
                continue
            box = Box(
                place.left + place.width * cell.column / table.column_count,
                place.top + place.height * cell.row / table.row_count,
                place.left + place.width * (cell.column + cell.column_span) / table.column_count,
                place.top + place.height * (cell.row + cell.row_span) / table.row_count,
            )
            cells.append(
                TableCell(
                    row=cell.row,
                    column=cell.column,
                    row_span=cell.row_span,
                    column_span=cell.column_span,
                    is_header=cell.is_header,
                    first_line=len(self.lines),
                    line_count=1,
                    bbox=box.clipped(self.image.width, self.image.height),
                )
            )
            estimate = min(size, _font_size(box, cell.text) or size)
            self.lines.append(self._line(cell.text, block, box, estimate))
        if cells:
            self.tables.append(
                Table(
                    bbox=place.clipped(self.image.width, self.image.height),
                    row_count=table.row_count,
                    column_count=table.column_count,
                    first_line=first,
                    line_count=len(self.lines) - first,
                    cells=tuple(cells),
                )
            )

    def _line(self, text: str, block: SuryaBlock, box: Box | None, size: float | None) -> Line:
        return Line(
            text=text,
            bbox=box.clipped(self.image.width, self.image.height) if box is not None else None,
            confidence=None if block.confidence is None else round(block.confidence, 4),
            font_size=None if size is None else round(size, 1),
        )


def _on_page(box: Box, image: PageImage) -> Box | None:
    """The part of the box that lies on the page, in points; None for none: a model may say anything."""
    corners = (box.left, box.top, box.right, box.bottom)
    if not all(map(math.isfinite, corners)):
        return None
    left, top, right, bottom = (corner / image.scale for corner in corners)
    ordered = Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    place = Box(*ordered.clipped(image.width, image.height))
    return place if place.width > 0 and place.height > 0 else None


def _above(place: Box, table: HtmlTable) -> Box:
    """Where text that stands in no cell is taken to be: as many rows at the table's top."""
    share = len(table.outside) / (len(table.outside) + table.row_count)
    return Box(place.left, place.top, place.right, place.top + place.height * share)


def _advance(text: str) -> float:
    """How long the text is in one line, in ems."""
    return sum(
        WIDE if unicodedata.east_asian_width(character) in "WF" else NARROW for character in text
    )


def _font_size(box: Box | None, text: str) -> float | None:
    """That in which the text fills the box, in points: its lines' room is its length times the pitch."""
    if box is None or not text:
        return None
    return min(math.sqrt(box.width * box.height / (PITCH * _advance(text))), box.height)


def _slices(place: Box | None, texts: Sequence[str]) -> list[Box | None]:
    """The block's box cut into one for each text, by the rows that each needs at the block's size."""
    if place is None or not texts:
        return [None] * len(texts)
    size = _font_size(place, " ".join(texts)) or place.height
    rows = [max(1, math.ceil(_advance(text) * size / place.width)) for text in texts]
    row_height = place.height / sum(rows)
    boxes: list[Box | None] = []
    top = place.top
    for count in rows:
        boxes.append(Box(place.left, top, place.right, top + count * row_height))
        top += count * row_height
    return boxes

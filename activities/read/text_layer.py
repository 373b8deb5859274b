"""Pages of a PDF by their text layer: docling-parse's words, pdfium's where that cannot read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2
from docling_core.types.doc.page import PdfTextCell, SegmentedPdfPage, TextCell
from docling_parse.pdf_parser import (
    ContentConfig,
    ContentLevel,
    DoclingPdfParser,
    PdfDocument,
)

from activities.read.geometry import Box, Turn
from activities.read.layout import Word, lay_out
from muniment.contracts.documents import Line, Page, PageSource
from muniment.errors import DamagedDocument

ENGINE = "docling-parse"
FALLBACK_ENGINE = "pdfium"
_CONTENT = ContentConfig(
    char_cells_content_level=ContentLevel.COMPUTE,
    word_cells_content_level=ContentLevel.COMPUTE_AND_MATERIALIZE,
    line_cells_content_level=ContentLevel.SKIP,
    shapes_content_level=ContentLevel.SKIP,
    bitmaps_content_level=ContentLevel.SKIP,
    include_bitmap_bytes=False,
)
"""Words only: line cells fuse table columns, and all else costs several times the time."""
_HIDDEN_MODES = frozenset({3, 7})  # ISO 32000-1, table 106: neither filled nor stroked
_BOLD_MARKS = ("bold", "black", "heavy", "demi", "cmbx")
_SIZE_TOLERANCE_POINTS = 2.0


@dataclass(frozen=True, slots=True)
class TextLayerReader:
    """Reads pages of one document; `parsed` is None when docling-parse refused it."""

    document: pypdfium2.PdfDocument
    parsed: PdfDocument | None

    def read(self, number: int) -> Page:
        """One page; DamagedDocument when neither library can read it."""
        try:
            page = self.document[number - 1]
        except (pypdfium2.PdfiumError, IndexError):
            raise DamagedDocument("The page is damaged beyond reading.") from None
        try:
            width, height = page.get_size()
            engine, lines = ENGINE, self._parsed_lines(number, width, height)
            if lines is None:
                engine, lines = FALLBACK_ENGINE, list(_pdfium_lines(page))
            return Page(
                page=number,
                width=round(width, 2),
                height=round(height, 2),
                rotation=page.get_rotation(),
                source=PageSource.TEXT,
                engine=engine,
                text="\n".join(line.text for line in lines),
                lines=tuple(lines),
            )
        except pypdfium2.PdfiumError:
            raise DamagedDocument("The page is damaged beyond reading.") from None
        finally:
            page.close()

    def _parsed_lines(self, number: int, width: float, height: float) -> list[Line] | None:
        """None where docling-parse fails, sees another page than pdfium, or no words."""
        if self.parsed is None:
            return None
        try:
            parsed = self.parsed.get_page(number, content_config=_CONTENT)
        except (RuntimeError, ValueError, IndexError, KeyError):
            return None
        finally:
            self.parsed.unload_pages((number, number + 1))
        frame = parsed.dimension.rect.to_bounding_box()
        if (
            abs(frame.width - width) > _SIZE_TOLERANCE_POINTS
            or abs(frame.height - height) > _SIZE_TOLERANCE_POINTS
            or not parsed.word_cells
        ):
            return None
        return lay_out(list(_words(parsed, frame.height)), width, height)


def parse(path: str, password: str | None) -> PdfDocument | None:
    """The document as docling-parse sees it; None when it cannot read it."""
    try:
        document = DoclingPdfParser(loglevel="fatal").load(path, password=password)
        return document if document.number_of_pages() > 0 else None
    except RuntimeError:  # it says no more than that; pdfium has the last word
        return None


def _words(page: SegmentedPdfPage, height: float) -> Iterator[Word]:
    """Cells are measured from the lower left corner of the crop box, wherever that lies."""
    for cell in page.word_cells:
        yield Word(
            text=cell.text,
            box=_box(cell, height),
            turn=_turn(cell),
            hidden=isinstance(cell, PdfTextCell) and int(cell.rendering_mode) in _HIDDEN_MODES,
            bold=isinstance(cell, PdfTextCell) and _is_bold(cell.font_name),
        )


def _box(cell: TextCell, height: float) -> Box:
    rect = cell.rect
    corners = [
        (rect.r_x0, rect.r_y0),
        (rect.r_x1, rect.r_y1),
        (rect.r_x2, rect.r_y2),
        (rect.r_x3, rect.r_y3),
    ]
    return Box.around([(x, height - y) for x, y in corners])


def _turn(cell: TextCell) -> Turn:
    """The direction from the cell's first corner to its second, to the nearest right angle."""
    rect = cell.rect
    degrees = math.degrees(math.atan2(rect.r_y0 - rect.r_y1, rect.r_x1 - rect.r_x0))
    return Turn(round(degrees / 90) % 4 * 90)


def _is_bold(font_name: str) -> bool:
    name = font_name.lower()
    return any(mark in name for mark in _BOLD_MARKS)


def _pdfium_lines(page: pypdfium2.PdfPage) -> Iterator[Line]:
    """pdfium's own runs of text, in its order."""
    width, height = page.get_size()
    left, bottom, right, top = page.get_bbox()
    text_page = page.get_textpage()
    try:
        if page.get_rotation() != 0:
            # Its boxes are those of the unrotated page: text without boxes is better than wrong ones.
            for text in text_page.get_text_range().splitlines():
                if text.strip():
                    yield Line(text=text.strip())
            return
        for index in range(text_page.count_rects()):
            x0, y0, x1, y1 = text_page.get_rect(index)
            text = " ".join(text_page.get_text_bounded(x0, y0, x1, y1).split())
            if text and x0 < right and x1 > left and y0 < top and y1 > bottom:
                box = Box(x0 - left, top - y1, x1 - left, top - y0)
                yield Line(
                    text=text,
                    bbox=box.clipped(width, height),
                    font_size=round(box.height, 2),
                )
    finally:
        text_page.close()

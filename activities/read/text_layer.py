"""Pages of a PDF by their text layer: docling-parse's words, pdfium's where that cannot read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pypdfium2
import pypdfium2.raw as pdfium
from docling_parse.pdf_parser import PdfDocument

from activities.read.cleaning import clean
from activities.read.geometry import Box
from activities.read.layout import Layout, lay_out
from activities.read.painted import unseen_text
from activities.read.parsed_page import parsed_content
from activities.read.unseen_characters import without_unseen
from muniment.contracts.documents import BoundingBox, HiddenText, Line, Page, PageSource
from muniment.errors import DamagedDocument

ENGINE = "docling-parse"
FALLBACK_ENGINE = "pdfium"
SMALLEST_PICTURE_POINTS = 16.0
MOST_PICTURES = 200
LONGEST_LABEL = 32


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
            return self._page(number, page, self._parsed(number, page) or _by_pdfium(page))
        except pypdfium2.PdfiumError:
            raise DamagedDocument("The page is damaged beyond reading.") from None
        finally:
            page.close()

    def _parsed(self, number: int, page: pypdfium2.PdfPage) -> "_Read | None":
        if self.parsed is None:
            return None
        drawn_objects = pdfium.FPDFPage_CountObjects(page.raw)
        content = parsed_content(self.parsed, number, page, drawn_objects)
        if content is None:
            return None
        width, height = page.get_size()
        words = clean(content.words, width, height, unseen_text(page))
        layout = lay_out(replace(content, words=words.words), width, height)
        pictures = tuple(_pictures(content.pictures, width, height))
        return _Read(ENGINE, layout, words.hidden, pictures)

    def _page(self, number: int, page: pypdfium2.PdfPage, read: "_Read") -> Page:
        width, height = page.get_size()
        label = self.document.get_page_label(number - 1)
        return Page(
            page=number,
            label=label[:LONGEST_LABEL].strip() or None,
            width=round(width, 2),
            height=round(height, 2),
            rotation=page.get_rotation(),
            source=PageSource.TEXT,
            engine=read.engine,
            text="\n".join(line.text for line in read.layout.lines),
            lines=tuple(read.layout.lines),
            tables=tuple(read.layout.tables),
            pictures=read.pictures,
            hidden=read.hidden,
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What one of the libraries read."""

    engine: str
    layout: Layout
    hidden: tuple[HiddenText, ...] = ()
    pictures: tuple[BoundingBox, ...] = ()


def _pictures(boxes: Sequence[Box], width: float, height: float) -> Iterator[BoundingBox]:
    """Pictures large enough to show something; the same place once."""
    seen: set[BoundingBox] = set()
    for box in boxes:
        place = box.clipped(width, height)
        small = min(place[2] - place[0], place[3] - place[1]) < SMALLEST_PICTURE_POINTS
        if not small and place not in seen and len(seen) < MOST_PICTURES:
            seen.add(place)
            yield place


def _by_pdfium(page: pypdfium2.PdfPage) -> _Read:
    return _Read(FALLBACK_ENGINE, Layout(list(_pdfium_lines(page))))


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
                    yield Line(text=" ".join(without_unseen(text)[0].split()))
            return
        for index in range(text_page.count_rects()):
            x0, y0, x1, y1 = text_page.get_rect(index)
            text = " ".join(without_unseen(text_page.get_text_bounded(x0, y0, x1, y1))[0].split())
            if text and x0 < right and x1 > left and y0 < top and y1 > bottom:
                box = Box(x0 - left, top - y1, x1 - left, top - y0)
                yield Line(
                    text=text,
                    bbox=box.clipped(width, height),
                    font_size=round(box.height, 2),
                )
    finally:
        text_page.close()

"""Pages of a PDF by their text layer: docling-parse's words, pdfium's where that cannot read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pypdfium2
import pypdfium2.raw as pdfium
from docling_parse.pdf_parser import PdfDocument

from activities.read.cleaning import clean
from activities.read.geometry import Box
from activities.read.layout import lay_out
from activities.read.painted import unseen_text
from activities.read.parsed_page import parsed_content
from activities.read.pdfium_page import pdfium_content
from activities.read.vertical import with_vertical_runs
from muniment.contracts.documents import BoundingBox, Page, PageSource
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
            return self._read(number, page)
        except pypdfium2.PdfiumError:
            raise DamagedDocument("The page is damaged beyond reading.") from None
        finally:
            page.close()

    def _read(self, number: int, page: pypdfium2.PdfPage) -> Page:
        engine, content = ENGINE, None
        if self.parsed is not None:
            drawn_objects = pdfium.FPDFPage_CountObjects(page.raw)
            content = parsed_content(self.parsed, number, page, drawn_objects)
        if content is None:
            engine, content = FALLBACK_ENGINE, pdfium_content(page)
        width, height = page.get_size()
        words = clean(content.words, width, height, unseen_text(page))
        layout = lay_out(replace(content, words=with_vertical_runs(words.words)), width, height)
        return Page(
            page=number,
            label=printed_label(self.document, number),
            width=round(width, 2),
            height=round(height, 2),
            rotation=page.get_rotation(),
            source=PageSource.TEXT,
            engine=engine,
            text="\n".join(line.text for line in layout.lines),
            lines=tuple(layout.lines),
            tables=tuple(layout.tables),
            pictures=tuple(_pictures(content.pictures, width, height)),
            hidden=words.hidden,
        )


def printed_label(document: pypdfium2.PdfDocument, number: int) -> str | None:
    """The number printed on that page, from 1, where the document says it."""
    return document.get_page_label(number - 1)[:LONGEST_LABEL].strip() or None


def _pictures(boxes: Sequence[Box], width: float, height: float) -> Iterator[BoundingBox]:
    """Pictures large enough to show something; the same place once."""
    seen: set[BoundingBox] = set()
    for box in boxes:
        place = box.clipped(width, height)
        small = min(place[2] - place[0], place[3] - place[1]) < SMALLEST_PICTURE_POINTS
        if not small and place not in seen and len(seen) < MOST_PICTURES:
            seen.add(place)
            yield place

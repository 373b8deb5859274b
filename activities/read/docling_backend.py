"""A page that was read, as docling's pipeline takes pages: our lines and words in place of a parser's.

So docling's models see what was found to be on the page, and no more: hidden text stays hidden, values of
forms are there, and a scanned page has the lines that OCR read.
"""

from collections.abc import Iterable
from io import BytesIO

from docling.backend.pdf_backend import PdfDocumentBackend, PdfPageBackend
from docling.datamodel.backend_options import PdfBackendOptions
from docling.datamodel.document import InputDocument
from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.page import (
    BoundingRectangle,
    PdfPageBoundaryType,
    PdfPageGeometry,
    SegmentedPdfPage,
    TextCell,
    TextCellUnit,
)
from PIL import Image

from activities.read.page_image import PageImage
from muniment.contracts.documents import BoundingBox as Place
from muniment.contracts.documents import Page


class PageStream(BytesIO):
    """What docling takes for a file, with the page that its backend gives."""

    def __init__(self, page: Page, image: PageImage) -> None:
        super().__init__(b"a page that was read")
        self.page = page
        self.image = image


class ReadPageBackend(PdfPageBackend):
    def __init__(self, page: Page, image: PageImage) -> None:
        self._page = page
        self._picture = Image.fromarray(image.pixels[:, :, ::-1])
        self._lines = _cells((line.text, line.bbox) for line in page.lines)
        self._words = _cells((word.text, word.bbox) for line in page.lines for word in line.words())

    @property
    def page_no(self) -> int:
        return 1

    def get_text_in_rect(self, bbox: BoundingBox) -> str:
        inside = self.get_segmented_page().get_cells_in_bbox(TextCellUnit.WORD, bbox)
        return " ".join(cell.text for cell in inside)

    def get_segmented_page(self) -> SegmentedPdfPage:
        whole = _box((0, 0, self._page.width, self._page.height))
        return SegmentedPdfPage(
            dimension=PdfPageGeometry(
                angle=0,
                rect=BoundingRectangle.from_bounding_box(whole),
                boundary_type=PdfPageBoundaryType.CROP_BOX,
                art_bbox=whole,
                bleed_bbox=whole,
                crop_bbox=whole,
                media_bbox=whole,
                trim_bbox=whole,
            ),
            char_cells=[],
            word_cells=list(self._words),
            textline_cells=list(self._lines),
            has_words=True,
            has_lines=True,
        )

    def get_text_cells(self) -> Iterable[TextCell]:
        return list(self._lines)

    def get_bitmap_rects(self, scale: float = 1) -> Iterable[BoundingBox]:
        return [_box(picture).scaled(scale) for picture in self._page.pictures]

    def get_page_image(self, scale: float = 1, cropbox: BoundingBox | None = None) -> Image.Image:
        width, height = round(self._page.width * scale), round(self._page.height * scale)
        scaled = self._picture.resize((max(1, width), max(1, height)))
        if cropbox is None:
            return scaled
        box = cropbox.to_top_left_origin(self._page.height).scaled(scale)
        return scaled.crop((round(box.l), round(box.t), round(box.r), round(box.b)))

    def get_size(self) -> Size:
        return Size(width=self._page.width, height=self._page.height)

    def is_valid(self) -> bool:
        return True

    def unload(self) -> None:
        return None


class ReadPageDocument(PdfDocumentBackend):
    """A document of that one page."""

    def __init__(
        self,
        in_doc: InputDocument,
        path_or_stream: PageStream,
        options: PdfBackendOptions | None = None,
    ) -> None:
        super().__init__(in_doc, path_or_stream, options)
        self._read = path_or_stream

    def load_page(self, page_no: int) -> ReadPageBackend:
        return ReadPageBackend(self._read.page, self._read.image)

    def page_count(self) -> int:
        return 1

    def is_valid(self) -> bool:
        return True


def _cells(texts: Iterable[tuple[str, Place | None]]) -> list[TextCell]:
    placed = [(text, place) for text, place in texts if place is not None and text.strip()]
    return [
        TextCell(
            index=index,
            rect=BoundingRectangle.from_bounding_box(_box(place)),
            text=text,
            orig=text,
            from_ocr=False,
        )
        for index, (text, place) in enumerate(placed)
    ]


def _box(place: Place) -> BoundingBox:
    left, top, right, bottom = place
    return BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)

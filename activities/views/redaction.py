"""A document as pictures in a PDF of its own, with black where something is to be gone.

Nothing of the original is copied: each page is drawn, painted over and compressed, and what is written
holds those pictures alone. So text, fonts, metadata, attachments, annotations and scripts stay behind.
"""

import io
import math

import pypdfium2
from PIL import Image

from activities.read.page_image import PageImage, PageImages, Pixels
from muniment.contracts.render_view import RedactedView
from muniment.contracts.word_boxes import BoundingBox

REDACTED_DPI = 150
"""What OCR still reads of print of 8 points."""
MARGIN_POINTS = 1.5
"""Painted around each box: what a smooth edge leaves of a letter, and strokes that leave their box."""
JPEG_QUALITY = 85


def redacted_pdf(
    images: PageImages, view: RedactedView, annotated: frozenset[int] = frozenset()
) -> bytes:
    """The PDF; `annotated` are pages that go whole. DamagedDocument when a page cannot be drawn: none is left
    out unseen."""
    boxes: dict[int, list[BoundingBox]] = {}
    for place in view.boxes:
        boxes.setdefault(place.page, []).append(place.bbox)
    blackened = annotated.union(view.blackened)
    made = pypdfium2.PdfDocument.new()
    try:
        for number in range(1, view.page_count + 1):
            drawn = images.image(number, dpi=REDACTED_DPI)
            if number in blackened:
                drawn.pixels[:] = 0
            for box in boxes.get(number, ()):
                _blacken(drawn, box)
            _add_page(made, drawn)
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()
    finally:
        made.close()


def _blacken(drawn: PageImage, box: BoundingBox) -> None:
    """Before anything is compressed, so that no pixel of the box leaves a trace beside it."""
    rows, columns = drawn.pixels.shape[:2]
    # Whole pixels: on a page that is much higher than wide the two directions differ by many.
    across, down = columns / drawn.width, rows / drawn.height
    left = max(0, math.floor((box[0] - MARGIN_POINTS) * across))
    top = max(0, math.floor((box[1] - MARGIN_POINTS) * down))
    right = min(columns, math.ceil((box[2] + MARGIN_POINTS) * across) + 1)
    bottom = min(rows, math.ceil((box[3] + MARGIN_POINTS) * down) + 1)
    drawn.pixels[top:bottom, left:right] = 0


def _add_page(made: pypdfium2.PdfDocument, drawn: PageImage) -> None:
    picture = pypdfium2.PdfImage.new(made)
    picture.load_jpeg(io.BytesIO(_jpeg(drawn.pixels)), inline=True)
    picture.set_matrix(pypdfium2.PdfMatrix().scale(drawn.width, drawn.height))
    page = made.new_page(drawn.width, drawn.height)
    try:
        page.insert_obj(picture)
        page.gen_content()
    finally:
        page.close()


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, ::-1]).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()

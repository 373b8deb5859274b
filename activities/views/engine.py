"""The engines `render_page`, `render_markdown`, `mark_pdf` and `redact_document`: what people look at or take
away."""

import io

from PIL import Image
from pydantic import ValidationError

from activities.assemble.export import to_markdown
from activities.read.damage import damage
from activities.read.page_image import POINTS_PER_INCH, PageImage, page_images
from activities.read.pdf_file import open_pdf
from activities.sandbox.registry import EngineContext, engine
from activities.views.appearances import pages_with_appearances
from activities.views.calls import (
    MarkdownRequest,
    MarkRequest,
    PageImageRequest,
    RedactionRequest,
    RenderedView,
)
from activities.views.marking import mark, mark_pages
from activities.views.redaction import redacted_pdf
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.render_view import MAXIMUM_PIXELS, ImageFormat, PageImageView
from muniment.errors import DamagedDocument

LONGEST_SIDE = 16_383
"""WebP's own limit, on either side; PNG is held to it too."""
WEBP_QUALITY = 85
WEBP_EFFORT = 2
"""Of 0–6: an A4 page at 150 dpi takes 0.1 s, at 6 half a second for a tenth fewer bytes."""


@engine("render_page")
def render_page(request: PageImageRequest, context: EngineContext) -> RenderedView:
    """One page as a picture, upright, what is transparent on white."""
    view = request.view
    with (
        page_images(context.content, request.family, request.password) as images,
        damage("The page is damaged beyond drawing."),
    ):
        drawn = images.image(view.page, dpi=view.dpi)
    picture = Image.fromarray(drawn.pixels[:, :, ::-1])
    fitted = picture.resize(_fitting(drawn, view), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return RenderedView(content=_encoded(fitted, view.format))


@engine("render_markdown")
def render_markdown(_request: MarkdownRequest, context: EngineContext) -> RenderedView:
    """Markdown of a DoclingDocument, with a line's end at its end."""
    try:
        markdown = to_markdown(context.content.read().decode())
    except ValidationError:
        # The validator's own message quotes the document.
        raise DamagedDocument("The assembled document does not follow its schema.") from None
    return RenderedView(content=f"{markdown}\n".encode())


@engine("mark_pdf")
def mark_pdf(request: MarkRequest, context: EngineContext) -> RenderedView:
    """A copy whose every page says who shared it. A signature in it no longer holds."""
    out = io.BytesIO()
    with (
        context.content.open() as file,
        open_pdf(file, None) as document,
        damage("The PDF is damaged beyond marking."),
    ):
        mark_pages(document, mark(request.name, request.id))
        document.save(out)
    return RenderedView(content=out.getvalue())


@engine("redact_document")
def redact_document(request: RedactionRequest, context: EngineContext) -> RenderedView:
    """A PDF of pictures, with black where the view says so."""
    with (
        page_images(context.content, request.family, None) as images,
        damage("A page is damaged beyond drawing."),
    ):
        annotated = frozenset[int]()
        if request.family is DocumentFamily.PDF:
            with context.content.open() as file, open_pdf(file, None) as document:
                annotated = pages_with_appearances(document)
        return RenderedView(content=redacted_pdf(images, request.view, annotated))


def _fitting(drawn: PageImage, view: PageImageView) -> tuple[int, int]:
    """Width and height in pixels: those of the resolution that is asked for, not above what was
    drawn, and within all bounds."""
    height, width = drawn.pixels.shape[:2]
    longest = min(view.longest_side or LONGEST_SIDE, LONGEST_SIDE)
    factor = min(
        1.0,
        view.dpi / (drawn.scale * POINTS_PER_INCH),
        longest / max(width, height),
        (MAXIMUM_PIXELS / (width * height)) ** 0.5,
    )
    return max(1, round(width * factor)), max(1, round(height * factor))


def _encoded(picture: Image.Image, image_format: ImageFormat) -> bytes:
    out = io.BytesIO()
    if image_format is ImageFormat.WEBP:
        picture.save(out, "WEBP", quality=WEBP_QUALITY, method=WEBP_EFFORT)
    else:
        picture.save(out, "PNG", compress_level=6)
    return out.getvalue()

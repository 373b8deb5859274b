"""Pictures of pages for OCR: PDF pages rendered, image files decoded, both in bounded size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageOps

from activities.inspect.images import IMAGE_FORMATS
from activities.read.pdf_file import open_pdf
from activities.sandbox.content import Content
from muniment.contracts.documents import DocumentFamily
from muniment.errors import DamagedDocument

RENDER_DPI = 200
MAXIMUM_PIXELS = 16_000_000
"""Four times an A4 page at 200 dpi; a larger page is rendered more coarsely."""
DEFAULT_DPI = 72.0
PLAUSIBLE_DPI = (36.0, 2400.0)
POINTS_PER_INCH = 72.0

Pixels = NDArray[numpy.uint8]


@dataclass(frozen=True, slots=True)
class PageImage:
    """`pixels` is height × width × 3 in BGR; `scale` pixels make a point. The page's size is in
    points."""

    pixels: Pixels
    scale: float
    width: float
    height: float
    rotation: int = 0


class PageImages(Protocol):
    """The pages of one document as images."""

    def image(self, number: int, dpi: float = RENDER_DPI) -> PageImage:
        """One page, numbered from 1; DamagedDocument when it cannot be drawn. An image file is
        given at its own resolution, whatever `dpi` says."""


@contextmanager
def page_images(
    content: Content, family: DocumentFamily, password: str | None
) -> Iterator[PageImages]:
    """The pages of a PDF or an image file."""
    with content.open() as file:
        if family is DocumentFamily.PDF:
            with open_pdf(file, password) as document:
                yield _PdfPages(document)
            return
        try:
            with Image.open(file, formats=IMAGE_FORMATS) as image:
                yield _ImageFrames(image)
        except (OSError, SyntaxError, EOFError) as error:
            raise DamagedDocument("The image is cut short or damaged.") from error


@dataclass(frozen=True, slots=True)
class _PdfPages:
    document: pypdfium2.PdfDocument

    def image(self, number: int, dpi: float = RENDER_DPI) -> PageImage:
        try:
            page = self.document[number - 1]
            try:
                return self._render(page, dpi)
            finally:
                page.close()
        except (pypdfium2.PdfiumError, IndexError):
            raise DamagedDocument("The page is damaged beyond reading.") from None

    def _render(self, page: pypdfium2.PdfPage, dpi: float) -> PageImage:
        width, height = page.get_size()
        if width <= 0 or height <= 0:
            raise DamagedDocument("The page has no area.")
        scale = dpi / POINTS_PER_INCH
        scale = min(scale, (MAXIMUM_PIXELS / (width * height)) ** 0.5)
        bitmap = page.render(scale=scale, prefer_bgrx=False, fill_color=(255, 255, 255, 255))
        try:
            pixels = bitmap.to_numpy().copy()
        finally:
            bitmap.close()
        if pixels.ndim == 2 or pixels.shape[2] == 1:
            pixels = numpy.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
        return PageImage(
            pixels=numpy.ascontiguousarray(pixels[:, :, :3]),
            scale=pixels.shape[1] / width,
            width=width,
            height=height,
            rotation=page.get_rotation(),
        )


@dataclass(frozen=True, slots=True)
class _ImageFrames:
    file: Image.Image

    def image(self, number: int, dpi: float = RENDER_DPI) -> PageImage:
        try:
            self.file.seek(number - 1)
            own_dpi = _dpi(self.file)
            frame = ImageOps.exif_transpose(self.file)
            flat = _flattened(frame)
        except (OSError, SyntaxError, EOFError, ValueError) as error:
            raise DamagedDocument("The image is cut short or damaged.") from error
        width = flat.width * POINTS_PER_INCH / own_dpi
        height = flat.height * POINTS_PER_INCH / own_dpi
        if flat.width * flat.height > MAXIMUM_PIXELS:
            factor = (MAXIMUM_PIXELS / (flat.width * flat.height)) ** 0.5
            size = (max(1, int(flat.width * factor)), max(1, int(flat.height * factor)))
            flat = flat.resize(size, Image.Resampling.LANCZOS)
        pixels = numpy.asarray(flat)[:, :, ::-1]
        return PageImage(
            pixels=numpy.ascontiguousarray(pixels),
            scale=flat.width / width,
            width=width,
            height=height,
        )


def _flattened(image: Image.Image) -> Image.Image:
    """RGB, what is transparent on white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode.startswith("I"):  # 16 or 32 bits of grey, which `convert` would clip
        grey = numpy.asarray(image).astype(numpy.float64)
        top = max(1.0, float(grey.max()))
        return Image.fromarray((grey * (255.0 / top)).astype(numpy.uint8)).convert("RGB")
    return image.convert("RGB")


def _dpi(image: Image.Image) -> float:
    """The file's own horizontal resolution where it is plausible, else 72."""
    try:
        dpi = float(image.info.get("dpi", (DEFAULT_DPI,))[0])
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return DEFAULT_DPI
    return dpi if PLAUSIBLE_DPI[0] <= dpi <= PLAUSIBLE_DPI[1] else DEFAULT_DPI

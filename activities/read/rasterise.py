"""The engine `rasterise_page`: a page as bare pixels, for an OCR engine that runs elsewhere.

What opens the file is this process, in the sandbox; what leaves it is a rectangle of numbers whose
size the receiver checks. So no parser runs where the page is read, and no key or file goes there.
"""

import numpy
from pydantic import ConfigDict

from activities.read.damage import damage
from activities.read.page_image import MAXIMUM_PIXELS, PageImage, Pixels, page_images
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily
from muniment.errors import EngineError

ENGINE_MODULE = "activities.read.rasterise"
COLOURS = 3


class RasterRequest(Contract):
    """One page, numbered from 1."""

    family: DocumentFamily
    page: int
    password: str | None = None


class Raster(Contract):
    """A PageImage on the wire: `channels` is 1 for a page without colour, of which BGR is made by
    repeating it; `pixels` are its rows from the top."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    pixels: bytes
    rows: int
    columns: int
    channels: int
    scale: float
    width: float
    height: float
    rotation: int


@engine("rasterise_page")
def rasterise_page(request: RasterRequest, context: EngineContext) -> Raster:
    """The page's picture as the OCR engines are given it."""
    with (
        page_images(context.content, request.family, request.password) as images,
        damage("The page is damaged beyond reading."),
    ):
        image = images.image(request.page)
    pixels = image.pixels[:, :, :1] if _is_grey(image.pixels) else image.pixels
    rows, columns, channels = pixels.shape
    return Raster(
        pixels=pixels.tobytes(),
        rows=rows,
        columns=columns,
        channels=channels,
        scale=image.scale,
        width=image.width,
        height=image.height,
        rotation=image.rotation,
    )


def as_image(raster: Raster) -> PageImage:
    """The picture, with as many channels as it came with; EngineError when its sizes contradict
    each other or the limits: they come from a process that has opened a stranger's file."""
    if (
        raster.channels not in (1, COLOURS)
        or min(raster.rows, raster.columns) < 1
        or raster.rows * raster.columns > 2 * MAXIMUM_PIXELS
        or len(raster.pixels) != raster.rows * raster.columns * raster.channels
    ):
        raise EngineError("The engine drew a page of impossible size.")
    pixels = numpy.frombuffer(raster.pixels, dtype=numpy.uint8)
    return PageImage(
        pixels=pixels.reshape(raster.rows, raster.columns, raster.channels),
        scale=raster.scale,
        width=raster.width,
        height=raster.height,
        rotation=raster.rotation,
    )


def in_colour(image: PageImage) -> PageImage:
    """The picture with three channels, writable: what the OCR engines take."""
    repeats = COLOURS // image.pixels.shape[2]
    pixels = numpy.repeat(image.pixels, repeats, axis=2)
    return PageImage(pixels, image.scale, image.width, image.height, image.rotation)


def _is_grey(pixels: Pixels) -> bool:
    blue, green, red = (pixels[:, :, channel] for channel in range(COLOURS))
    return bool(numpy.array_equal(blue, green) and numpy.array_equal(green, red))

"""Lines of a page's image by RapidOCR, with the models that its wheel carries."""

from collections.abc import Sequence
from functools import cache
from statistics import mean

import cv2
import numpy
from rapidocr.utils.output import RapidOCROutput

from activities.read.geometry import Box, Turn
from activities.read.levelled import Corners, levelled
from activities.read.page_image import PageImage
from activities.read.reading_order import SCANNED_GUTTERS, reading_order
from activities.read.recogniser import FEWEST_LINES_TO_JUDGE, TALL, Recogniser
from activities.sandbox.registry import warm
from muniment.contracts.documents import Line, Page, PageSource

ENGINE = "rapidocr"


@cache
def _reader() -> Recogniser:
    cv2.setNumThreads(0)
    return Recogniser()


@warm
def warm_ocr() -> None:
    """Every child then finds the models loaded."""
    _reader().load()


def read_image(number: int, image: PageImage) -> Page:
    """The page's lines in reading order, whichever way the page was laid on the scanner.

    A page that lies on its side is turned and read once more: lines are found and read better so.
    """
    turn, lines = _read(image)
    if turn in (Turn.DOWN, Turn.UP):
        lines = _read_turned(image, turn)
    scores = [line.confidence for line in lines if line.confidence is not None]
    return Page(
        page=number,
        width=round(image.width, 2),
        height=round(image.height, 2),
        rotation=image.rotation,
        source=PageSource.OCR,
        engine=ENGINE,
        confidence=round(mean(scores), 4) if scores else None,
        text="\n".join(line.text for line in lines),
        lines=tuple(lines),
    )


def _read(image: PageImage) -> tuple[Turn, list[Line]]:
    """The way the page's text runs, and its lines in reading order."""
    reader = _reader()
    reader.upside_down = []
    found = reader(image.pixels)
    if not isinstance(found, RapidOCROutput) or found.boxes is None:
        return Turn.RIGHT, []
    lines = [_in_points(corners, image.scale) for corners in found.boxes]
    boxes = [Box.around(list(corners)) for corners in lines]
    turn = _turn(boxes, reader.upside_down)
    upright = [box.upright(turn, image.width, image.height) for box in levelled(lines)]
    return turn, [
        Line(
            text=str((found.txts or ())[index]).strip(),
            bbox=boxes[index].clipped(image.width, image.height),
            confidence=round(float((found.scores or ())[index]), 4),
        )
        for index in reading_order(upright, SCANNED_GUTTERS)
    ]


def _read_turned(image: PageImage, turn: Turn) -> list[Line]:
    """The lines of the page turned upright, their boxes mapped back to the page as it lies."""
    quarter_turns, back = (1, Turn.UP) if turn is Turn.DOWN else (-1, Turn.DOWN)
    turned = PageImage(
        pixels=numpy.ascontiguousarray(numpy.rot90(image.pixels, quarter_turns)),
        scale=image.scale,
        width=image.height,
        height=image.width,
    )
    _, lines = _read(turned)
    return [
        line.model_copy(
            update={
                "bbox": Box(*line.bbox)
                .upright(back, turned.width, turned.height)
                .clipped(image.width, image.height)
            }
        )
        for line in lines
        if line.bbox is not None
    ]


def _in_points(corners: Sequence[Sequence[float]], scale: float) -> Corners:
    first, second, third, fourth = ((float(x) / scale, float(y) / scale) for x, y in corners)
    return first, second, third, fourth


def _turn(boxes: Sequence[Box], upside_down: Sequence[bool]) -> Turn:
    """The way the text runs: down or up when most boxes are tall, by what the classifier said.

    Lines are already read the right way round; only their order depends on this.
    """
    if len(boxes) < FEWEST_LINES_TO_JUDGE:
        return Turn.RIGHT
    tall = sum(1 for box in boxes if box.height >= TALL * box.width) * 2 > len(boxes)
    turned = sum(upside_down) * 2 > len(upside_down)
    if tall:
        return Turn.UP if turned else Turn.DOWN
    return Turn.LEFT if turned else Turn.RIGHT

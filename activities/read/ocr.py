"""Lines of a page's image by RapidOCR, with the models that its wheel carries."""

from collections.abc import Sequence
from functools import cache
from statistics import mean

import cv2
import numpy
from numpy.typing import NDArray
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_cls import TextClsOutput
from rapidocr.utils.output import RapidOCROutput

from activities.read.geometry import Box, Turn
from activities.read.page_image import PageImage
from activities.read.reading_order import reading_order
from activities.sandbox.registry import warm
from muniment.contracts.documents import Line, Page, PageSource

ENGINE = "rapidocr"
LOWEST_CONFIDENCE = 0.5
TALL = 1.5
"""RapidOCR turns a box that is this much taller than wide before it reads it."""
UPSIDE_DOWN = "180"
FEWEST_LINES_TO_JUDGE = 3

Pixels = NDArray[numpy.uint8]


class _Reader(RapidOCR):
    """RapidOCR that remembers which lines it had to turn upside down."""

    def __init__(self) -> None:
        super().__init__(
            params={
                "Global.log_level": "critical",
                "Global.text_score": LOWEST_CONFIDENCE,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self.upside_down: list[bool] = []

    def load(self) -> None:
        """Builds the three models' sessions, which the library does at the first line it reads.

        Reading a picture would do so too, at ten times the cost: the smallest is enlarged to the
        detector's 736 pixels.
        """
        for load_model in (self._load_det_model, self._load_cls_model, self._load_rec_model):
            load_model()

    def cls_and_rotate(self, img: list[Pixels]) -> tuple[list[Pixels], TextClsOutput]:
        """As the library does, noting each line's direction."""
        images, classified = super().cls_and_rotate(img)
        self.upside_down = [str(label) == UPSIDE_DOWN for label, _ in classified.cls_res or ()]
        return images, classified


@cache
def _reader() -> _Reader:
    cv2.setNumThreads(0)
    return _Reader()


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
    boxes = [_box(corners, image.scale) for corners in found.boxes]
    turn = _turn(boxes, reader.upside_down)
    upright = [box.upright(turn, image.width, image.height) for box in boxes]
    return turn, [
        Line(
            text=str((found.txts or ())[index]).strip(),
            bbox=boxes[index].clipped(image.width, image.height),
            confidence=round(float((found.scores or ())[index]), 4),
        )
        for index in reading_order(upright)
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


def _box(corners: Sequence[Sequence[float]], scale: float) -> Box:
    return Box.around([(float(x) / scale, float(y) / scale) for x, y in corners])


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

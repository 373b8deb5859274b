"""Lines of a page's image by RapidOCR, with the models that its wheel carries."""

from collections.abc import Callable, Sequence

import cv2
import numpy
import onnxruntime

from activities.read.geometry import Box, Turn
from activities.read.levelled import Corners, levelled
from activities.read.ocr_engine import page_of_lines
from activities.read.ocr_words import Quadrilateral
from activities.read.page_image import PageImage
from activities.read.reading_order import SCANNED_GUTTERS, reading_order
from activities.read.recogniser import (
    FEWEST_LINES_TO_JUDGE,
    TALL,
    FoundLine,
    LiesOnItsSide,
    Recogniser,
)
from activities.read.vertical import is_ideographic
from muniment.contracts.documents import BoundingBox, Line, Page
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.word_boxes import pack_boxes
from muniment.errors import ConfigurationError

CUDA = "CUDAExecutionProvider"


class RapidOcr:
    """The recogniser with its lines put in order and in points."""

    def __init__(
        self, engine: OcrEngineName = OcrEngineName.RAPIDOCR, *, on_cuda: bool = False
    ) -> None:
        """ConfigurationError where CUDA is asked for and the runtime has none: the library would
        silently compute on the CPU, with a GPU standing idle."""
        if on_cuda and CUDA not in onnxruntime.get_available_providers():
            raise ConfigurationError(
                "the replica has a GPU, and an ONNX Runtime without CUDA",
                remedy="Install onnxruntime-gpu in place of onnxruntime where the replicas run.",
            )
        self._on_cuda = on_cuda
        cv2.setNumThreads(0)
        self.name = engine.value
        self._recogniser = Recogniser(
            on_openvino=engine is OcrEngineName.RAPIDOCR_OPENVINO, on_cuda=on_cuda
        )

    def load(self) -> None:
        """Loads the models, which the first page would else wait for. ConfigurationError where they
        were to run on CUDA and do not: a runtime that was built with CUDA and finds no driver, device
        or library of it takes the CPU, and says so in a warning at most."""
        self._recogniser.load()
        if self._on_cuda and not self._recogniser.runs_on(CUDA):
            raise ConfigurationError(
                "the replica's ONNX Runtime has CUDA and cannot use it",
                remedy="See that nvidia-smi lists the GPU there, and install CUDA and cuDNN as this"
                " onnxruntime-gpu wants them (`pip install 'onnxruntime-gpu[cuda,cudnn]'`).",
            )

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        """Pages that become unwanted are given up, with Unwanted, between the models' runs."""
        self._recogniser.stop_when(is_unwanted)

    def alphabet(self) -> frozenset[str]:
        """The characters that the models can give: a page in another script is not read."""
        return self._recogniser.alphabet()

    def read(self, number: int, image: PageImage) -> Page:
        """The page's lines in reading order, whichever way the page was laid on the scanner.

        A page that lies on its side is turned, and its lines are found anew.
        """
        try:
            lines = self._read(image)
        except LiesOnItsSide as lying:
            lines = self._read_turned(image, Turn.UP if lying.upside_down else Turn.DOWN)
        return page_of_lines(number, image, self.name, lines)

    def _read(self, image: PageImage, *, takes_any_side: bool = False) -> list[Line]:
        """The page's lines in reading order; LiesOnItsSide unless `takes_any_side`."""
        found = self._recogniser.find_lines(image.pixels, takes_any_side=takes_any_side)
        lines = [_in_points(line.corners, image.scale) for line in found]
        boxes = [Box.around(list(corners)) for corners in lines]
        turn = Turn.DOWN if _is_vertical(found, boxes) else _turn(self._recogniser.upside_down)
        upright = [box.upright(turn, image.width, image.height) for box in levelled(lines)]
        return [_line(found[index], image) for index in reading_order(upright, SCANNED_GUTTERS)]

    def _read_turned(self, image: PageImage, turn: Turn) -> list[Line]:
        """The lines of the page turned upright, their boxes mapped back to the page as it lies."""
        quarter_turns, back = (1, Turn.UP) if turn is Turn.DOWN else (-1, Turn.DOWN)
        turned = PageImage(
            pixels=numpy.ascontiguousarray(numpy.rot90(image.pixels, quarter_turns)),
            scale=image.scale,
            width=image.height,
            height=image.width,
        )
        lines = self._read(turned, takes_any_side=True)

        def put_back(box: BoundingBox) -> BoundingBox:
            lying = Box(*box).upright(back, turned.width, turned.height)
            return lying.clipped(image.width, image.height)

        return [_moved(line, put_back) for line in lines]


def _is_vertical(found: Sequence[FoundLine], boxes: Sequence[Box]) -> bool:
    """Columns of Chinese or Japanese, too few of them to be taken for a page on its side: they are
    read from right to left."""
    return len(boxes) < FEWEST_LINES_TO_JUDGE and all(
        box.height >= TALL * box.width and is_ideographic(line.text)
        for line, box in zip(found, boxes, strict=True)
    )


def _line(found: FoundLine, image: PageImage) -> Line:
    def place(corners: Quadrilateral) -> BoundingBox:
        around = Box.around(list(_in_points(corners, image.scale)))
        return around.clipped(image.width, image.height)

    bbox = place(found.corners)
    return Line(
        text=found.text,
        bbox=bbox,
        confidence=round(found.confidence, 4),
        word_boxes=pack_boxes([place(corners) for corners in found.words], bbox),
    )


def _moved(line: Line, move: Callable[[BoundingBox], BoundingBox]) -> Line:
    if line.bbox is None:
        return line
    bbox = move(line.bbox)
    words = pack_boxes([move(word.bbox) for word in line.words()], bbox)
    return line.model_copy(update={"bbox": bbox, "word_boxes": words})


def _in_points(corners: Quadrilateral, scale: float) -> Corners:
    first, second, third, fourth = ((x / scale, y / scale) for x, y in corners)
    return first, second, third, fourth


def _turn(upside_down: Sequence[bool]) -> Turn:
    """Lines are already read the right way round; only their order depends on this."""
    if len(upside_down) < FEWEST_LINES_TO_JUDGE:
        return Turn.RIGHT
    return Turn.LEFT if sum(upside_down) * 2 > len(upside_down) else Turn.RIGHT

"""RapidOCR as it is used here: its models loaded when told to, its lines turned by majority."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from types import MappingProxyType
from typing import Any, Protocol, cast

import cv2
import numpy
from numpy.typing import NDArray
from rapidocr import EngineType, RapidOCR
from rapidocr.ch_ppocr_cls import TextClsOutput
from rapidocr.ch_ppocr_rec import TextRecognizer
from rapidocr.ch_ppocr_rec.typings import TextRecOutput, WordInfo
from rapidocr.utils.output import RapidOCROutput

from activities.read.ocr_words import Quadrilateral, Span, corners_of_word, spans_of_words

LOWEST_CONFIDENCE = 0.5
TALL = 1.5
"""RapidOCR turns a box that is this much taller than wide before it reads it."""
DETECTION_SIDE = 1600
"""Lines are sought in the page with its longer side at this many pixels, and read at full size. On
eight made scans of 2200 pixels: 6.2 s of CPU a page and a word recall of .961, against 8.4 s and
.953 at full size (1280: 5.1 s and .939; 960: 4.0 s and .946)."""
UPSIDE_DOWN = "180"
FEWEST_LINES_TO_JUDGE = 3

SETTINGS: Mapping[str, object] = MappingProxyType(
    {
        "Global.log_level": "critical",
        "Global.text_score": LOWEST_CONFIDENCE,
        "Global.return_word_box": True,
        "Det.limit_type": "max",
        "Det.limit_side_len": DETECTION_SIDE,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
)
"""The library's parameters on one core."""
_ON_OPENVINO: Mapping[str, object] = MappingProxyType(
    {
        **{f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Cls", "Rec")},
        "EngineConfig.openvino.inference_num_threads": 1,
        "EngineConfig.openvino.num_streams": 1,
    }
)

Pixels = NDArray[numpy.uint8]


@dataclass(frozen=True, slots=True)
class FoundLine:
    """`corners` in pixels, `confidence` from 0 to 1; `words` are the corners of the words between white
    space, none where they are not known."""

    corners: Quadrilateral
    text: str
    confidence: float
    words: tuple[Quadrilateral, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a line as it was laid before the recogniser: a `tall` one's top to the left, and an
    `upside_down` one turned."""

    spans: tuple[Span, ...]
    tall: bool
    upside_down: bool

    def places(self, line: Quadrilateral) -> tuple[Quadrilateral, ...]:
        """Their corners on the page, in the order of the text."""
        upper_left, upper_right, lower_right, lower_left = line
        laid = (
            (upper_right, lower_right, lower_left, upper_left)
            if self.tall
            else (upper_left, upper_right, lower_right, lower_left)
        )
        begins = (*laid[2:], *laid[:2]) if self.upside_down else laid
        return tuple(corners_of_word(begins, span) for span in self.spans)


class LiesOnItsSide(Exception):
    """Most of the page's text runs up or down; `upside_down` when it runs up."""

    def __init__(self, *, upside_down: bool) -> None:
        super().__init__()
        self.upside_down = upside_down


class Unwanted(Exception):
    """Nobody waits for the page any more."""


_Run = Callable[[NDArray[numpy.float32]], NDArray[numpy.float32]]


class _RuntimeSession(Protocol):
    def get_providers(self) -> list[str]:
        """What the model runs on, the first choice first."""


class _Session(Protocol):
    """The library's own, around the runtime's."""

    session: _RuntimeSession

    def __call__(self, pixels: NDArray[numpy.float32], /) -> NDArray[numpy.float32]: ...


class _Part(Protocol):
    """A step of the library's, with the session that runs its model."""

    session: "_Session | _Stoppable"


class _Stoppable:
    """A model's session that asks before every run whether the page is still wanted."""

    def __init__(self, run: _Run, is_unwanted: Callable[[], bool]) -> None:
        self._run = run
        self._is_unwanted = is_unwanted

    def __call__(self, pixels: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
        if self._is_unwanted():
            raise Unwanted
        return self._run(pixels)


class Recogniser(RapidOCR):
    """Reads the lines of an image; `upside_down` says of each line found which way it stood.

    The library judges every line by itself, and of upright lines takes some to be upside down,
    which makes nonsense of them. A page is laid one way: lines are turned by what most
    of them say, those that run across apart from those that run up or down.
    """

    def __init__(self, *, on_openvino: bool = False, on_cuda: bool = False) -> None:
        super().__init__(
            params={
                **(_ON_OPENVINO if on_openvino else {}),
                **SETTINGS,
                "EngineConfig.onnxruntime.use_cuda": on_cuda,
            }
        )
        self.upside_down: list[bool] = []
        self._tall: list[bool] = []
        self._lengths: list[int] = []
        self._takes_any_side = False

    def find_lines(self, pixels: Pixels, *, takes_any_side: bool) -> list[FoundLine]:
        """The page's lines, in no order to rely on.

        LiesOnItsSide, before the lines are read and unless `takes_any_side`, when most of the text
        runs up or down: it is found and read better when the page is turned.
        """
        self._takes_any_side = takes_any_side
        self.upside_down = []
        found = self(pixels)
        if not isinstance(found, RapidOCROutput) or found.boxes is None:
            return []
        lines = cast("Sequence[Words]", found.word_results)
        return [
            FoundLine(corners, str(text).strip(), float(score), words.places(corners))
            for corners, text, score, words in zip(
                found.boxes.tolist(), found.txts or (), found.scores or (), lines, strict=True
            )
        ]

    def load(self) -> None:
        """Builds the three models' sessions, which the library does at the first line it reads.

        Reading a picture would do so too, at ten times the cost: the smallest is enlarged to the
        detector's 736 pixels.
        """
        for load_model in self._loaders():
            load_model()

    def runs_on(self, provider: str) -> bool:
        """Whether the runtime gave every model that provider as its first; to be asked of ONNX Runtime,
        and before `stop_when`."""
        return all(
            not isinstance(session := load_model().session, _Stoppable)
            and session.session.get_providers()[0] == provider
            for load_model in self._loaders()
        )

    def stop_when(self, is_unwanted: Callable[[], bool]) -> None:
        """From now on a page that has become unwanted is given up with Unwanted before the next run
        of a model, each of which takes well under a second."""
        for load_model in self._loaders():
            part = load_model()
            part.session = _Stoppable(part.session, is_unwanted)

    def _loaders(self) -> tuple[Callable[[], "_Part"], ...]:
        return (self._load_det_model, self._load_cls_model, self._load_rec_model)

    def alphabet(self) -> frozenset[str]:
        """The characters that the models can give."""
        load_model: Callable[[], TextRecognizer] = self._load_rec_model
        return frozenset(map(str, load_model().postprocess_op.character))

    def crop_text_regions(self, img: Pixels, det_boxes: NDArray[numpy.float32]) -> list[Pixels]:
        """As the library does, noting how long the lines are and which run up or down."""
        sizes = [_size(corners) for corners in det_boxes.tolist()]
        self._tall = [height >= TALL * width for width, height in sizes]
        self._lengths = [max(size) for size in sizes]
        crops: list[Pixels] = super().crop_text_regions(img, det_boxes)
        return crops

    def cls_and_rotate(self, img: list[Pixels]) -> tuple[list[Pixels], TextClsOutput]:
        """As the library does, but turned by majority."""
        images, classified = super().cls_and_rotate(img)
        judged = [(str(label), float(score)) for label, score in classified.cls_res or ()]
        turned = [
            label == UPSIDE_DOWN and score > self.cfg.Cls.cls_thresh for label, score in judged
        ]
        self.upside_down = list(turned)
        for tall in (False, True):
            members = [index for index, line in enumerate(self._tall) if line is tall]
            if len(members) >= FEWEST_LINES_TO_JUDGE:
                decided = _most_say_upside_down([judged[index] for index in members])
                for index in members:
                    self.upside_down[index] = decided
        if self._lies_on_its_side() and not self._takes_any_side:
            up = _most_say_upside_down(list(compress(judged, self._tall)))
            raise LiesOnItsSide(upside_down=up)
        return [
            image if wanted is done else numpy.ascontiguousarray(cv2.rotate(image, cv2.ROTATE_180))
            for image, wanted, done in zip(images, self.upside_down, turned, strict=True)
        ], classified

    def recognize_txt(self, img: list[Pixels]) -> TextRecOutput:
        """As the library does, with the place of each word in its line."""
        read: TextRecOutput = super().recognize_txt(img)
        # The library declares what comes of it in the end; here it still is of this type.
        columns = cast("Sequence[WordInfo]", read.word_results)
        words = tuple(
            Words(spans_of_words(text, of_line), tall, upside_down)
            for text, of_line, tall, upside_down in zip(
                read.txts or (), columns, self._tall, self.upside_down, strict=True
            )
        )
        read.word_results = cast("Any", words)
        return read

    def calc_word_boxes(
        self, _img: list[Pixels], _boxes: NDArray[numpy.float32], read: TextRecOutput
    ) -> tuple[Words, ...]:
        """The words as they are: what the library makes of them are boxes of whole pixels, and of pieces
        other than the words between white space."""
        return cast("tuple[Words, ...]", tuple(read.word_results))

    def _lies_on_its_side(self) -> bool:
        """By the lines' lengths: specks and ornaments are many, but short."""
        tall = sum(compress(self._lengths, self._tall))
        return len(self._tall) >= FEWEST_LINES_TO_JUDGE and 2 * tall > sum(self._lengths)


def _most_say_upside_down(judged: Sequence[tuple[str, float]]) -> bool:
    return sum(score if label == UPSIDE_DOWN else -score for label, score in judged) > 0


def _size(corners: Quadrilateral) -> tuple[int, int]:
    """Width and height in whole pixels, as the library measures them."""
    upper_left, upper_right, lower_right, lower_left = corners
    return (
        int(max(math.dist(upper_left, upper_right), math.dist(lower_left, lower_right))),
        int(max(math.dist(upper_left, lower_left), math.dist(upper_right, lower_right))),
    )

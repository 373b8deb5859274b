"""RapidOCR as it is used here: its models loaded when told to, its lines turned by majority."""

import math
from collections.abc import Callable, Sequence
from itertools import compress

import cv2
import numpy
from numpy.typing import NDArray
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_cls import TextClsOutput

LOWEST_CONFIDENCE = 0.5
TALL = 1.5
"""RapidOCR turns a box that is this much taller than wide before it reads it."""
UPSIDE_DOWN = "180"
FEWEST_LINES_TO_JUDGE = 3

Pixels = NDArray[numpy.uint8]
Corners = Sequence[Sequence[float]]
"""Of a line's quadrilateral: upper left, upper right, lower right, lower left, each (x, y)."""


class Recogniser(RapidOCR):
    """Reads the lines of an image; `upside_down` says of each line found which way it stood.

    The library judges every line by itself, and of upright lines it takes one in thirty to be
    upside down, which makes nonsense of it. A page is laid one way: lines are turned by what most
    of them say, those that run across apart from those that run up or down.
    """

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
        self._tall: list[bool] = []

    def load(self) -> None:
        """Builds the three models' sessions, which the library does at the first line it reads.

        Reading a picture would do so too, at ten times the cost: the smallest is enlarged to the
        detector's 736 pixels.
        """
        loaders: tuple[Callable[[], object], ...] = (
            self._load_det_model,
            self._load_cls_model,
            self._load_rec_model,
        )
        for load_model in loaders:
            load_model()

    def crop_text_regions(self, img: Pixels, det_boxes: NDArray[numpy.float32]) -> list[Pixels]:
        """As the library does, noting which lines run up or down."""
        self._tall = [_is_tall(corners) for corners in det_boxes.tolist()]
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
            members = [line_tall is tall for line_tall in self._tall]
            votes = [
                score if label == UPSIDE_DOWN else -score
                for label, score in compress(judged, members)
            ]
            if len(votes) >= FEWEST_LINES_TO_JUDGE:
                for index in compress(range(len(turned)), members):
                    self.upside_down[index] = sum(votes) > 0
        return [
            image if wanted is done else numpy.ascontiguousarray(cv2.rotate(image, cv2.ROTATE_180))
            for image, wanted, done in zip(images, self.upside_down, turned, strict=True)
        ], classified


def _is_tall(corners: Corners) -> bool:
    upper_left, upper_right, lower_right, lower_left = corners
    width = max(math.dist(upper_left, upper_right), math.dist(lower_left, lower_right))
    height = max(math.dist(upper_left, lower_left), math.dist(upper_right, lower_right))
    return height >= TALL * width

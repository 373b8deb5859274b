"""Pages that lie askew are turned straight before they are read, and boxes found are put back.

For engines that read along the page's rows: RapidOCR cuts each line out along its own slope.
"""

import math
from dataclasses import dataclass

import cv2
import numpy
from numpy.typing import NDArray

from activities.read.geometry import Box
from activities.read.page_image import PageImage, Pixels

LEAST_DEGREES = 0.4
"""What lies straighter is left alone."""
MOST_DEGREES = 20.0
COARSE_DEGREES = 0.5
"""A line of 12 pixels' height and 600 pixels' length blurs into its neighbours at 1.1°."""
FINE_DEGREES = 0.1
SOUGHT_SIDE = 1000
"""The angle is sought in the page with its longer side at this many pixels."""
STROKE_PIXELS = 15
"""What is dark over no more than this, at that size, is ink: shades and pictures are not."""
MOST_INK = 12_000
CLEARER = 1.5
"""The rows of a page turned straight stand out so many times more than before, or it is left."""

_Coordinates = NDArray[numpy.float32]
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Straightened:
    """The page turned by `degrees` about its middle, on a ground large enough for all of it."""

    image: PageImage
    degrees: float
    width: float
    height: float

    def back(self, box: Box) -> Box:
        """The box around this one's place on the page as it lies; both in points."""
        angle = math.radians(self.degrees)
        sine, cosine = math.sin(angle), math.cos(angle)
        middle_x, middle_y = self.image.width / 2, self.image.height / 2
        return Box.around(
            [
                (
                    self.width / 2 + (x - middle_x) * cosine + (y - middle_y) * sine,
                    self.height / 2 - (x - middle_x) * sine + (y - middle_y) * cosine,
                )
                for x in (box.left, box.right)
                for y in (box.top, box.bottom)
            ]
        )


def straightened(image: PageImage) -> Straightened:
    """The page with its lines level, or plumb where it lies on its side; as it is when it lies
    straight or has no lines."""
    degrees = skew_degrees(image.pixels)
    if abs(degrees) < LEAST_DEGREES:
        return Straightened(image, 0.0, image.width, image.height)
    rows, columns = image.pixels.shape[:2]
    # OpenCV counts angles against the clock: a line that rises is turned with it.
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), -degrees, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide = math.ceil(rows * sine + columns * cosine)
    high = math.ceil(rows * cosine + columns * sine)
    matrix[0, 2] += (wide - columns) / 2
    matrix[1, 2] += (high - rows) / 2
    pixels = cv2.warpAffine(
        image.pixels, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderValue=_WHITE
    )
    turned = PageImage(
        numpy.asarray(pixels, dtype=numpy.uint8),
        image.scale,
        wide / image.scale,
        high / image.scale,
        image.rotation,
    )
    return Straightened(turned, degrees, image.width, image.height)


def skew_degrees(pixels: Pixels) -> float:
    """How steeply the page's lines rise to the right, or lean from the plumb line to the left; 0
    where there are none.

    At the right angle the ink's profile over the rows has the steepest flanks (Postl 1986).
    """
    across, down = _ink(pixels)
    if not len(across):
        return 0.0
    level, plumb = _steepest(across, down), _steepest(down, -across)
    return max(level, plumb)[1]


def _steepest(along: _Coordinates, athwart: _Coordinates) -> tuple[float, float]:
    """How steep the profile's flanks are at best, and at which angle; the angle is 0 when no other
    is much better."""
    count = round(MOST_DEGREES / COARSE_DEGREES)
    coarse = {
        step * COARSE_DEGREES: _steepness(along, athwart, step * COARSE_DEGREES)
        for step in range(-count, count + 1)
    }
    near = max(coarse, key=lambda degrees: coarse[degrees])
    steps = round(COARSE_DEGREES / FINE_DEGREES)
    fine = {
        near + step * FINE_DEGREES: _steepness(along, athwart, near + step * FINE_DEGREES)
        for step in range(1 - steps, steps)
    }
    best = max(fine, key=lambda degrees: fine[degrees])
    return fine[best], best if fine[best] >= CLEARER * coarse[0.0] else 0.0


def _steepness(along: _Coordinates, athwart: _Coordinates, degrees: float) -> float:
    rows = athwart + along * math.tan(math.radians(degrees))
    profile = numpy.bincount((rows - rows.min()).astype(numpy.int32))
    return float(numpy.square(numpy.diff(profile)).sum())


def _ink(pixels: Pixels) -> tuple[_Coordinates, _Coordinates]:
    """Where thin dark strokes are: how far to the right and down."""
    grey = pixels[:, :, 1]
    factor = min(1.0, SOUGHT_SIDE / max(grey.shape))
    small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    kernel = numpy.ones((STROKE_PIXELS, STROKE_PIXELS), numpy.uint8)
    strokes = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, kernel)
    _, inked = cv2.threshold(strokes, 0, 255, cv2.THRESH_OTSU)
    down, across = numpy.nonzero(inked)
    every = max(1, len(across) // MOST_INK)
    return across[::every].astype(numpy.float32), down[::every].astype(numpy.float32)

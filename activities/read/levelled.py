"""Lines of a page that lies askew, or was photographed from an angle, as if they lay straight."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import mean, median
from typing import Self

import numpy
from numpy.typing import NDArray

from activities.read.geometry import Box, overlap

Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]
"""Upper left, upper right, lower right, lower left."""

LONG = 3.0
"""A line this many times longer than high tells how the page lies."""
OVERHANG = 0.15
"""How far a detector's box reaches beyond the text's ends, in line heights."""
FEWEST_TELLING = 12
"""From so many lines on, it is told whether they or the margins run together."""
LEAST_CONVERGENCE = 0.01
"""Slope or drift, in points a point, that is heeded; the order of lines bears as much."""
REACH = 12.0
"""Lines this many line heights apart, at most, have their ends compared: of neighbours a detector's
jitter is seen, of others the next paragraph's indent."""
MOST_FOLLOWING = 40
ROUNDS = 15
"""Of fitting; outliers have lost their weight by then."""
SMALLEST_ERROR = 1e-3

_Numbers = NDArray[numpy.floating]


def levelled(lines: Sequence[Corners]) -> list[Box]:
    """A box for each line, to judge by where lines stand to each other.

    The page is turned back by the slope of most lines, and stretched where its lines or its margins
    run together towards one side. Each line then lies level about its middle, with its own length
    and height: the box around a line that slopes is so much higher than the line that it overlaps
    those above and below it.
    """
    slope = median([_slope(line) for line in lines if _is_long(line)] or [0.0])
    turned = [_turned(line, math.atan(slope)) for line in lines]
    return _without_drift(_without_slope(turned, [_level(line) for line in turned]))


def _turned(line: Corners, angle: float) -> Corners:
    sine, cosine = math.sin(angle), math.cos(angle)
    first, second, third, fourth = ((x * cosine + y * sine, y * cosine - x * sine) for x, y in line)
    return first, second, third, fourth


def _level(line: Corners) -> Box:
    x = sum(corner[0] for corner in line) / 4
    y = sum(corner[1] for corner in line) / 4
    width, height = _size(line)
    half = max(width / 2 - OVERHANG * min(width, height), 0.0)
    return Box(x - half, y - height / 2, x + half, y + height / 2)


def _without_slope(lines: Sequence[Corners], boxes: list[Box]) -> list[Box]:
    """Lines that run together towards a side are set apart evenly."""
    telling = [
        (box.middle, _slope(line)) for line, box in zip(lines, boxes, strict=True) if _is_long(line)
    ]
    if len(telling) < FEWEST_TELLING:
        return boxes
    fan = _Fan.fitted(telling)
    middle = mean((box.left + box.right) / 2 for box in boxes)
    levels = [(box.left + box.right) / 2 - middle for box in boxes]
    return [
        replace(box, top=fan.spread(box.top, x), bottom=fan.spread(box.bottom, x))
        for box, x in zip(boxes, levels, strict=True)
    ]


def _without_drift(boxes: list[Box]) -> list[Box]:
    """Margins that run together towards the head or the foot are made plumb."""
    ends = list(_ends(boxes))
    if len(ends) < 2 * FEWEST_TELLING:
        return boxes
    fan = _Fan.fitted(ends)
    middle = mean(box.middle for box in boxes)
    return [
        replace(
            box,
            left=fan.spread(box.left, box.middle - middle),
            right=fan.spread(box.right, box.middle - middle),
        )
        for box in boxes
    ]


@dataclass(frozen=True, slots=True)
class _Fan:
    """Straight lines that meet far off, as parallels do in a photograph: at the middle of the page
    the one through `position` slopes by `slope` + `rate` × `position`."""

    slope: float
    rate: float

    @classmethod
    def fitted(cls, samples: Sequence[tuple[float, float]]) -> Self:
        """To slopes at positions; parallel where they hardly differ."""
        positions, slopes = numpy.array(samples).T
        basis = numpy.column_stack([numpy.ones_like(positions), positions])
        slope, rate = _fitted(basis, slopes)
        if numpy.abs(basis @ (slope, rate)).max() < LEAST_CONVERGENCE:
            return cls(0.0, 0.0)
        return cls(float(slope), float(rate))

    def spread(self, position: float, distance: float) -> float:
        """Where the line through `position`, so far from the page's middle, crosses the middle."""
        shrunk = 1 + self.rate * distance
        return (position - self.slope * distance) / shrunk if shrunk > 0.2 else position


def _ends(boxes: Sequence[Box]) -> Iterator[tuple[float, float]]:
    """Of lines below each other: where they end on a side, and how far that drifts to the right for
    a point down."""
    in_order = sorted(boxes, key=lambda box: box.middle)
    for position, box in enumerate(in_order):
        following = islice(in_order, position + 1, position + 1 + MOST_FOLLOWING)
        for other in following:
            down = other.middle - box.middle
            if down > REACH * box.height:
                break
            shared = overlap(box.left, box.right, other.left, other.right)
            if down < box.height or 2 * shared < max(box.width, other.width):
                continue
            yield (box.left + other.left) / 2, (other.left - box.left) / down
            yield (box.right + other.right) / 2, (other.right - box.right) / down


def _fitted(basis: _Numbers, values: _Numbers) -> _Numbers:
    """The coefficients of least absolute error, which a few outliers do not move: least squares,
    weighted anew by what is left over."""
    weights: _Numbers = numpy.ones_like(values)
    coefficients: _Numbers = numpy.zeros(basis.shape[1])
    for _ in range(ROUNDS):
        roots = numpy.sqrt(weights)
        coefficients = numpy.linalg.lstsq(basis * roots[:, None], values * roots, rcond=None)[0]
        weights = 1 / numpy.maximum(numpy.abs(values - basis @ coefficients), SMALLEST_ERROR)
    return coefficients


def _size(line: Corners) -> tuple[float, float]:
    upper_left, upper_right, lower_right, lower_left = line
    return (
        (math.dist(upper_left, upper_right) + math.dist(lower_left, lower_right)) / 2,
        (math.dist(upper_left, lower_left) + math.dist(upper_right, lower_right)) / 2,
    )


def _is_long(line: Corners) -> bool:
    width, height = _size(line)
    return width >= LONG * height > 0


def _slope(line: Corners) -> float:
    """Points down for a point to the right."""
    (left, top), (right, bottom), *_ = line
    return (bottom - top) / (right - left) if right > left else 0.0

"""Lines of a page that lies askew, or was photographed from an angle, as if they lay straight."""

import math
from collections.abc import Sequence
from statistics import median

from activities.read.geometry import Box

Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]
"""Upper left, upper right, lower right, lower left."""

LONG = 3.0
"""A line this many times longer than high tells how the page lies."""
OVERHANG = 0.15
"""How far a detector's box reaches beyond the text's ends, in line heights."""


def levelled(lines: Sequence[Corners]) -> list[Box]:
    """A box for each line, to judge by where lines stand to each other.

    The page is turned back by the slope of most lines. Each line then lies level about its middle,
    with its own length and height: the box around a line that slopes is so much higher than the
    line that it overlaps those above and below it.
    """
    long = [line for line in lines if _is_long(line)]
    slope = median(_slope(line) for line in long) if long else 0.0
    boxes: list[Box] = []
    for line in lines:
        x = sum(corner[0] for corner in line) / 4
        y = sum(corner[1] for corner in line) / 4
        width, height = _size(line)
        middle_x, middle_y = x + slope * y, y - slope * x
        half = max(width / 2 - OVERHANG * min(width, height), 0.0)
        boxes.append(
            Box(middle_x - half, middle_y - height / 2, middle_x + half, middle_y + height / 2)
        )
    return boxes


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

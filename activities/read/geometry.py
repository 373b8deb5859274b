"""Boxes of words and lines, in the page's frame: origin top left, points, y downwards."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from muniment.contracts.documents import BoundingBox


class Turn(IntEnum):
    """The direction in which a page's text runs, as the page lies before the reader."""

    RIGHT = 0
    DOWN = 90
    LEFT = 180
    UP = 270


@dataclass(frozen=True, slots=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, points: list[tuple[float, float]]) -> Self:
        """The smallest box that holds all points."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(min(xs), min(ys), max(xs), max(ys))

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def joined(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def upright(self, turn: Turn, width: float, height: float) -> "Box":
        """This box on the page turned so that its text runs to the right; the page's size before
        turning is `width` × `height`."""
        if turn is Turn.DOWN:
            return Box(self.top, width - self.right, self.bottom, width - self.left)
        if turn is Turn.LEFT:
            return Box(
                width - self.right, height - self.bottom, width - self.left, height - self.top
            )
        if turn is Turn.UP:
            return Box(height - self.bottom, self.left, height - self.top, self.right)
        return self

    def clipped(self, width: float, height: float) -> BoundingBox:
        """The box as contracts carry it: on the page, rounded to a hundredth of a point."""
        left = min(max(self.left, 0.0), width)
        top = min(max(self.top, 0.0), height)
        right = min(max(self.right, left), width)
        bottom = min(max(self.bottom, top), height)
        return (round(left, 2), round(top, 2), round(right, 2), round(bottom, 2))


def overlap(first_start: float, first_end: float, second_start: float, second_end: float) -> float:
    """Length of what two intervals share."""
    return max(0.0, min(first_end, second_end) - max(first_start, second_start))


def shares_row(first: Box, second: Box) -> bool:
    """Whether two boxes stand side by side: most of the lower one's height is common."""
    shared = overlap(first.top, first.bottom, second.top, second.bottom)
    return shared > 0.5 * min(first.height, second.height)

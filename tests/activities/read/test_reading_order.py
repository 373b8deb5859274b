"""In which order lines are read, from where a scanner or a camera left them."""

import math
from collections.abc import Callable

import pytest

from activities.read.geometry import Box
from activities.read.levelled import Corners, Point, levelled
from activities.read.reading_order import SCANNED_GUTTERS, reading_order

LINE_HEIGHT = 12.0
PITCH = 15.0
ROWS = 40
Distortion = Callable[[Point], Point]


def line(left: float, top: float, width: float) -> Corners:
    right, bottom = left + width, top + LINE_HEIGHT
    return (left, top), (right, top), (right, bottom), (left, bottom)


def two_columns(gutter: float) -> list[Corners]:
    """A heading across, then rows of both columns in turn, then a page number at the foot."""
    width = 240.0
    rows = [
        line(50.0 + column * (width + gutter), 100.0 + PITCH * row, width)
        for row in range(ROWS)
        for column in range(2)
    ]
    return [line(120.0, 60.0, 340.0), *rows, line(260.0 + gutter / 2, 120.0 + PITCH * ROWS, 60.0)]


COLUMN_AFTER_COLUMN = [
    0,
    *range(1, 2 * ROWS, 2),
    *range(2, 2 * ROWS + 1, 2),
    2 * ROWS + 1,
]


def turned(degrees: float) -> Distortion:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return lambda point: (
        300 + (point[0] - 300) * cosine - (point[1] - 420) * sine,
        420 + (point[0] - 300) * sine + (point[1] - 420) * cosine,
    )


def photographed(point: Point) -> Point:
    """From below: what lies further up is smaller, and margins run together towards the top."""
    x, y = point
    distance = 1 + (840 - y) / 8400
    return 320 + (x - 320) / distance, 840 - (840 - y) / distance


def distorted(lines: list[Corners], distortion: Distortion) -> list[Corners]:
    return [
        (distortion(first), distortion(second), distortion(third), distortion(fourth))
        for first, second, third, fourth in lines
    ]


def photographed_from_the_side(point: Point) -> Point:
    """What lies further left is smaller, and lines run together towards the left."""
    x, y = point
    distance = 1 + (600 - x) / 3000
    return 600 - (600 - x) / distance, 420 + (y - 420) / distance


def photographed_from_nearby(point: Point) -> Point:
    """From below and askew, so near that the head is a sixth smaller than the foot."""
    x, y = turned(4.0)(point)
    distance = 1 + (840 - y) / 4200
    return 320 + (x - 320) / distance, 840 - (840 - y) / distance


@pytest.mark.parametrize("degrees", [-15.0, -7.0, -2.0, -1.0, 0.0, 1.0, 2.0, 10.0, 15.0])
@pytest.mark.parametrize("gutter", [12.0, 24.0])
def test_columns_of_a_skewed_page_are_read_one_after_the_other(
    degrees: float, gutter: float
) -> None:
    lines = distorted(two_columns(gutter), turned(degrees))
    assert reading_order(levelled(lines), SCANNED_GUTTERS) == COLUMN_AFTER_COLUMN


@pytest.mark.parametrize(
    "camera", [photographed, photographed_from_the_side, photographed_from_nearby]
)
def test_columns_of_a_photographed_page_are_read_one_after_the_other(camera: Distortion) -> None:
    lines = distorted(two_columns(12.0), camera)
    assert reading_order(levelled(lines), SCANNED_GUTTERS) == COLUMN_AFTER_COLUMN


@pytest.mark.parametrize("degrees", [-10.0, -2.0, 0.0, 2.0, 10.0])
def test_a_skewed_table_is_read_by_rows(degrees: float) -> None:
    cells = [
        line(50.0 + 120 * column, 100 + 24.0 * row, 60) for row in range(12) for column in range(4)
    ]
    lines = distorted(cells, turned(degrees))
    assert reading_order(levelled(lines), SCANNED_GUTTERS) == list(range(len(cells)))


def test_a_level_line_keeps_its_place_but_for_the_detectors_overhang() -> None:
    (box,) = levelled([line(50.0, 100.0, 240.0)])
    assert box == Box(50.0 + 1.8, 100.0, 290.0 - 1.8, 112.0)


def test_no_lines_have_no_order() -> None:
    assert levelled([]) == []
    assert reading_order([]) == []

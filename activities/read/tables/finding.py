"""All tables of a page: ruled ones first, then those between rules, then those without any."""

from collections.abc import Sequence

from activities.read.geometry import Box, overlap
from activities.read.tables.aligned import booktabs, open_tables
from activities.read.tables.grid import Grid
from activities.read.tables.ruled import ruled_tables
from activities.read.words import Placed

INSIDE_PICTURE_SHARE = 0.9
MONOSPACE_SHARE = 0.8
"""Code in a frame is no table, however its words stand."""


def find_tables(
    words: Sequence[Placed], edges: Sequence[Box], pictures: Sequence[Box]
) -> list[Grid]:
    """Tables that share no word; what lies inside a picture is the picture's."""
    found: list[Grid] = []
    left = list(words)
    for find in (ruled_tables, booktabs, _open_tables):
        for grid in find(left, edges):
            if _is_table(grid, pictures) and not _overlaps(grid, found):
                found.append(grid)
        taken = {id(placed.word) for grid in found for cell in grid.cells for placed in cell.words}
        left = [placed for placed in left if id(placed.word) not in taken]
    return found


def _open_tables(words: Sequence[Placed], _edges: Sequence[Box]) -> list[Grid]:
    return open_tables(words)


def _is_table(grid: Grid, pictures: Sequence[Box]) -> bool:
    words = [placed.word for cell in grid.cells for placed in cell.words]
    monospaced = sum(word.style.monospace for word in words)
    if monospaced > MONOSPACE_SHARE * len(words):
        return False
    area = grid.box.width * grid.box.height
    return not any(_shared(grid.box, picture) > INSIDE_PICTURE_SHARE * area for picture in pictures)


def _overlaps(grid: Grid, found: Sequence[Grid]) -> bool:
    return any(_shared(grid.box, other.box) > 0 for other in found)


def _shared(first: Box, second: Box) -> float:
    return overlap(first.left, first.right, second.left, second.right) * overlap(
        first.top, first.bottom, second.top, second.bottom
    )

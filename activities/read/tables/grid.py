"""A table found on a page, in the upright frame, with the words of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from activities.read.geometry import Box, shares_row
from activities.read.words import Placed


@dataclass(slots=True)
class Cell:
    """Rows and columns count from 0; `words` stand in the cell, in the stream's order."""

    row: int
    column: int
    box: Box
    row_span: int = 1
    column_span: int = 1
    is_header: bool = False
    words: list[Placed] = field(default_factory=list)


@dataclass(slots=True)
class Grid:
    """A table; cells without words may be left out."""

    box: Box
    row_count: int
    column_count: int
    cells: list[Cell]

    def filled(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.words]

    def compacted(self) -> "Grid":
        """Without the rows and columns in which no word stands; cells in reading order."""
        filled = self.filled()
        rows = sorted({cell.row for cell in filled})
        columns = sorted({cell.column for cell in filled})
        cells = [
            replace(
                cell,
                row=rows.index(cell.row),
                column=columns.index(cell.column),
                row_span=sum(1 for row in rows if cell.row <= row < cell.row + cell.row_span),
                column_span=sum(
                    1
                    for column in columns
                    if cell.column <= column < cell.column + cell.column_span
                ),
            )
            for cell in filled
        ]
        cells.sort(key=lambda cell: (cell.row, cell.column))
        return Grid(self.box, len(rows), len(columns), cells)

    def without_slots(self) -> "Grid":
        """Neighbouring columns as one where half of the rows have one cell over both and none has a
        cell in each: edges of shades and of cells that do not meet leave slots between columns."""
        grid, column = self, 0
        while column + 1 < grid.column_count:
            if _is_slot(grid, column):
                grid = _merged(grid, column)
            else:
                column += 1
        return grid

    def mirrored(self) -> "Grid":
        """As read from right to left."""
        cells = [
            replace(cell, column=self.column_count - cell.column - cell.column_span)
            for cell in self.cells
        ]
        cells.sort(key=lambda cell: (cell.row, cell.column))
        return replace(self, cells=cells)


def _is_slot(grid: Grid, column: int) -> bool:
    spanning: set[int] = set()
    first: set[int] = set()
    second: set[int] = set()
    for cell in grid.filled():
        end = cell.column + cell.column_span
        rows = range(cell.row, cell.row + cell.row_span)
        if cell.column <= column and end > column + 1:
            spanning.update(rows)
        elif cell.column <= column < end:
            first.update(rows)
        elif cell.column <= column + 1 < end:
            second.update(rows)
    return 2 * len(spanning) >= grid.row_count and not first & second


def _merged(grid: Grid, column: int) -> Grid:
    """With the column and the next one as one."""
    cells = []
    for cell in grid.cells:
        end = cell.column + cell.column_span
        start = cell.column - (cell.column > column)
        end -= end > column + 1
        cells.append(replace(cell, column=start, column_span=max(1, end - start)))
    return replace(grid, column_count=grid.column_count - 1, cells=cells)


def visual_rows(words: Sequence[Placed]) -> list[list[Placed]]:
    """Words that stand side by side, from top to bottom, each row from left to right."""
    rows: list[list[Placed]] = []
    for placed in sorted(words, key=lambda placed: placed.box.middle):
        if rows and shares_row(rows[-1][-1].box, placed.box):
            rows[-1].append(placed)
        else:
            rows.append([placed])
    for row in rows:
        row.sort(key=lambda placed: placed.box.left)
    return rows


def segments(row: Sequence[Placed], gap: float) -> list[list[Placed]]:
    """A visual row cut where words stand further apart than `gap` ems."""
    parts: list[list[Placed]] = []
    reach = 0.0
    for placed in row:
        if parts and placed.box.left - reach <= gap * placed.size:
            parts[-1].append(placed)
        else:
            parts.append([placed])
        reach = max(reach, placed.box.right) if len(parts[-1]) > 1 else placed.box.right
    return parts


def around(words: Sequence[Placed]) -> Box:
    """The smallest box that holds all words, of which there is one at least."""
    box = words[0].box
    for placed in words[1:]:
        box = box.joined(placed.box)
    return box


def is_numeric(text: str) -> bool:
    """Figures, with signs and units: most of what is not punctuation are digits."""
    digits = sum(character.isdigit() for character in text)
    letters = sum(character.isalpha() for character in text)
    return digits > letters

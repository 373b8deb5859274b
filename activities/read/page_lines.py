"""A page's lines and tables while lines from elsewhere are put among them.

A table and its cells name their lines by number: a line goes before or behind a table or into one of
its cells, never between them, and the numbers of all that comes after it move along.
"""

from activities.read.geometry import overlap
from muniment.contracts.documents import BoundingBox, Line, Page, Table, TableCell


class PageLines:
    """`lines` and `tables` of the page, with what was put among them."""

    def __init__(self, page: Page) -> None:
        self.lines = list(page.lines)
        self.tables = list(page.tables)

    def put(self, line: Line) -> None:
        """Into the cell that it stands in, else behind its label; where that is in a table, behind
        the table."""
        for number, table in enumerate(self.tables):
            place = _cell_of(table, line.bbox) if line.bbox is not None else None
            if place is not None:
                self._put_into(number, place, line)
                return
        position = _behind_label(self.lines, line)
        for table in self.tables:
            if table.first_line < position < table.first_line + table.line_count:
                position = table.first_line + table.line_count
        self._insert(position, line)

    def _put_into(self, number: int, place: tuple[int, int], line: Line) -> None:
        """`place` is a row and a column of the table of that number."""
        table = self.tables[number]
        position = max(
            (
                cell.first_line + cell.line_count
                for cell in table.cells
                if (cell.row, cell.column) <= place
            ),
            default=table.first_line,
        )
        self._insert(position, line)
        # The table was taken before its lines moved: it keeps its start where they moved its first.
        cells = [
            _longer(cell) if (cell.row, cell.column) == place else _moved(cell, position)
            for cell in table.cells
        ]
        if all((cell.row, cell.column) != place for cell in cells):
            cells.append(_new_cell(place, position, line))
        cells.sort(key=lambda cell: (cell.row, cell.column))
        self.tables[number] = table.model_copy(
            update={"line_count": table.line_count + 1, "cells": tuple(cells)}
        )

    def _insert(self, position: int, line: Line) -> None:
        self.lines.insert(position, line)
        for number, table in enumerate(self.tables):
            if table.first_line >= position:
                cells = tuple(_moved(cell, position) for cell in table.cells)
                self.tables[number] = table.model_copy(
                    update={"first_line": table.first_line + 1, "cells": cells}
                )


def _moved(cell: TableCell, position: int) -> TableCell:
    if cell.first_line < position:
        return cell
    return cell.model_copy(update={"first_line": cell.first_line + 1})


def _longer(cell: TableCell) -> TableCell:
    return cell.model_copy(update={"line_count": cell.line_count + 1})


def _new_cell(place: tuple[int, int], position: int, line: Line) -> TableCell:
    return TableCell(
        row=place[0],
        column=place[1],
        first_line=position,
        line_count=1,
        bbox=line.bbox or (0.0, 0.0, 0.0, 0.0),
    )


def _cell_of(table: Table, bbox: BoundingBox) -> tuple[int, int] | None:
    """Row and column of the cell that the box stands in, or would if the cell had text: cells
    without any are not listed, and are known by the row and the column that they share."""
    across, down = (bbox[0] + bbox[2]) / 2, (bbox[1] + bbox[3]) / 2
    for cell in table.cells:
        left, top, right, bottom = cell.bbox
        if left <= across <= right and top <= down <= bottom:
            return cell.row, cell.column
    rows = {cell.row for cell in table.cells if cell.row_span == 1 and _beside(cell.bbox, bbox)}
    columns = {
        cell.column
        for cell in table.cells
        if cell.column_span == 1 and overlap(cell.bbox[0], cell.bbox[2], bbox[0], bbox[2]) > 0
    }
    if len(rows) != 1 or len(columns) != 1:
        return None
    row, column = rows.pop(), columns.pop()
    for cell in table.cells:
        is_in_row = cell.row <= row < cell.row + cell.row_span
        if is_in_row and cell.column <= column < cell.column + cell.column_span:
            return cell.row, cell.column
    return row, column


def _beside(first: BoundingBox, second: BoundingBox) -> bool:
    shared = overlap(first[1], first[3], second[1], second[3])
    return shared > 0.5 * min(first[3] - first[1], second[3] - second[1])


def _behind_label(lines: list[Line], line: Line) -> int:
    """Where the line goes: behind the nearest one to its left on its row, else the nearest above."""
    if line.bbox is None:
        return len(lines)
    left, top, _, bottom = line.bbox
    middle = (top + bottom) / 2
    beside: list[tuple[float, int]] = []
    above: list[tuple[float, int]] = []
    for index, other in enumerate(lines):
        if other.bbox is None:
            continue
        if other.bbox[1] <= middle <= other.bbox[3] and other.bbox[0] <= left:
            beside.append((abs(left - other.bbox[2]), index))
        elif other.bbox[3] <= middle:
            above.append((middle - other.bbox[3], index))
    nearest = min(beside or above, default=None)
    return 0 if nearest is None else nearest[1] + 1

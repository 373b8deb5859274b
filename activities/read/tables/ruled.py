"""Tables by the rules drawn around their cells.

pdfplumber's geometry finds the cells (after Nurminen, "Algorithmic Extraction of Data in Tables in PDF
Documents", 2013); it is given edges, not a document, so that no second parser reads the page.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pdfplumber import table as cells_by_edges

from activities.read.geometry import Box
from activities.read.tables.grid import Cell, Grid, visual_rows
from activities.read.words import Placed

SNAP_POINTS = 3.0
MOST_EDGES = 1_500
MOST_CROSSINGS = 2_500
"""Beyond, the edges are a drawing's, and the search would take seconds."""
SLOT_POINTS = 2.0
"""Grid lines closer than this are one."""
STRADDLING_SHARE = 0.15
"""Where more words than this share cross the rules, the rules are no table's."""
FILLED_SHARE = 0.2
FEWEST_FILLED = 3
WORDS_PER_CELL = 60
"""Cells with more on average are a page's columns or boxes."""
FEWEST_BANDED_ROWS = 3

_Edge = dict[str, float | str]
_CellBox = tuple[float, float, float, float]


def ruled_tables(words: Sequence[Placed], edges: Sequence[Box]) -> list[Grid]:
    """The tables that the edges rule, with their words."""
    merged = _merged(edges)
    if not merged or len(merged) > MOST_EDGES:
        return []
    crossings = cells_by_edges.edges_to_intersections(merged, SNAP_POINTS, SNAP_POINTS)
    if len(crossings) > MOST_CROSSINGS:
        return []
    cells = cells_by_edges.intersections_to_cells(crossings)
    grids = []
    for boxes in cells_by_edges.cells_to_tables(cells):
        grid = _grid(boxes, words)
        if grid is not None:
            grids.append(grid)
    return grids


def _merged(edges: Sequence[Box]) -> list[_Edge]:
    if len(edges) > 10 * MOST_EDGES:
        return []
    merged: list[_Edge] = cells_by_edges.merge_edges(
        [_edge(edge) for edge in edges], SNAP_POINTS, SNAP_POINTS, SNAP_POINTS, SNAP_POINTS
    )
    return [*merged, *_missing_sides(merged)]


def _edge(edge: Box) -> _Edge:
    return {
        "x0": edge.left,
        "x1": edge.right,
        "top": edge.top,
        "bottom": edge.bottom,
        "width": edge.width,
        "height": edge.height,
        "orientation": "h" if edge.width >= edge.height else "v",
        "object_type": "line",
    }


def _number(edge: _Edge, name: str) -> float:
    return float(edge[name])


def _missing_sides(edges: Sequence[_Edge]) -> list[_Edge]:
    """Outer verticals of tables that have inner ones: two or more horizontals of the same reach,
    crossed by a vertical, with nothing at their ends."""
    verticals = [edge for edge in edges if edge["orientation"] == "v"]
    by_reach: dict[tuple[int, int], list[_Edge]] = {}
    for edge in edges:
        if edge["orientation"] == "h":
            reach = (
                round(_number(edge, "x0") / SNAP_POINTS),
                round(_number(edge, "x1") / SNAP_POINTS),
            )
            by_reach.setdefault(reach, []).append(edge)
    sides: list[_Edge] = []
    for rules in by_reach.values():
        if len(rules) < 2:
            continue
        left, right = _number(rules[0], "x0"), _number(rules[0], "x1")
        for above, below in pairwise(sorted(rules, key=lambda rule: _number(rule, "top"))):
            top, bottom = _number(above, "top"), _number(below, "top")
            crossing = [
                _number(vertical, "x0")
                for vertical in verticals
                if _number(vertical, "top") <= top + SNAP_POINTS
                and _number(vertical, "bottom") >= bottom - SNAP_POINTS
                and left - SNAP_POINTS <= _number(vertical, "x0") <= right + SNAP_POINTS
            ]
            sides += [
                _edge(Box(side, top, side, bottom))
                for side in (left, right)
                if crossing and all(abs(x - side) > SNAP_POINTS for x in crossing)
            ]
    return sides


def _grid(boxes: Sequence[_CellBox], words: Sequence[Placed]) -> Grid | None:
    columns = _lines([x for box in boxes for x in (box[0], box[2])])
    rows = _lines([y for box in boxes for y in (box[1], box[3])])
    if len(columns) < 3 or len(rows) < 2:
        return None
    whole = Box(columns[0], rows[0], columns[-1], rows[-1])
    inside = [placed for placed in words if _holds(whole, placed.box)]
    cells = [_cell(box, rows, columns) for box in boxes]
    straddling = 0
    for placed in inside:
        cell = next((cell for cell in cells if _holds(cell.box, placed.box)), None)
        if cell is None:
            straddling += 1
            continue
        cell.words.append(placed)
        straddling += _sticks_out(placed.box, cell.box, placed.size)
    filled = sum(1 for cell in cells if cell.words)
    if (
        filled < FEWEST_FILLED
        or filled < FILLED_SHARE * len(cells)
        or straddling > STRADDLING_SHARE * len(inside)
        or len(inside) > WORDS_PER_CELL * filled
    ):
        return None
    for cell in cells:
        cell.is_header = cell.row == 0
    grid = (
        _split_bands(Grid(whole, len(rows) - 1, len(columns) - 1, cells))
        .compacted()
        .without_slots()
    )
    return grid if grid.row_count > 1 and grid.column_count > 1 else None


def _lines(positions: Sequence[float]) -> list[float]:
    distinct: list[float] = []
    for position in sorted(positions):
        if not distinct or position - distinct[-1] > SLOT_POINTS:
            distinct.append(position)
    return distinct


def _cell(box: _CellBox, rows: Sequence[float], columns: Sequence[float]) -> Cell:
    left, top, right, bottom = (
        _nearest(columns, box[0]),
        _nearest(rows, box[1]),
        _nearest(columns, box[2]),
        _nearest(rows, box[3]),
    )
    return Cell(
        row=top,
        column=left,
        box=Box(*box),
        row_span=max(1, bottom - top),
        column_span=max(1, right - left),
    )


def _nearest(lines: Sequence[float], position: float) -> int:
    return min(range(len(lines)), key=lambda index: abs(lines[index] - position))


def _holds(outer: Box, inner: Box) -> bool:
    across = (inner.left + inner.right) / 2
    return outer.left <= across <= outer.right and outer.top <= inner.middle <= outer.bottom


def _sticks_out(word: Box, cell: Box, size: float) -> bool:
    return word.left < cell.left - 0.5 * size or word.right > cell.right + 0.5 * size


def _split_bands(grid: Grid) -> Grid:
    """Rows between two rules that hold several rows of the table: the same lines in most columns,
    each a short entry."""
    cells: list[Cell] = []
    shift = 0
    for row in range(grid.row_count):
        band = [cell for cell in grid.cells if cell.row == row]
        parts = _banded_rows(band) if all(cell.row_span == 1 for cell in band) else []
        if len(parts) < FEWEST_BANDED_ROWS:
            for cell in band:
                cell.row += shift
            cells += band
            continue
        for number, words in enumerate(parts):
            cells += _cells_of_row(band, words, row + shift + number)
        shift += len(parts) - 1
    return Grid(grid.box, grid.row_count + shift, grid.column_count, cells)


def _banded_rows(band: Sequence[Cell]) -> list[list[Placed]]:
    filled = [cell for cell in band if cell.words]
    if len(filled) < 2:
        return []
    rows = visual_rows([placed for cell in filled for placed in cell.words])
    lines = Counter(len(visual_rows(cell.words)) for cell in filled)
    usual, columns = lines.most_common(1)[0]
    if usual != len(rows) or columns < max(2, 0.6 * len(filled)):
        return []
    entries = [len(placed) for cell in filled for placed in visual_rows(cell.words)]
    is_short = sum(entries) <= 3 * len(entries)
    return rows if is_short else []


def _cells_of_row(band: Sequence[Cell], words: Sequence[Placed], row: int) -> list[Cell]:
    top = min(placed.box.top for placed in words)
    bottom = max(placed.box.bottom for placed in words)
    return [
        Cell(
            row=row,
            column=cell.column,
            box=Box(cell.box.left, top, cell.box.right, bottom),
            column_span=cell.column_span,
            is_header=cell.is_header and row == 0,
            words=[placed for placed in cell.words if placed in words],
        )
        for cell in band
    ]

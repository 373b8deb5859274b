"""Lines and tables out of a text layer's content, in reading order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from activities.read.directions import is_right_to_left_page
from activities.read.geometry import Box, Turn, overlap, shares_row
from activities.read.reading_order import reading_order
from activities.read.rows import Row, line_of, rows_of
from activities.read.tables.finding import find_tables
from activities.read.tables.grid import Cell, Grid
from activities.read.words import Content, Placed, Word
from muniment.contracts.documents import Line, Table, TableCell

MAXIMUM_INVERSIONS = 0.02
MOST_COMPARED = 600
"""Of longer pages only neighbours are compared."""
GUTTER_SHARE = 0.25
GUTTER_WORDS = 4


@dataclass(slots=True)
class Layout:
    """`lines` in reading order; those of a table stand together, cell after cell."""

    lines: list[Line] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line or a table, at the place in the stream where its first word stands."""

    content: Row | Grid
    position: int

    @property
    def box(self) -> Box:
        return self.content.box


def lay_out(content: Content, width: float, height: float) -> Layout:
    """The page's layout. Words in another direction than most follow after the others."""
    layout = Layout()
    main = _main_direction(content.words)
    for direction in sorted(
        {_direction(word) for word in content.words}, key=lambda found: (found != main, found)
    ):
        _, turn = direction
        words = [
            Placed(word, word.box.upright(turn, width, height))
            for word in content.words
            if _direction(word) == direction
        ]
        is_rtl = is_right_to_left_page([placed.word.text for placed in words])
        grids = _tables(content, words, turn, width, height) if direction == main else []
        if is_rtl:
            grids = [grid.mirrored() for grid in grids]
        across = height if turn in (Turn.UP, Turn.DOWN) else width
        for entry in _ordered(_entries(words, grids), across if is_rtl else None):
            _append(layout, entry, width, height)
    return layout


def _direction(word: Word) -> tuple[bool, Turn]:
    return word.askew, word.turn


def _main_direction(words: Sequence[Word]) -> tuple[bool, Turn]:
    weights: Counter[tuple[bool, Turn]] = Counter()
    for word in words:
        weights[_direction(word)] += len(word.text)
    return weights.most_common(1)[0][0] if weights else (False, Turn.RIGHT)


def _tables(
    content: Content, words: Sequence[Placed], turn: Turn, width: float, height: float
) -> list[Grid]:
    edges = [edge.upright(turn, width, height) for edge in content.edges]
    pictures = [
        picture.upright(turn, width, height)
        for picture in content.pictures
        if picture.width * picture.height < 0.8 * width * height
    ]
    return find_tables(words, edges, pictures)


def _entries(words: Sequence[Placed], grids: Sequence[Grid]) -> list[_Entry]:
    table_of = {
        id(placed.word): number
        for number, grid in enumerate(grids)
        for cell in grid.cells
        for placed in cell.words
    }
    first_of: dict[int, int] = {}
    position_of: dict[int, int] = {}
    outside: list[Placed] = []
    for position, placed in enumerate(words):
        table = table_of.get(id(placed.word))
        if table is None:
            outside.append(placed)
            position_of[id(placed.word)] = position
        else:
            first_of.setdefault(table, position)
    entries = [_Entry(row, position_of[id(row.words[0].word)]) for row in rows_of(outside)]
    entries += [_Entry(grids[table], position) for table, position in first_of.items()]
    return sorted(entries, key=lambda entry: entry.position)


def _ordered(entries: list[_Entry], mirrored_width: float | None) -> list[_Entry]:
    """Stream order, unless it is provably wrong. `mirrored_width` is given for pages that are read
    from right to left."""
    if len(entries) < 3:
        return entries
    is_wrong = _inverted(entries) or _painted_across(entries)
    if not is_wrong and (mirrored_width is None or not _leaps_right(entries)):
        return entries
    boxes = [entry.box for entry in entries]
    if mirrored_width is not None:
        boxes = [
            Box(mirrored_width - box.right, box.top, mirrored_width - box.left, box.bottom)
            for box in boxes
        ]
    return [entries[index] for index in reading_order(boxes)]


def _inverted(entries: Sequence[_Entry]) -> bool:
    """Lines stand above an earlier one that they share some width with."""
    reach = MOST_COMPARED if len(entries) <= MOST_COMPARED else 1
    inversions = 0
    for position, entry in enumerate(entries):
        inversions += any(
            _stands_above(entry.box, before.box)
            for before in entries[max(0, position - reach) : position]
        )
    return inversions >= 2 and inversions > MAXIMUM_INVERSIONS * len(entries)


def _leaps_right(entries: Sequence[_Entry]) -> bool:
    """Up to a column on the right: what is read from right to left goes on at the left."""
    return any(
        entry.box.left >= before.box.right and entry.box.bottom <= before.box.top
        for before, entry in pairwise(entries)
    )


def _stands_above(box: Box, before: Box) -> bool:
    return box.bottom <= before.top + 0.2 * before.height and overlap(
        before.left, before.right, box.left, box.right
    ) > 0.3 * min(before.width, box.width)


def _painted_across(entries: Sequence[_Entry]) -> bool:
    """Columns painted row by row: many neighbours share a baseline across a gutter."""
    across = sum(
        1
        for before, entry in pairwise(entries)
        if isinstance(before.content, Row)
        and isinstance(entry.content, Row)
        and shares_row(before.box, entry.box)
        and len(before.content.words) >= GUTTER_WORDS
        and len(entry.content.words) >= GUTTER_WORDS
    )
    return across > GUTTER_SHARE * len(entries)


def _append(layout: Layout, entry: _Entry, width: float, height: float) -> None:
    if isinstance(entry.content, Row):
        line = line_of(entry.content, width, height)
        if line.text:
            layout.lines.append(line)
        return
    grid = entry.content
    first = len(layout.lines)
    cells = [cell for cell in (_cell(layout, cell, width, height) for cell in grid.cells) if cell]
    place = _on_page(grid)
    layout.tables.append(
        Table(
            bbox=place.clipped(width, height),
            row_count=grid.row_count,
            column_count=grid.column_count,
            first_line=first,
            line_count=len(layout.lines) - first,
            cells=tuple(cells),
        )
    )


def _cell(layout: Layout, cell: Cell, width: float, height: float) -> TableCell | None:
    """The cell, after its lines were appended; None when they are empty."""
    first = len(layout.lines)
    rows = sorted(rows_of(cell.words), key=lambda row: row.box.middle)
    lines = [line for line in (line_of(row, width, height) for row in rows) if line.text]
    if not lines:
        return None
    layout.lines += lines
    place = cell.words[0].word.box
    for placed in cell.words[1:]:
        place = place.joined(placed.word.box)
    return TableCell(
        row=cell.row,
        column=cell.column,
        row_span=cell.row_span,
        column_span=cell.column_span,
        is_header=cell.is_header,
        first_line=first,
        line_count=len(lines),
        bbox=place.clipped(width, height),
    )


def _on_page(grid: Grid) -> Box:
    """The smallest box around the table's words as the page lies."""
    boxes = [placed.word.box for cell in grid.cells for placed in cell.words]
    place = boxes[0]
    for box in boxes[1:]:
        place = place.joined(box)
    return place

"""Tables without rules around their cells: between full-width rules (as typesetters of books set
them), or known only by entries that stand below each other."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from activities.read.geometry import Box, overlap
from activities.read.tables.grid import (
    Cell,
    Grid,
    around,
    is_numeric,
    segments,
    visual_rows,
)
from activities.read.words import Placed

FEWEST_RULES = 3
MOST_RULES = 60
MOST_GROUPS = 40
MOST_ENDS = 12
"""Of rules of one reach, so many are tried as a table's last one: a page has rules of its own."""
FULL_SHARE = 0.6
"""Rows with an entry in at least half of the columns; prose between rules has few."""
SPANNING_SHARE = 0.25
MOST_HEADS = 4
LONGEST_ENTRY_WORDS = 25
SAME_REACH_POINTS = 3.0
SHORTEST_RULE_POINTS = 60.0
RULED_GAP = 0.7
"""Gap in ems that parts the entries of a row between rules."""
OPEN_GAP = 1.2
"""The same where no rule says that there is a table."""
FEWEST_ROWS = 3
ROW_PITCH = 2.6
"""Furthest from one row's middle to the next, in ems, in a table without rules."""
WORDS_PER_ENTRY = 4.0
NUMERIC_SHARE = 0.5
HIT_SHARE = 0.6
"""Each column has an entry in at least this share of the rows."""
_LEADER = re.compile(r"(\.\s?){4,}|…{2,}")
_MARKER = re.compile(r"^(?:[•‣◦▪●○■□*·➢✓-]|\(?(?:\d{1,3}|[A-Za-z])[.)])$")

_Span = tuple[float, float]


def booktabs(words: Sequence[Placed], edges: Sequence[Box]) -> list[Grid]:
    """Tables between at least three horizontal rules of one reach; what stands above the second
    rule is the header."""
    grids: list[Grid] = []
    for rules in islice(_rule_groups(edges), MOST_GROUPS):
        first = 0
        while first + FEWEST_RULES <= len(rules):
            last = first + FEWEST_RULES - 1
            for end in range(len(rules), max(last, len(rules) - MOST_ENDS), -1):
                grid = _table_between(words, rules[first:end])
                if grid is not None:
                    grids.append(grid)
                    first = end - 1
                    break
            first += 1
    return grids


def _table_between(words: Sequence[Placed], rules: Sequence[Box]) -> Grid | None:
    box = Box(rules[0].left, rules[0].top, rules[0].right, rules[-1].top)
    inside = [
        placed
        for placed in words
        if box.top <= placed.box.middle <= box.bottom
        and placed.box.right > box.left
        and placed.box.left < box.right
    ]
    if not inside or any(
        placed.box.left < box.left - placed.size or placed.box.right > box.right + placed.size
        for placed in inside
    ):
        return None
    return _between_rules(inside, [rule.top for rule in rules], box)


def _rule_groups(edges: Sequence[Box]) -> Iterator[list[Box]]:
    by_reach: dict[tuple[int, int], list[Box]] = {}
    for edge in sorted(edges, key=lambda edge: edge.top):
        if edge.height > 0 or edge.width < SHORTEST_RULE_POINTS:
            continue
        key = (round(edge.left / SAME_REACH_POINTS), round(edge.right / SAME_REACH_POINTS))
        rules = by_reach.setdefault(key, [])
        if not rules or edge.top - rules[-1].top > SAME_REACH_POINTS:
            rules.append(edge)
    for rules in by_reach.values():
        if FEWEST_RULES <= len(rules) <= MOST_RULES:
            yield rules


def _between_rules(words: Sequence[Placed], rules: Sequence[float], box: Box) -> Grid | None:
    rows = [segments(row, RULED_GAP) for row in visual_rows(words)]
    below_head = [row for row in rows if around(row[0]).middle > rules[1]]
    columns = _columns(below_head or rows)
    if len(columns) < 2 or len(rows) < 2 or len(words) > 30 * len(rows):
        return None
    heads = len(rows) - len(below_head)
    full = sum(1 for row in below_head if len(row) >= 0.5 * len(columns))
    spanning = sum(1 for row in below_head if any(_spans(part, columns) for part in row))
    longest = max(len(part) for row in rows for part in row)
    if (
        full < FULL_SHARE * len(below_head)
        or spanning > SPANNING_SHARE * len(below_head)
        or longest > LONGEST_ENTRY_WORDS
        or heads > MOST_HEADS
    ):
        return None
    return _grid(_joined_lines(rows, columns, heads), columns, box, heads)


def open_tables(words: Sequence[Placed]) -> list[Grid]:
    """Tables without any rule: short entries, most of them figures, in columns of three rows or
    more."""
    rows = [_OpenRow(segments(row, OPEN_GAP), around(row)) for row in visual_rows(words)]
    grids = []
    group: list[_OpenRow] = []
    for row in rows:
        if group and not (row.is_tabular and group[-1].is_followed_by(row)):
            grids += _open_grid(group)
            group = []
        if row.is_tabular:
            group.append(row)
    return [*grids, *_open_grid(group)]


@dataclass(frozen=True, slots=True)
class _OpenRow:
    parts: list[list[Placed]]
    box: Box

    @property
    def is_tabular(self) -> bool:
        if len(self.parts) < 2 or any(_MARKER.match(part[0].word.text) for part in self.parts):
            return False  # lists, perhaps side by side
        count = sum(len(part) for part in self.parts)
        if count > WORDS_PER_ENTRY * len(self.parts) + 4:
            return False
        return not _LEADER.search(" ".join(_text(part) for part in self.parts))

    def is_followed_by(self, row: "_OpenRow") -> bool:
        size = max(self.parts[0][0].size, row.parts[0][0].size)
        return row.box.middle - self.box.middle <= ROW_PITCH * size


def _open_grid(rows: Sequence[_OpenRow]) -> list[Grid]:
    if len(rows) < FEWEST_ROWS:
        return []
    columns = _columns([row.parts for row in rows])
    if len(columns) < 2:
        return []
    hits = [0] * len(columns)
    figures = entries = words = 0
    for row in rows:
        for part in row.parts:
            first, _ = _reach(part, columns)
            hits[first] += 1
            words += len(part)
            if first > 0:
                entries += 1
                figures += is_numeric(_text(part))
    total = sum(hits)
    if (
        min(hits) < HIT_SHARE * len(rows)
        or words > WORDS_PER_ENTRY * total
        or figures < NUMERIC_SHARE * max(1, entries)
    ):
        return []
    placed = [placed for row in rows for part in row.parts for placed in part]
    return [_grid([row.parts for row in rows], columns, around(placed), 1)]


def _text(words: Sequence[Placed]) -> str:
    return " ".join(placed.word.text for placed in words)


def _columns(rows: Sequence[Sequence[Sequence[Placed]]]) -> list[_Span]:
    """Where entries stand: intervals that no entry of a row with several crosses."""
    most = max((len(row) for row in rows), default=0)
    spans = sorted(
        (around(part).left, around(part).right)
        for row in rows
        # A row with few entries has some that span columns.
        if len(row) >= max(2, 0.6 * most)
        for part in row
    )
    merged: list[_Span] = []
    for left, right in spans:
        if merged and left < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(right, merged[-1][1]))
        else:
            merged.append((left, right))
    return merged


def _reach(part: Sequence[Placed], columns: Sequence[_Span]) -> tuple[int, int]:
    """The first and last column that the entry stands in."""
    box = around(part)
    shared = [overlap(box.left, box.right, *column) for column in columns]
    touched = [index for index, length in enumerate(shared) if length > 0]
    if not touched:
        middle = (box.left + box.right) / 2
        nearest = min(range(len(columns)), key=lambda index: abs(sum(columns[index]) / 2 - middle))
        return nearest, nearest
    return touched[0], touched[-1]


def _spans(part: Sequence[Placed], columns: Sequence[_Span]) -> bool:
    first, last = _reach(part, columns)
    return last > first


def _joined_lines(
    rows: Sequence[list[list[Placed]]], columns: Sequence[_Span], heads: int
) -> list[list[list[Placed]]]:
    """Rows whose entries take several lines, as one: the lines after the first have nothing in the
    first column and stand closer to the row above than rows do."""
    middles = [around(row[0]).middle for row in rows]
    pitches = [after - before for before, after in pairwise(middles)]
    tightest = min(pitches, default=0.0)
    if not pitches or max(pitches) < 1.3 * tightest:
        return list(rows)
    joined: list[list[list[Placed]]] = []
    for index, row in enumerate(rows):
        continues = (
            index > 0
            and index != heads
            and pitches[index - 1] <= 1.15 * tightest
            and _reach(row[0], columns)[0] > 0
        )
        if continues:
            joined[-1] = [*joined[-1], *row]
        else:
            joined.append(list(row))
    return joined


def _grid(
    rows: Sequence[Sequence[Sequence[Placed]]], columns: Sequence[_Span], box: Box, heads: int
) -> Grid:
    cells: dict[tuple[int, int], Cell] = {}
    for number, row in enumerate(rows):
        for part in row:
            first, last = _reach(part, columns)
            place = around(part)
            cell = cells.get((number, first))
            if cell is None:
                cells[number, first] = Cell(
                    number, first, place, 1, last - first + 1, number < heads, list(part)
                )
            else:
                cell.words += part
                cell.box = cell.box.joined(place)
    return Grid(box, len(rows), len(columns), list(cells.values())).compacted()

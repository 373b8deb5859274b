"""The order in which a page's boxes are read, from where they stand: a recursive XY-cut.

Columns are cut apart only when both sides look like prose; what looks like a table or a form keeps
its rows. Boxes are upright ones (text runs to the right).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from activities.read.geometry import Box, shares_row


@dataclass(frozen=True, slots=True)
class Gutters:
    """What may run between columns: `narrowest` in line heights, `drifts` in points to the right
    for a point down, tried in this order. Beyond a gutter of `wide` line heights, where that is
    given, what does not look like prose is a column too, unless it has rows with what is beside it."""

    narrowest: float
    drifts: tuple[float, ...] = (0.0,)
    wide: float | None = None


PRINTED_GUTTERS = Gutters(0.8, wide=2.5)
SCANNED_GUTTERS = Gutters(0.5, (0.0, 0.005, -0.005, 0.01, -0.01, 0.02, -0.02))
"""On a photograph margins run together towards one side. A detector joins what stands closer than
this in one line."""
PROSE_WIDTH = 7.0
"""Median width of a column's lines from which it counts as prose, in line heights."""
FEWEST_LINES_OF_COLUMN = 3
BLOCK_GAP = 0.3
"""Least vertical gap, in line heights, at which a region may be cut across."""
MAXIMUM_DEPTH = 40
SHARED_ROWS = 0.5
"""A table's columns have more of their rows on the baselines of what is beside them."""

Order = list[int]


def reading_order(boxes: Sequence[Box], gutters: Gutters = PRINTED_GUTTERS) -> Order:
    """The indices of `boxes`, in reading order."""
    if not boxes:
        return []
    height = median(box.height for box in boxes) or 1.0
    return _Cutter(boxes, height, gutters).cut(list(range(len(boxes))))


def rows(boxes: Sequence[Box], indices: Sequence[int]) -> list[Order]:
    """Boxes side by side, from top to bottom, each row from left to right."""
    grouped: list[Order] = []
    for index in sorted(indices, key=lambda i: boxes[i].middle):
        if grouped and shares_row(boxes[grouped[-1][-1]], boxes[index]):
            grouped[-1].append(index)
        else:
            grouped.append([index])
    for row in grouped:
        row.sort(key=lambda i: boxes[i].left)
    return grouped


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts a page's boxes; `height` is that of a line."""

    boxes: Sequence[Box]
    height: float
    gutters: Gutters

    def cut(self, indices: Order, depth: int = 0) -> Order:
        if len(indices) >= 2 * FEWEST_LINES_OF_COLUMN and depth < MAXIMUM_DEPTH:
            for parts in (self._columns(indices), self._bands(indices)):
                if len(parts) > 1:
                    return [index for part in parts for index in self.cut(part, depth + 1)]
        return [index for row in rows(self.boxes, indices) for index in row]

    def _columns(self, indices: Order) -> list[Order]:
        """Parts from left to right; one part when nothing can be cut."""
        for drift in self.gutters.drifts:
            parts = self._between_gutters(indices, drift, self.gutters.narrowest)
            if len(parts) > 1 and all(self._is_prose(part) for part in parts):
                return parts
        return [indices] if self.gutters.wide is None else self._sides(indices, self.gutters.wide)

    def _sides(self, indices: Order, wide: float) -> list[Order]:
        """Two parts, left and right of the widest gutter that has a column on either side."""
        parts = self._between_gutters(indices, 0.0, wide)
        gaps = []
        for number in range(1, len(parts)):
            left = [index for part in parts[:number] for index in part]
            right = [index for part in parts[number:] for index in part]
            gap = min(self.boxes[i].left for i in right) - max(self.boxes[i].right for i in left)
            gaps.append((gap, left, right))
        for _, left, right in sorted(gaps, reverse=True):
            if self._is_column(left, indices) and self._is_column(right, indices):
                return [left, right]
        return [indices]

    def _between_gutters(self, indices: Order, drift: float, narrowest: float) -> list[Order]:
        spans = sorted(
            (box.left - drift * box.middle, box.right - drift * box.middle, index)
            for index, box in ((index, self.boxes[index]) for index in indices)
        )
        parts: list[Order] = [[]]
        reach = spans[0][1]
        for left, right, index in spans:
            if left - reach >= narrowest * self.height:
                parts.append([])
            parts[-1].append(index)
            reach = max(reach, right)
        return parts

    def _is_prose(self, part: Order) -> bool:
        if len(part) < FEWEST_LINES_OF_COLUMN:
            return False
        return median(self.boxes[index].width for index in part) >= PROSE_WIDTH * self.height

    def _is_column(self, part: Order, indices: Order) -> bool:
        """Wide beyond a wide gutter, if not of prose, and without rows that run across it."""
        own = rows(self.boxes, part)
        if len(own) < FEWEST_LINES_OF_COLUMN:
            return False
        widths = [
            max(self.boxes[i].right for i in row) - min(self.boxes[i].left for i in row)
            for row in own
        ]
        inside = set(part)
        others = [self.boxes[index] for index in indices if index not in inside]
        shared = sum(
            1 for row in own if any(_same_baseline(self.boxes[row[0]], other) for other in others)
        )
        return median(widths) >= PROSE_WIDTH * self.height and shared <= SHARED_ROWS * len(own)

    def _bands(self, indices: Order) -> list[Order]:
        """Two parts, above and below the widest gap that runs across; one part when there is
        none."""
        in_order = sorted(indices, key=lambda i: self.boxes[i].top)
        reach = self.boxes[in_order[0]].bottom
        best_gap, best_cut = BLOCK_GAP * self.height, 0
        for position, (_, index) in enumerate(pairwise(in_order), start=1):
            gap = self.boxes[index].top - reach
            if gap >= best_gap:
                best_gap, best_cut = gap, position
            reach = max(reach, self.boxes[index].bottom)
        return [in_order[:best_cut], in_order[best_cut:]] if best_cut else [indices]


def _same_baseline(first: Box, second: Box) -> bool:
    return abs(first.bottom - second.bottom) < 0.15 * min(first.height, second.height)

"""The order in which a page's boxes are read, from where they stand: a recursive XY-cut.

Columns are cut apart only when both sides look like prose; what looks like a table or a form keeps
its rows. Boxes are upright ones (text runs to the right).
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from activities.read.geometry import Box, shares_row

COLUMN_GAP = 0.8
"""Narrowest gutter between columns, in line heights."""
PROSE_WIDTH = 7.0
"""Median width of a column's lines from which it counts as prose, in line heights."""
FEWEST_LINES_OF_COLUMN = 3
BLOCK_GAP = 0.3
"""Least vertical gap, in line heights, at which a region may be cut across."""
MAXIMUM_DEPTH = 40

Order = list[int]


def reading_order(boxes: Sequence[Box]) -> Order:
    """The indices of `boxes`, in reading order."""
    if not boxes:
        return []
    height = median(box.height for box in boxes) or 1.0
    return _cut(boxes, list(range(len(boxes))), height, 0)


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


def _cut(boxes: Sequence[Box], indices: Order, height: float, depth: int) -> Order:
    if len(indices) < 2 * FEWEST_LINES_OF_COLUMN or depth >= MAXIMUM_DEPTH:
        return _by_rows(boxes, indices)
    for parts in (_columns(boxes, indices, height), _bands(boxes, indices, height)):
        if len(parts) > 1:
            return [index for part in parts for index in _cut(boxes, part, height, depth + 1)]
    return _by_rows(boxes, indices)


def _by_rows(boxes: Sequence[Box], indices: Order) -> Order:
    return [index for row in rows(boxes, indices) for index in row]


def _columns(boxes: Sequence[Box], indices: Order, height: float) -> list[Order]:
    """Parts from left to right; one part when nothing can be cut."""
    in_order = sorted(indices, key=lambda i: boxes[i].left)
    parts: list[Order] = [[in_order[0]]]
    reach = boxes[in_order[0]].right
    for index in in_order[1:]:
        if boxes[index].left - reach >= COLUMN_GAP * height:
            parts.append([])
        parts[-1].append(index)
        reach = max(reach, boxes[index].right)
    return parts if all(_is_prose(boxes, part, height) for part in parts) else [indices]


def _is_prose(boxes: Sequence[Box], part: Order, height: float) -> bool:
    if len(part) < FEWEST_LINES_OF_COLUMN:
        return False
    return median(boxes[index].width for index in part) >= PROSE_WIDTH * height


def _bands(boxes: Sequence[Box], indices: Order, height: float) -> list[Order]:
    """Two parts, above and below the widest gap that runs across; one part when there is none."""
    in_order = sorted(indices, key=lambda i: boxes[i].top)
    reach = boxes[in_order[0]].bottom
    best_gap, best_cut = BLOCK_GAP * height, 0
    for position, (_, index) in enumerate(pairwise(in_order), start=1):
        gap = boxes[index].top - reach
        if gap >= best_gap:
            best_gap, best_cut = gap, position
        reach = max(reach, boxes[index].bottom)
    return [in_order[:best_cut], in_order[best_cut:]] if best_cut else [indices]

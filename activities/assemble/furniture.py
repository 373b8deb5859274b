"""Running heads and feet: what pages repeat at their edges, and page numbers."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from activities.assemble.blocks import size_of
from muniment.contracts.documents import Page

EDGE_SHARE = 0.12
"""Heads and feet stand in the outermost part of the page's height."""
EDGE_LINES = 4
REPEATED_ON = 3
ALWAYS_ON = 5
REPEATED_SHARE = 0.3
"""A text that stands at the same height on this share of the pages, or on `ALWAYS_ON` of a long
document (each chapter has its own head), on `REPEATED_ON` at least or on all of fewer."""
SAME_HEIGHT_POINTS = 6.0
ISOLATED_EMS = 2.0
ISOLATED_SIZE = 0.93

_PAGE_NUMBER = re.compile(
    r"^[-–—\s|]*(?:(?:page|seite|página|pagina|p\.|стр\.)\s*)?\d{1,4}"
    r"(?:\s*(?:/|of|von|de|sur|из)\s*\d{1,4})?[-–—\s|]*$"
    r"|^\d{1,3}[-–]\d{1,3}$"
    r"|^[-–—\s]*[ivxlc]{1,7}[-–—\s]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Furniture:
    at_top: bool


class _EdgeLine(NamedTuple):
    position: int
    at_top: bool
    height: float
    is_isolated: bool


Places = dict[int, dict[int, Furniture]]
"""By page number and the line's index on its page."""


def find_furniture(pages: Sequence[Page], body_size: float) -> Places:
    """Which lines are running heads or feet."""
    candidates: dict[tuple[bool, str], list[tuple[int, int, float]]] = defaultdict(list)
    found: Places = defaultdict(dict)
    for page in pages:
        for edge in _edge_lines(page):
            line = page.lines[edge.position]
            text = line.text.strip()
            is_small = size_of(line) <= ISOLATED_SIZE * body_size
            if _PAGE_NUMBER.match(text) or (edge.is_isolated and is_small):
                found[page.page][edge.position] = Furniture(edge.at_top)
            candidates[edge.at_top, _normalised(text)].append(
                (page.page, edge.position, edge.height)
            )
    fewest = _fewest(len(pages))
    for (at_top, _), places in candidates.items():
        for same in _at_same_height(places):
            if len({page for page, _, _ in same}) >= fewest:
                for page_number, index, _ in same:
                    found[page_number][index] = Furniture(at_top)
    return found


def _fewest(pages: int) -> int:
    """On how many pages a text must stand to be repeated."""
    if pages <= REPEATED_ON:
        return max(2, pages)
    return min(ALWAYS_ON, max(REPEATED_ON, round(REPEATED_SHARE * pages)))


def _at_same_height(
    places: Sequence[tuple[int, int, float]],
) -> list[list[tuple[int, int, float]]]:
    groups: list[list[tuple[int, int, float]]] = []
    for place in sorted(places, key=lambda place: place[2]):
        if groups and place[2] - groups[-1][-1][2] <= SAME_HEIGHT_POINTS:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _edge_lines(page: Page) -> list[_EdgeLine]:
    """The first and last few lines by height, where they stand at the page's edge."""
    inside_tables = {
        index
        for table in page.tables
        for index in range(table.first_line, table.first_line + table.line_count)
    }
    placed = sorted(
        (line.bbox[1], line.bbox[3], index)
        for index, line in enumerate(page.lines)
        if line.bbox is not None
    )
    edges: list[_EdgeLine] = []
    for position, (start, end, index) in enumerate(placed):
        if index in inside_tables:
            continue
        size = max(1.0, end - start)
        if position < EDGE_LINES and end < EDGE_SHARE * page.height:
            below = min(
                (top for top, _, _ in placed if top > end - 0.3 * size), default=page.height
            )
            edges.append(_EdgeLine(index, True, start, below - end > ISOLATED_EMS * size))
        elif position >= len(placed) - EDGE_LINES and start > (1 - EDGE_SHARE) * page.height:
            above = max((foot for _, foot, _ in placed if foot < start + 0.3 * size), default=0.0)
            edges.append(
                _EdgeLine(index, False, page.height - end, start - above > ISOLATED_EMS * size)
            )
    return edges


def _normalised(text: str) -> str:
    """Digits made equal: a head may carry its page's or chapter's number."""
    return re.sub(r"\d+", "#", text).lower()

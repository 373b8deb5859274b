"""Running heads and feet: what pages repeat at their edges, and page numbers."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.contracts.documents import Page

EDGE_SHARE = 0.12
"""Heads and feet stand in the outermost part of the page's height."""
REPEATED_ON = 3
REPEATED_SHARE = 0.3
EDGE_LINES = 3

_PAGE_NUMBER = re.compile(
    r"^[-–—\s]*(?:(?:page|seite|p\.)\s*)?\d{1,4}(?:\s*(?:/|of|von)\s*\d{1,4})?[-–—\s]*$"
    r"|^[-–—\s]*[ivxlc]{1,7}[-–—\s]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Furniture:
    at_top: bool


def find_furniture(pages: Sequence[Page]) -> dict[tuple[int, int], Furniture]:
    """Which lines are running heads or feet, by page number and the line's index on its page."""
    candidates: dict[tuple[bool, str], list[tuple[int, int]]] = defaultdict(list)
    found: dict[tuple[int, int], Furniture] = {}
    for page in pages:
        for index, at_top in _edge_lines(page):
            text = page.lines[index].text.strip()
            if _PAGE_NUMBER.match(text):
                found[page.page, index] = Furniture(at_top)
            candidates[at_top, _normalised(text)].append((page.page, index))
    for (at_top, _), places in candidates.items():
        on_pages = {page for page, _ in places}
        if len(on_pages) >= max(REPEATED_ON, REPEATED_SHARE * len(pages)):
            found.update(dict.fromkeys(places, Furniture(at_top)))
    return found


def _edge_lines(page: Page) -> list[tuple[int, bool]]:
    """The first and last few lines by height, where they stand at the page's edge."""
    placed = sorted(
        (line.bbox[1], line.bbox[3], index)
        for index, line in enumerate(page.lines)
        if line.bbox is not None
    )
    top = [(index, True) for _, end, index in placed[:EDGE_LINES] if end < EDGE_SHARE * page.height]
    bottom = [
        (index, False)
        for start, _, index in placed[-EDGE_LINES:]
        if start > (1 - EDGE_SHARE) * page.height
    ]
    return [*top, *bottom]


def _normalised(text: str) -> str:
    """Digits made equal: a head may carry its page's or chapter's number."""
    return re.sub(r"\d+", "#", text).lower()

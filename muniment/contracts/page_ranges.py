"""Page numbers as ranges ("1-3,7"), so that no payload grows with the document."""

from collections.abc import Iterable

MAX_RANGES = 200
"""Above so many ranges neighbours are joined, and pages between them are counted in."""

PageRange = tuple[int, int]
"""First and last page, both included."""


def ranges_of(pages: Iterable[int]) -> list[PageRange]:
    """The pages as ranges, in order."""
    ranges: list[PageRange] = []
    for page in sorted(set(pages)):
        if ranges and page == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], page)
        else:
            ranges.append((page, page))
    return ranges


def write_ranges(pages: Iterable[int]) -> str:
    """Ranges as in "1-3,7"; above MAX_RANGES, the closest ones are joined."""
    ranges = ranges_of(pages)
    gap = 1
    while len(ranges) > MAX_RANGES:
        gap *= 2
        joined = [ranges[0]]
        for first, last in ranges[1:]:
            if first - joined[-1][1] <= gap:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        ranges = joined
    return _written(ranges)


def clip_ranges(text: str, first_page: int, last_page: int) -> str:
    """The part of the ranges that lies within the pages."""
    return _written(
        [
            (max(first, first_page), min(last, last_page))
            for first, last in read_ranges(text)
            if first <= last_page and last >= first_page
        ]
    )


def _written(ranges: Iterable[PageRange]) -> str:
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)


def read_ranges(text: str) -> list[PageRange]:
    """The ranges of "1-3,7"; ValueError for anything else."""
    ranges = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        ranges.append((int(first), int(last or first)))
    return ranges

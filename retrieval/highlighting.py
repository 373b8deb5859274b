"""Where the query's words stand in a passage."""

from db.queries.search import HIGHLIGHT_START, HIGHLIGHT_STOP
from retrieval.grouped_numbers import number_ranges
from retrieval.letter_pairs import pair_ranges

MAX_HIGHLIGHTS = 100


def highlight_ranges(
    text: str, marked_text: str | None, query: str = ""
) -> tuple[tuple[int, int], ...]:
    """The marked stretches as [start, end) code points of `text`, and those that are pairs of the query's
    letters or its numbers written in groups, the first MAX_HIGHLIGHTS of them.

    None when `marked_text` is not `text` with marks, as when the text itself holds the marks.
    """
    if marked_text is None:
        return ()
    others = [*pair_ranges(text, query), *number_ranges(text, query)]
    ranges = _joined([*_marked(text, marked_text), *others])
    return tuple(ranges[:MAX_HIGHLIGHTS])


def _marked(text: str, marked_text: str) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    plain: list[str] = []
    position = 0
    for index, piece in enumerate(marked_text.split(HIGHLIGHT_START)):
        word, stop, rest = piece.partition(HIGHLIGHT_STOP)
        if index > 0 and stop:
            ranges.append((position, position + len(word)))
        plain += (word, rest)
        position += len(word) + len(rest)
    return ranges if "".join(plain) == text else []


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined

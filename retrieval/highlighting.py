"""Where the query's words stand in a passage."""

from db.queries.search import HIGHLIGHT_START, HIGHLIGHT_STOP

MAX_HIGHLIGHTS = 100


def highlight_ranges(text: str, marked_text: str | None) -> tuple[tuple[int, int], ...]:
    """The marked stretches as [start, end) code points of `text`, the first MAX_HIGHLIGHTS of them.

    None when `marked_text` is not `text` with marks, as when the text itself holds the marks.
    """
    if marked_text is None:
        return ()
    ranges: list[tuple[int, int]] = []
    plain: list[str] = []
    position = 0
    for index, piece in enumerate(marked_text.split(HIGHLIGHT_START)):
        word, stop, rest = piece.partition(HIGHLIGHT_STOP)
        if index > 0 and stop and len(ranges) < MAX_HIGHLIGHTS:
            ranges.append((position, position + len(word)))
        plain += (word, rest)
        position += len(word) + len(rest)
    return tuple(ranges) if "".join(plain) == text else ()

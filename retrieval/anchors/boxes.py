"""Words and their places on a page: which stand in a box, and which boxes a stretch of text has."""

from collections.abc import Sequence
from dataclasses import dataclass

from muniment.contracts.documents import BoundingBox, Line

MOST_BOXES = 200


@dataclass(frozen=True)
class PlacedWord:
    """A word, or a whole line whose words have no places; `start` and `end` are code points of the
    page's text."""

    start: int
    end: int
    bbox: BoundingBox


def placed_words(text: str, lines: Sequence[Line]) -> list[tuple[PlacedWord, ...]]:
    """Those of each line that is found in the page's text, in order."""
    placed: list[tuple[PlacedWord, ...]] = []
    behind = 0
    for line in lines:
        start = text.find(line.text, behind) if line.text else -1
        if start < 0 or line.bbox is None:
            continue
        behind = start + len(line.text)
        placed.append(_words(line, line.bbox, start))
    return placed


def _words(line: Line, bbox: BoundingBox, start: int) -> tuple[PlacedWord, ...]:
    words: list[PlacedWord] = []
    behind = 0
    for word in line.words():
        place = line.text.find(word.text, behind)
        behind = place + len(word.text)
        words.append(PlacedWord(start + place, start + behind, word.bbox))
    return tuple(words) or (PlacedWord(start, start + len(line.text), bbox),)


def boxes_of(text: str, lines: Sequence[Line], start: int, end: int) -> list[BoundingBox]:
    """A box for each line that holds some of the stretch; none where the reading gives no places."""
    boxes: list[BoundingBox] = []
    for line in placed_words(text, lines):
        held = [word.bbox for word in line if word.start < end and word.end > start]
        if held:
            boxes.append(around(held))
    return boxes[:MOST_BOXES]


def words_in(text: str, lines: Sequence[Line], region: BoundingBox) -> tuple[int, int] | None:
    """From where to where the text goes whose words have their middle in the region; None without any.
    Words beside it may stand in between, where the page has columns."""
    inside = [
        word
        for line in placed_words(text, lines)
        for word in line
        if _holds_middle(region, word.bbox)
    ]
    if not inside:
        return None
    return min(word.start for word in inside), max(word.end for word in inside)


def around(boxes: Sequence[BoundingBox]) -> BoundingBox:
    """The least box that holds them all."""
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def _holds_middle(region: BoundingBox, box: BoundingBox) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return region[0] <= x <= region[2] and region[1] <= y <= region[3]

"""Where on a page black is painted: over the words of findings, over regions, over what nobody sees."""

from collections.abc import Sequence

from db.models import FindingRow
from muniment.contracts.documents import (
    MOST_HIDDEN_TEXTS,
    BoundingBox,
    FindingKind,
    HiddenKind,
    Page,
    PageSource,
)
from retrieval.anchors.boxes import placed_words

_STILL_DRAWN = frozenset({HiddenKind.TINY, HiddenKind.SAME_COLOUR})
"""Hidden text that leaves pixels, which no recogniser has examined."""
_HIGHEST_READ_BY_OCR = 2.5
"""Times its width: of a higher page what is read of its picture is placed some points too high."""


def places_on(page: Page, findings: Sequence[FindingRow]) -> list[BoundingBox] | None:
    """The boxes of the words that hold some of a finding, and of hidden text. None where a part has no
    place: the whole page is to go."""
    if len(page.hidden) >= MOST_HIDDEN_TEXTS:
        return None  # there may be more that nobody wrote down
    drawn = _STILL_DRAWN
    if page.source is PageSource.OCR:
        if page.height > _HIGHEST_READ_BY_OCR * page.width:
            return None
    else:
        # Below invisible words lies the picture that they were read from, which nobody read here.
        drawn = drawn | {HiddenKind.INVISIBLE}
    hidden = [each for each in page.hidden if each.kind in drawn]
    boxes = [each.bbox for each in hidden if each.bbox is not None]
    if len(boxes) < len(hidden):
        return None
    words = [word for line in placed_words(page.text, page.lines) for word in line]
    for finding in findings:
        start, end = finding.start_offset, finding.end_offset
        if finding.kind == FindingKind.HIDDEN_TEXT or start == end:
            continue  # what is drawn of it is among `hidden`
        held = [word for word in words if word.start < end and word.end > start]
        placed = {offset for word in held for offset in range(word.start, word.end)}
        said = (at for at in range(start, end) if not page.text[at : at + 1].isspace())
        if not held or any(at not in placed for at in said):
            return None
        boxes.extend(_whole(word.bbox, page.source) for word in held)
    return boxes


def _whole(box: BoundingBox, source: PageSource) -> BoundingBox:
    """OCR places words to within half a letter."""
    if source is not PageSource.OCR:
        return box
    left, top, right, bottom = box
    more = (bottom - top) / 2
    return max(0.0, left - more), top, right + more, bottom

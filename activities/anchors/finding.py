"""What becomes of one annotation in another reading: pure decisions, slow where a document is long."""

from collections.abc import Sequence
from dataclasses import dataclass

from activities.anchors.calls import Annotated
from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.documents import BoundingBox, Page
from retrieval.anchors.boxes import around, boxes_of
from retrieval.anchors.folding import Folded, fold
from retrieval.anchors.matching import FEWEST_FUZZY, Finder, Place
from retrieval.anchors.quotes import MOST_QUOTED, Quote, whole_words

_SAME_POINTS = 0.5
"""Engines round the size of a page otherwise."""


@dataclass(frozen=True)
class PageShape:
    """Points, and degrees."""

    width: float
    height: float
    rotation: int


@dataclass(frozen=True)
class Found:
    """Where an annotation stands now. Of a `place` the page's text and lines are still to be looked up;
    a `region` is known at once."""

    state: AnchorState
    page: int | None = None
    score: float | None = None
    region: BoundingBox | None = None
    place: Place | None = None


LOST = Found(AnchorState.LOST)


@dataclass(frozen=True)
class Located:
    """The words of a place, in the page's text, with their boxes."""

    text: str
    start: int
    end: int
    boxes: Sequence[BoundingBox]

    @property
    def region(self) -> BoundingBox | None:
        return around(self.boxes) if self.boxes else None


def find(
    annotation: Annotated, finder: Finder, shapes: dict[int, PageShape], is_read_anew: bool
) -> Found:
    """Where the annotation stands in the reading."""
    quote = quote_of(annotation)
    only_on = annotation.page if is_read_anew else None
    if annotation.region is not None:
        unmoved = _unmoved_region(annotation, quote, finder, shapes, only_on)
        if unmoved is not None:
            return unmoved
        if len(fold(quote.exact)) < FEWEST_FUZZY:
            return LOST
    place = finder.find(quote, only_on=only_on)
    if place is None:
        return LOST
    # A region that is drawn around the same words anew is another region.
    is_exact = place.score == 1 and place.page == quote.page and annotation.region is None
    state = AnchorState.EXACT if is_exact else AnchorState.MOVED
    return Found(state, place.page, place.score, place=place)


def quote_of(annotation: Annotated) -> Quote:
    """The words that the annotation was made on, or that stood in its region."""
    return Quote(
        page=annotation.page,
        exact=annotation.quote,
        prefix=annotation.prefix,
        suffix=annotation.suffix,
        start=annotation.start,
        end=annotation.end,
        occurrence=annotation.occurrence,
        occurrences=annotation.occurrences,
        page_digest=bytes.fromhex(annotation.page_digest),
    )


def locate(place: Place, page: Page, folded: Folded) -> Located | None:
    """The words of the place; of words that changed, whole ones. None when they have come to be so far
    apart that they are no quote any more."""
    text = page.text
    start, end = folded.stretch(place.start, place.end)
    if place.score < 1:
        start, end = whole_words(text, start, end)
    if end - start > MOST_QUOTED:
        return None
    # PostgreSQL's text holds every code point but this one.
    words = text[start:end].replace("\0", "")
    return Located(words, start, end, boxes_of(text, page.lines, start, end))


def stands_there(annotation: Annotated, page: Page, located: Located, is_read_anew: bool) -> bool:
    """Whether the words are where the annotation can be. A region needs a place on the page, which not
    every reading knows; and words of a page that was only read anew stay where they were on it."""
    if annotation.region is not None and located.region is None:
        return False
    was = PageShape(annotation.page_width, annotation.page_height, annotation.page_rotation)
    is_same_page = is_read_anew and _is_same_shape(
        was, PageShape(page.width, page.height, page.rotation)
    )
    if not is_same_page or not annotation.boxes or not located.boxes:
        return True
    return any(_overlap(one, other) for one in annotation.boxes for other in located.boxes)


def _overlap(one: BoundingBox, other: BoundingBox) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > 0 and down > 0


def _unmoved_region(
    annotation: Annotated,
    quote: Quote,
    finder: Finder,
    shapes: dict[int, PageShape],
    only_on: int | None,
) -> Found | None:
    """The same box, where the page is the same: by its content, or in a later version by its words."""
    was = PageShape(annotation.page_width, annotation.page_height, annotation.page_rotation)
    # What is read anew has the same content: whatever the engines make of its words.
    page = only_on or finder.page_of(quote.page_digest)
    if page is None or not _is_same_shape(was, shapes.get(page)):
        return None
    state = AnchorState.EXACT if page == quote.page else AnchorState.MOVED
    return Found(state, page, 1.0, region=annotation.region)


def _is_same_shape(one: PageShape, other: PageShape | None) -> bool:
    return (
        other is not None
        and one.rotation == other.rotation
        and abs(one.width - other.width) < _SAME_POINTS
        and abs(one.height - other.height) < _SAME_POINTS
    )

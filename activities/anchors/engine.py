"""The engine `anchor`: annotations looked for in a reading. What people uploaded decides how long that
takes, so that it is a process's affair, which can be ended."""

import time
from collections.abc import Sequence

from activities.anchors.calls import (
    AnchorAnswer,
    Anchored,
    AnchorRequest,
    Annotated,
    ReadPage,
    ReadPages,
)
from activities.anchors.finding import LOST, Found, PageShape, find, locate, stands_there
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import Page, PageBatch
from retrieval.anchors.folding import Folded, fold, fold_with_offsets
from retrieval.anchors.matching import Finder

MOST_CHARACTERS = 10_000_000
"""3,000 printed pages. In longer documents annotations stay pending."""
SECONDS = 60.0
"""Of computing. What was not reached until then stays pending; what was found is kept."""
_SECONDS_TO_LOCATE = 30.0
"""More, for the places of those that were found."""


class _Reading:
    """The pages of a reading, opened where they are asked for."""

    def __init__(self, pages: ReadPages, batches: Sequence[bytes]) -> None:
        self.shapes = {
            each.page: PageShape(each.width, each.height, each.rotation) for each in pages.pages
        }
        self._pages = {each.page: each for each in pages.pages}
        self._batches = batches
        self._opened = -1
        self._batch = PageBatch(pages=())
        self._folded: tuple[int, Folded] | None = None

    def folded(self) -> dict[int, str] | None:
        """The texts of the pages that could be read; None when there is too much to look through."""
        folded: dict[int, str] = {}
        characters = 0
        for number in self._pages:
            page = self.page(number)
            if page is None:
                continue
            characters += len(page.text)
            if characters > MOST_CHARACTERS:
                return None
            folded[number] = fold(page.text)
        return folded

    def page(self, number: int) -> Page | None:
        """None for one that could not be read."""
        row: ReadPage = self._pages[number]
        if row.batch is None:
            return None
        if row.batch != self._opened:
            self._batch = PageBatch.model_validate_json(self._batches[row.batch])
            self._opened = row.batch
        return self._batch.pages[row.position]

    def with_offsets(self, page: Page) -> Folded:
        """The page folded; kept until another is asked for."""
        if self._folded is None or self._folded[0] != page.page:
            self._folded = (page.page, fold_with_offsets(page.text))
        return self._folded[1]


@engine("anchor")
def anchor(request: AnchorRequest, context: EngineContext) -> AnchorAnswer:
    """Looks for all of them, page by page."""
    begun = time.process_time()
    batches = context.content.read().split(b"\n")
    reading = _Reading(request.present, batches)
    folded = former = reading.folded()
    if request.former is not None:
        former = _Reading(request.former, batches[request.present.batches :]).folded()
    if folded is None or former is None:
        return AnchorAnswer()
    finder = Finder(folded, former)
    is_read_anew = request.former is None
    found: list[tuple[Annotated, Found]] = []
    for annotation in sorted(request.annotations, key=lambda each: each.page):
        if time.process_time() - begun > SECONDS:
            break
        found.append((annotation, find(annotation, finder, reading.shapes, is_read_anew)))
    anchored: list[Anchored] = []
    for annotation, each in sorted(found, key=lambda pair: pair[1].page or 0):
        if time.process_time() - begun > SECONDS + _SECONDS_TO_LOCATE:
            break
        anchored.append(_anchored(annotation, each, reading, is_read_anew))
    return AnchorAnswer(anchored=tuple(anchored))


def _anchored(
    annotation: Annotated, found: Found, reading: _Reading, is_read_anew: bool
) -> Anchored:
    place, located = found.place, None
    page = None if place is None else reading.page(place.page)
    if place is not None and page is not None:
        located = locate(place, page, reading.with_offsets(page))
        if located is None or not stands_there(annotation, page, located, is_read_anew):
            found, located = LOST, None
    anchored = Anchored(
        annotation_id=annotation.annotation_id,
        state=found.state,
        score=None if found.score is None else round(found.score, 4),
        page=found.page,
        region=found.region,
    )
    if located is None:
        return anchored
    is_drawn_anew = annotation.region is not None and located.region is not None
    return anchored.model_copy(
        update={
            "quote": located.text,
            "start": located.start,
            "end": located.end,
            "boxes": tuple(located.boxes),
            "region": located.region if is_drawn_anew else found.region,
        }
    )

"""Temporal's face of finding annotations again."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from temporalio import activity

from activities.anchors.finding import LOST, Found, PageShape, find, locate, stands_there
from activities.artifacts import Artifacts
from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.models import Annotation, AnnotationAnchor, FileVersion, PageRow
from db.queries import anchors, files, pages
from db.session import Access, Database
from muniment.contracts.anchor_annotations import AnchorActivities, AnchorResult, AnchorState
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Page, PageBatch
from muniment.errors import MunimentError
from retrieval.anchors.folding import fold
from retrieval.anchors.matching import METHOD, Finder

logger = logging.getLogger(__name__)

MOST_ANNOTATIONS = 2_000
MOST_PAGES = 10_000
MOST_CHARACTERS = 10_000_000
"""3,000 printed pages. In longer documents annotations stay pending."""
_PAGES_AT_ONCE = 500


class _PageReader:
    """Opens pages in order, each batch of them once."""

    def __init__(self, artifacts: Artifacts, tenant_id: UUID) -> None:
        self._artifacts = artifacts
        self._tenant_id = tenant_id
        self._blob_id: UUID | None = None
        self._batch = PageBatch(pages=())

    async def page(self, row: PageRow) -> Page | None:
        """None for one that could not be read."""
        if row.blob_id is None:
            return None
        if row.blob_id != self._blob_id:
            self._batch = await self._artifacts.load(self._tenant_id, row.blob_id, PageBatch)
            self._blob_id = row.blob_id
        return self._batch.pages[row.position]


@dataclass(frozen=True)
class _Reading:
    """What was read of a version: its pages, and the folded texts of those that could be read."""

    version: FileVersion
    rows: dict[int, PageRow]
    folded: dict[int, str]

    def find_all(
        self, annotations: Sequence[Annotation], former: "_Reading"
    ) -> list[tuple[Annotation, Found]]:
        """All of one former version, or of this one; by page, since their pages are opened next."""
        finder = Finder(self.folded, former.folded)
        shapes = {
            page: PageShape(row.width, row.height, row.rotation) for page, row in self.rows.items()
        }
        found = [(each, find(each, self.version, finder, shapes)) for each in annotations]
        return sorted(found, key=lambda pair: pair[1].page or 0)


class Anchors(AnchorActivities):
    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    @activity.defn(name="anchor_annotations")
    async def anchor_annotations(self, version: VersionReference) -> AnchorResult:
        try:
            async with heartbeats():
                return await self._anchor(version)
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error

    async def _anchor(
    annotation: Annotation, version: FileVersion, found: Found, page: Page | None
) -> AnnotationAnchor:
    located = None
    if found.place is not None and page is not None:
        located = locate(found.place, page)
        if not stands_there(annotation, version, page, located):
            found, located = LOST, None
    anchor = AnnotationAnchor(
        annotation_id=annotation.id,
        version_id=version.id,
        tenant_id=version.tenant_id,
        reading_id=version.document_blob_id,
        method=METHOD,
        state=found.state,
        score=None if found.score is None else round(found.score, 4),
        page=found.page,
        region=None if found.region is None else list(found.region),
    )
    if located is not None:
        anchor.quote = located.text
        anchor.start_offset, anchor.end_offset = located.start, located.end
        anchor.boxes = [list(box) for box in located.boxes]
        if annotation.region is not None and located.region is not None:
            anchor.region = list(located.region)
    return anchor

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

    async def _anchor(self, version: VersionReference) -> AnchorResult:
        access = Access(version.tenant_id)
        async with self._database.transaction(access) as session:
            published = await anchors.published_reading(session, version)
            if published is None:
                return AnchorResult()
            wanted = await anchors.annotations_to_anchor(
                session, published, METHOD, limit=MOST_ANNOTATIONS
            )
        reading = await self._read(published) if wanted else None
        if reading is None:
            return AnchorResult()
        counts: Counter[str] = Counter()
        by_version = sorted(wanted, key=lambda each: each.version_id)
        for made_on, of_one in groupby(by_version, key=lambda each: each.version_id):
            former = reading if made_on == published.id else await self._former(access, made_on)
            if former is None:
                continue
            found = await asyncio.to_thread(reading.find_all, [*of_one], former)
            made = await self._made(reading, found)
            # Version by version: another attempt goes on where this one ended.
            if not await self._write(version, reading, made):
                break
            counts.update(anchor.state for anchor in made)
        return AnchorResult(
            exact=counts[AnchorState.EXACT],
            moved=counts[AnchorState.MOVED],
            lost=counts[AnchorState.LOST],
        )

    async def _former(self, access: Access, version_id: UUID) -> _Reading | None:
        async with self._database.transaction(access) as session:
            version = await files.version_by_id(session, version_id)
        return await self._read(version)

    async def _write(
        self, version: VersionReference, reading: _Reading, made: Sequence[AnnotationAnchor]
    ) -> bool:
        """False when the file is being erased, or the version was read anew meanwhile: what was published
        then has its annotations looked for in it."""
        async with self._database.transaction(Access(version.tenant_id)) as session:
            present = await anchors.published_reading(session, version, locked=True)
            if present is None:
                return False
            if present.document_blob_id != reading.version.document_blob_id:
                return False
            await anchors.write_anchors(session, made)
        return True

    async def _read(self, version: FileVersion) -> _Reading | None:
        """None when it is too long."""
        reader = _PageReader(self._artifacts, version.tenant_id)
        reading = _Reading(version, {}, {})
        characters = 0
        rows: Sequence[PageRow] = ()
        while True:
            async with self._database.transaction(Access(version.tenant_id)) as session:
                rows = await pages.list_pages(
                    session,
                    version.id,
                    limit=_PAGES_AT_ONCE,
                    after_page=rows[-1].page if rows else 0,
                )
            for row in rows:
                page = await reader.page(row)
                reading.rows[row.page] = row
                if page is not None:
                    reading.folded[row.page] = await asyncio.to_thread(fold, page.text)
                    characters += len(page.text)
                if len(reading.rows) > MOST_PAGES or characters > MOST_CHARACTERS:
                    logger.warning("a document is too long to find annotations in")
                    return None
            if len(rows) < _PAGES_AT_ONCE:
                return reading

    async def _made(
        self, reading: _Reading, found: Sequence[tuple[Annotation, Found]]
    ) -> list[AnnotationAnchor]:
        reader = _PageReader(self._artifacts, reading.version.tenant_id)
        made: list[AnnotationAnchor] = []
        for annotation, each in found:
            page = None
            if each.place is not None:
                page = await reader.page(reading.rows[each.place.page])
            made.append(_anchor(annotation, reading.version, each, page))
        return made


def _anchor(
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

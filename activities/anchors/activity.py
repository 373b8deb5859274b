"""Temporal's face of finding annotations again."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from temporalio import activity

from activities.anchors.calls import (
    AnchorAnswer,
    Anchored,
    AnchorRequest,
    Annotated,
    ReadPage,
    ReadPages,
)
from activities.artifacts import Artifacts
from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from db.models import Annotation, AnnotationAnchor, FileVersion, FindingRow, PageRow
from db.queries import anchors, files, pages
from db.queries.blobs import total_bytes
from db.queries.findings import tokens_of_pages
from db.session import Access, Database
from muniment.contracts.anchor_annotations import AnchorActivities, AnchorResult, AnchorState
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import PageBatch
from muniment.contracts.text_modes import QuotedWords
from muniment.errors import EngineOutOfMemory, EngineTimedOut, MunimentError
from muniment.objects import SealedTexts
from muniment.sealing import TextKey
from retrieval.anchors.matching import METHOD
from retrieval.anchors.words import plain_words, sealed_quote, write_found_words
from retrieval.masked_pages import masked_page

logger = logging.getLogger(__name__)

ENGINE_MODULE = "activities.anchors.engine"
LIMITS = Limits(wall_seconds=240, cpu_seconds=120, memory_bytes=2048 * MEBIBYTE)
"""The engine ends of itself before; what does not is at a single annotation, and is ended."""
MAXIMUM_BYTES = 128 * MEBIBYTE
"""Of both readings together: the worker holds them twice while it hands them to the sandbox."""
MOST_ANNOTATIONS = 2_000
MOST_PAGES = 10_000
_PAGES_AT_ONCE = 500


@dataclass(frozen=True)
class _Reading:
    """What was read of a version: its pages, and the batches that hold them."""

    version: FileVersion
    pages: ReadPages
    blob_ids: Sequence[UUID]
    masked: Mapping[int, Sequence[FindingRow]] | None = None
    """By page what tokens stand for, where the version is masked: an annotation quotes what it is found on,
    to whoever reads it."""

    def shown(self, content: bytes) -> bytes:
        """The batch as readers are shown its pages."""
        if self.masked is None:
            return content
        batch = PageBatch.model_validate_json(content)
        shown = (masked_page(page, self.masked.get(page.page, ())) for page in batch.pages)
        return PageBatch(pages=tuple(shown)).model_dump_json().encode()


class Anchors(AnchorActivities):
    def __init__(
        self, database: Database, artifacts: Artifacts, texts: SealedTexts, sandbox: Sandbox
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._texts = texts
        self._sandbox = sandbox

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
            found = await self._found(reading, made_on, [*of_one])
            # Version by version: another attempt goes on where this one ended.
            if found and not await self._write(version, reading, found):
                break
            counts.update(each.state for each in found)
        return AnchorResult(
            exact=counts[AnchorState.EXACT],
            moved=counts[AnchorState.MOVED],
            lost=counts[AnchorState.LOST],
        )

    async def _found(
        self, reading: _Reading, made_on: UUID, annotations: Sequence[Annotation]
    ) -> Sequence[Anchored]:
        """Those made on one version. What takes too long, or too much, is not looked for."""
        words = await self._words(annotations)
        if not words:
            return ()
        former = None
        if made_on != reading.version.id:
            former = await self._former(reading.version.tenant_id, made_on)
            if former is None:
                return ()
        content = await self._content(reading, former)
        if content is None:
            return ()
        request = AnchorRequest(
            annotations=tuple(
                _annotated(each, words[each.id]) for each in annotations if each.id in words
            ),
            present=reading.pages,
            former=None if former is None else former.pages,
        )
        try:
            answer = await self._sandbox.run(
                EngineCall("anchor", request, AnchorAnswer), content=content, limits=LIMITS
            )
        except (EngineTimedOut, EngineOutOfMemory) as error:
            # The same content would end the same way; those of the other versions are still looked for.
            logger.warning("annotations were not looked for: %s", error.problem)
            return ()
        return answer.anchored

    async def _words(self, annotations: Sequence[Annotation]) -> dict[UUID, QuotedWords]:
        """By annotation, those that are sealed opened; without those that will never be. Raises what
        kept one from being opened where a retry may help."""
        sealed = {each.id: text for each in annotations if (text := sealed_quote(each)) is not None}
        opened = await self._texts.try_quotes(list(sealed.values()))
        words = {each.id: plain_words(each) for each in annotations if each.id not in sealed}
        for annotation_id, said in zip(sealed, opened, strict=True):
            if isinstance(said, QuotedWords):
                words[annotation_id] = said
            elif said.retryable:
                raise said
            else:
                logger.warning("a sealed annotation cannot be looked for: %s", said.problem)
        return words

    async def _former(self, tenant_id: UUID, version_id: UUID) -> _Reading | None:
        async with self._database.transaction(Access(tenant_id)) as session:
            version = await files.version_by_id(session, version_id)
        return await self._read(version)

    async def _content(self, reading: _Reading, former: _Reading | None) -> bytes | None:
        """The batches, a line each; None, before any is opened, where they are too large."""
        tenant_id = reading.version.tenant_id
        blob_ids = [*reading.blob_ids, *(() if former is None else former.blob_ids)]
        async with self._database.transaction(Access(tenant_id)) as session:
            size_bytes = await total_bytes(session, blob_ids)
        if size_bytes > MAXIMUM_BYTES:
            logger.warning("a document is too large to find annotations in")
            return None
        readings = [reading] if former is None else [reading, former]
        lines = [
            await asyncio.to_thread(one.shown, await self._artifacts.load_bytes(tenant_id, each))
            for one in readings
            for each in one.blob_ids
        ]
        return await asyncio.to_thread(b"\n".join, lines)

    async def _write(
        self, version: VersionReference, reading: _Reading, found: Sequence[Anchored]
    ) -> bool:
        """False when the file is being erased, or the version was read anew meanwhile: what was published
        then has its annotations looked for in it."""
        key_id, key = reading.version.text_key_id, None
        if key_id is not None:
            key = await self._texts.key(version.tenant_id, key_id)
        async with self._database.transaction(Access(version.tenant_id)) as session:
            present = await anchors.published_reading(session, version, locked=True)
            if present is None:
                return False
            if present.document_blob_id != reading.version.document_blob_id:
                return False
            made = [_anchor(each, reading.version, key) for each in found]
            await anchors.write_anchors(session, made)
        return True

    async def _read(self, version: FileVersion) -> _Reading | None:
        """None when it has too many pages."""
        found: list[PageRow] = []
        while True:
            async with self._database.transaction(Access(version.tenant_id)) as session:
                rows = await pages.list_pages(
                    session,
                    version.id,
                    limit=_PAGES_AT_ONCE,
                    after_page=found[-1].page if found else 0,
                )
            found += rows
            if len(found) > MOST_PAGES:
                logger.warning("a document is too long to find annotations in")
                return None
            if len(rows) < _PAGES_AT_ONCE:
                return replace(_reading(version, found), masked=await self._masked(version))

    async def _masked(self, version: FileVersion) -> Mapping[int, Sequence[FindingRow]] | None:
        if not version.is_masked:
            return None
        async with self._database.transaction(Access(version.tenant_id)) as session:
            rows = await tokens_of_pages(session, version.id, 1, MOST_PAGES)
        return {page: [*of_page] for page, of_page in groupby(rows, key=lambda row: row.page)}


def _reading(version: FileVersion, rows: Sequence[PageRow]) -> _Reading:
    named = (row.blob_id for row in rows if row.blob_id is not None)
    numbers = {blob_id: number for number, blob_id in enumerate(dict.fromkeys(named))}
    read = tuple(
        ReadPage(
            page=row.page,
            width=row.width,
            height=row.height,
            rotation=row.rotation,
            batch=None if row.blob_id is None else numbers[row.blob_id],
            position=row.position,
        )
        for row in rows
    )
    return _Reading(version, ReadPages(pages=read, batches=len(numbers)), [*numbers])


def _annotated(annotation: Annotation, words: QuotedWords) -> Annotated:
    return Annotated.model_validate(
        {
            "annotation_id": annotation.id,
            "page": annotation.page,
            "page_width": annotation.page_width,
            "page_height": annotation.page_height,
            "page_rotation": annotation.page_rotation,
            "page_digest": annotation.page_digest.hex(),
            "region": annotation.region,
            "quote": words.quote,
            "prefix": words.prefix,
            "suffix": words.suffix,
            "start": annotation.start_offset or 0,
            "end": annotation.end_offset or 0,
            "occurrence": annotation.occurrence,
            "occurrences": annotation.occurrences,
            "boxes": annotation.boxes,
        }
    )


def _anchor(found: Anchored, version: FileVersion, key: TextKey | None) -> AnnotationAnchor:
    anchor = AnnotationAnchor(
        annotation_id=found.annotation_id,
        version_id=version.id,
        tenant_id=version.tenant_id,
        reading_id=version.document_blob_id,
        method=METHOD,
        state=found.state,
        score=found.score,
        page=found.page,
        region=None if found.region is None else list(found.region),
        start_offset=found.start,
        end_offset=found.end,
        boxes=[list(box) for box in found.boxes],
    )
    write_found_words(anchor, found.quote, key, version.text_key_id)
    return anchor

"""Temporal's face of imports: a source's objects are listed, and become files."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from temporalio import activity

from activities.artifacts import Artifacts
from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.audit import Act, record
from db.ingestions import Origin, first_version, new_ingestion
from db.models import Batch, Collection, File, Job, new_id
from db.queries import collections, imports, uploads
from db.queries.imports import ListedObject, UntakenObject
from db.queries.quotas import Quota
from db.queries.stages import NewBlob
from db.queries.uploads import Announced
from db.session import Access, Database, act_for
from muniment.contracts.ingest_batch import BatchReference, ImportActivities, TakeInInput
from muniment.contracts.jobs import FileState
from muniment.contracts.media_types import media_type_of_name
from muniment.errors import (
    ContentTooLarge,
    Forbidden,
    Gone,
    InvalidRequest,
    MunimentError,
    NotFound,
    QuotaExceeded,
    SourceUnavailable,
)
from muniment.objects import BlobStore, SealedBlob
from muniment.objects.importing import FoundObject, ImportSource, is_usable_key
from muniment.task_group import task_group

logger = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 4
"""Transfers of one batch: they wait for the source more than they compute."""
LONGEST_PICKING_SECONDS = 10.0
"""Then no further object is begun: what became a file is to be read, not to wait for its window."""
OBJECT_ATTEMPTS = 4
"""So often an object is tried that a source does not hand out, although it answers."""


@dataclass(frozen=True)
class ImportLimits:
    """Of one batch, of one object, and of tenants without a quota of their own."""

    max_objects: int
    max_bytes: int
    default_quota: Quota


class Imports(ImportActivities):
    def __init__(
        self,
        database: Database,
        artifacts: Artifacts,
        blobs: BlobStore,
        sources: Mapping[str, ImportSource],
        limits: ImportLimits,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._blobs = blobs
        self._sources = sources
        self._limits = limits

    @activity.defn(name="list_objects")
    async def list_objects(self, request: BatchReference) -> None:
        try:
            async with heartbeats():
                await self._list(await self._batch(request.tenant_id, request.batch_id))
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error

    @activity.defn(name="take_in_objects")
    async def take_in_objects(self, request: TakeInInput) -> None:
        try:
            async with heartbeats():
                batch = await self._batch(request.tenant_id, request.batch_id)
                await self._take_in(batch, request.limit)
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    async def _list(self, batch: Batch) -> None:
        if batch.listed_at is not None:
            return
        truncated, problem = False, None
        try:
            truncated = await self._note_pages(batch, self._source(batch))
        except MunimentError as error:
            if error.retryable:
                raise
            # Its operator has to mend it; what was listed until then is taken in.
            problem = error.problem
        async with self._database.transaction(Access(batch.tenant_id)) as session:
            await imports.finish_listing(session, batch.id, truncated=truncated, problem=problem)

    async def _note_pages(self, batch: Batch, source: ImportSource) -> bool:
        """Whether more lies there than one batch takes."""
        total, after = batch.total, batch.listed_to
        async with aclosing(source.list(batch.prefix, after)) as pages:
            async for page in pages:
                taken = page[: self._limits.max_objects - total]
                if taken:
                    listed = [self._listed(found) for found in taken]
                    async with self._database.transaction(Access(batch.tenant_id)) as session:
                        if not await imports.note_page(session, batch.id, after, listed):
                            return False
                    total, after = total + len(taken), listed[-1].key
                if len(taken) < len(page):
                    return True
        return False

    def _listed(self, found: FoundObject) -> ListedObject:
        if not is_usable_key(found.key):
            storable = found.key.replace("\0", "\N{REPLACEMENT CHARACTER}")
            return ListedObject(storable, found.size_bytes, InvalidRequest.problem)
        if found.size_bytes > self._limits.max_bytes:
            return ListedObject(found.key, found.size_bytes, ContentTooLarge.problem)
        return ListedObject(found.key, found.size_bytes, None)

    # ── taking in ───────────────────────────────────────────────────────────────────────────────

    async def _take_in(self, batch: Batch, limit: int) -> None:
        """Raises SourceUnavailable once every object had its turn, when the source failed one."""
        async with self._database.transaction(Access(batch.tenant_id)) as session:
            objects = await imports.untaken_objects(session, batch.id, limit)
        try:
            source = self._source(batch)
        except NotFound as error:
            for found in objects:
                await self._leave_out(batch, found, error.problem)
            return
        untaken = iter(objects)
        unavailable: list[UntakenObject] = []
        until = asyncio.get_running_loop().time() + LONGEST_PICKING_SECONDS

        async def take_turns() -> None:
            for found in _before(untaken, until):
                try:
                    await self._take(batch, source, found)
                except SourceUnavailable:
                    unavailable.append(found)

        async with task_group() as takers:
            for _ in range(OBJECTS_AT_ONCE):
                takers.create_task(take_turns())
        if unavailable:
            await self._give_up_or_raise(batch, source, unavailable)

    async def _give_up_or_raise(
        self, batch: Batch, source: ImportSource, unavailable: list[UntakenObject]
    ) -> None:
        """While the source is away, everything waits for it. One that answers but does not hand an
        object out, again and again, does not hold up the rest."""
        if activity.info().attempt < OBJECT_ATTEMPTS:
            raise SourceUnavailable(f"The source failed {len(unavailable)} objects.")
        await source.probe()
        for found in unavailable:
            await self._leave_out(batch, found, SourceUnavailable.problem)

    async def _take(self, batch: Batch, source: ImportSource, found: UntakenObject) -> None:
        """Makes the object a file, or notes why not. What is no fault of the object is raised."""
        try:
            await self._require_room(batch, found)
            async with aclosing(_limited(source.read(found.key), self._limits.max_bytes)) as chunks:
                sealed = await self._blobs.put(batch.tenant_id, chunks)
            await self._keep(batch, found, sealed)
        except MunimentError as error:
            if error.retryable:
                raise
            await self._leave_out(batch, found, error.problem)

    async def _require_room(self, batch: Batch, found: UntakenObject) -> None:
        """Raises QuotaExceeded before the object is read. One without a collection any more is
        refused once it is to be kept."""
        if batch.collection_id is None:
            return
        announced = Announced(batch.collection_id, found.key, found.size_bytes)
        async with self._database.transaction(
            Access(batch.tenant_id, batch.requested_by)
        ) as session:
            await uploads.require_room_for(session, announced, self._limits.default_quota)

    async def _leave_out(self, batch: Batch, found: UntakenObject, problem: str) -> None:
        ids = {"batch_id": str(batch.id), "number": found.number, "reason": problem}
        logger.info("an object was not taken in", extra=ids)
        async with self._database.transaction(Access(batch.tenant_id)) as session:
            await imports.leave_out(session, batch.id, found.number, problem)

    async def _keep(self, batch: Batch, found: UntakenObject, sealed: SealedBlob) -> None:
        """Under the rights of whoever asked for the batch, or was handed it, as they are now."""
        blob_id = None
        try:
            async with self._database.transaction(Access(batch.tenant_id)) as session:
                requester = await imports.keep_requester(session, batch.id)
                await act_for(session, Access(batch.tenant_id, requester))
                if not await imports.lock_untaken(session, batch.id, found.number):
                    return
                collection = batch.collection_id and await collections.get_collection(
                    session, batch.collection_id, level="write"
                )
                if not collection:
                    raise Forbidden("The collection is gone, or may not be written any more.")
                blob_id = await uploads.adopt_content(session, batch.tenant_id, sealed)
                same = await uploads.find_same_file(session, collection.id, found.key, blob_id)
                if same is not None:
                    await imports.set_file(session, batch.id, found.number, same, None)
                    return
                file = _file(batch, requester, collection, found)
                version = first_version(file, blob_id, sealed)
                origin = Origin(batch.tenant_id, requester, batch.request_id)
                job = new_ingestion(origin, version, priority=batch.priority)
                await uploads.add_file(session, file, version, self._limits.default_quota)
                session.add(job)
                record(session, _act(batch, requester, file, job, sealed))
                await session.flush()
                await imports.set_file(session, batch.id, found.number, file.id, job.id)
        except QuotaExceeded:
            blob_id = None
            raise
        finally:
            # What was adopted stays whatever else went wrong: of a COMMIT whose answer was lost nobody
            # knows yet whether it happened, and the integrity check finds what nothing refers to.
            if blob_id != sealed.blob_id:
                unneeded = NewBlob(sealed.blob_id, sealed.size, sealed.sha256)
                await asyncio.shield(self._artifacts.discard(batch.tenant_id, (unneeded,)))

    # ── both ────────────────────────────────────────────────────────────────────────────────────

    def _source(self, batch: Batch) -> ImportSource:
        source = self._sources.get(batch.source or "")
        if source is None:
            raise NotFound("The operator has named no such source on this worker.")
        return source

    async def _batch(self, tenant_id: UUID, batch_id: UUID) -> Batch:
        async with self._database.transaction(Access(tenant_id)) as session:
            batch: Batch | None = await session.get(Batch, batch_id)
        if batch is None:
            raise Gone("The batch is no longer there.")
        return batch


def _before(objects: Iterator[UntakenObject], until: float) -> Iterator[UntakenObject]:
    """One at least, so that every call comes further."""
    loop = asyncio.get_running_loop()
    for found in objects:
        yield found
        if loop.time() >= until:
            return


async def _limited(
    chunks: AsyncGenerator[bytes, None], max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Raises ContentTooLarge: what was listed as small may have grown."""
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise ContentTooLarge(f"the limit is {max_bytes} bytes")
            yield chunk


def _file(batch: Batch, requester: UUID, collection: Collection, found: UntakenObject) -> File:
    return File(
        id=new_id(),
        tenant_id=batch.tenant_id,
        collection_id=collection.id,
        owner_id=requester,
        name=found.key,
        state=FileState.RECEIVED,
        media_type=media_type_of_name(found.key),
    )


def _act(batch: Batch, requester: UUID, file: File, job: Job, sealed: SealedBlob) -> Act:
    return Act(
        action="file.imported",
        object_type="file",
        object_id=file.id,
        tenant_id=batch.tenant_id,
        actor_id=requester,
        request_id=batch.request_id,
        payload={"batch_id": str(batch.id), "job_id": str(job.id), "size": sealed.size},
    )

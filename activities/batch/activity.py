"""Temporal's face of batches: files are admitted to the window, their jobs watched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.ingestions import Origin, new_ingestion
from db.models import Batch
from db.queries import batches, files
from db.queries.batches import WaitingItem
from db.queries.preservation import keeps_what_is_read
from db.session import Access, Database
from muniment.contracts.base import VersionReference
from muniment.contracts.ingest_batch import (
    AdmitInput,
    AdmitResult,
    AdmittedFile,
    BatchActivities,
    RecordBatchInput,
    WatchInput,
    WatchResult,
)
from muniment.contracts.jobs import FileState, JobState
from muniment.errors import Gone, MunimentError

LOOK_SECONDS = 0.5
LONGEST_WATCH_SECONDS = 60.0
"""Then the workflow asks anew; so no activity lives on for days behind a long document."""
_TO_HEAL = (JobState.FAILED, JobState.CANCELLED)


class Batches(BatchActivities):
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="admit_files")
    async def admit_files(self, request: AdmitInput) -> AdmitResult:
        async with self._transaction(request.tenant_id) as session:
            batch = await session.get(Batch, request.batch_id)
            if batch is None:
                raise Gone("The batch is no longer there.")
            for item in await batches.next_items(session, batch.id, request.limit):
                await _admit(session, batch, item)
            await session.flush()
            working = await batches.working_items(session, batch.id, request.running)
            is_last = not await batches.has_waiting_items(session, batch.id)
        files = tuple(
            AdmittedFile(
                version=VersionReference(
                    tenant_id=request.tenant_id,
                    file_id=item.file_id,
                    version_id=item.version_id,
                    job_id=item.job_id,
                ),
                workflow_id=item.workflow_id,
                starts=item.is_own,
            )
            for item in working
        )
        return AdmitResult(files=files, is_last=is_last)

    @activity.defn(name="watch_jobs")
    async def watch_jobs(self, request: WatchInput) -> WatchResult:
        async with heartbeats():
            for _ in range(int(LONGEST_WATCH_SECONDS / LOOK_SECONDS)):
                async with self._transaction(request.tenant_id) as session:
                    over = await batches.jobs_over(session, request.job_ids)
                if over:
                    return WatchResult(over=tuple(over))
                await asyncio.sleep(LOOK_SECONDS)
        return WatchResult(over=())

    @activity.defn(name="record_batch")
    async def record_batch(self, request: RecordBatchInput) -> None:
        async with self._transaction(request.tenant_id) as session:
            await batches.mark_batch_started(
                session, request.batch_id, activity.info().workflow_run_id or ""
            )
            await batches.record_state(session, request.batch_id, request.state)

    @asynccontextmanager
    async def _transaction(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.transaction(Access(tenant_id)) as session:
                yield session
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error


async def _admit(session: AsyncSession, batch: Batch, item: WaitingItem) -> None:
    """Takes over the file's newest job, or makes one where that came to nothing."""
    detail = await files.get_file(session, item.file_id, for_update=True)
    if detail is None or detail.file.state in files.OUT_OF_SIGHT:
        await batches.admit_item(session, batch.id, item.number, None, is_own=False)
        return
    if detail.job is not None and detail.job.state not in _TO_HEAL:
        await batches.admit_item(session, batch.id, item.number, detail.job.id, is_own=False)
        return
    version = await files.newest_version(session, item.file_id)
    if await keeps_what_is_read(session, item.file_id):
        await batches.admit_item(session, batch.id, item.number, None, is_own=False)
        return
    origin = Origin(batch.tenant_id, batch.requested_by, batch.request_id)
    job = new_ingestion(origin, version, retry_of=detail.job, priority=batch.priority)
    session.add(job)
    if detail.file.state in (FileState.FAILED, FileState.CANCELLED):
        detail.file.state = FileState.RECEIVED
        detail.file.revision += 1
    await session.flush()
    await batches.admit_item(session, batch.id, item.number, job.id, is_own=True)

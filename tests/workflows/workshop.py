"""An installation in one process: real Temporal, PostgreSQL, store, sandbox and engines."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from db.models import Blob, BlobReference, Decision, File, FileVersion, Job, new_id, now
from db.queries.events import Event, events_after
from db.queries.jobs import get_job, lock_job, mark_started, write_job
from db.session import Access, Database
from muniment.contracts import queues
from muniment.contracts.ingest_file import IngestFileResult, retry_workflow_id, workflow_id
from muniment.contracts.jobs import JobEventKind, JobKind, JobSettings, JobState
from muniment.settings import (
    DatabaseSettings,
    EmbeddingSettings,
    KeySettings,
    LimitSettings,
    ObjectSettings,
    OcrSettings,
    ScanSettings,
    Settings,
    WorkerSettings,
)
from muniment.stores import PAYLOAD_KEY_FILE, Stores, open_data_converter, open_stores
from worker.connecting import register_search_attributes
from worker.parts import Parts
from worker.queues import build_worker, services
from workflows.starting import start_job

HISTORIES = Path(__file__).parents[1] / "histories"
ALL_QUEUES = (
    *(queues.WORKFLOWS, queues.SCAN, queues.PARSE),
    *(queues.OCR_CPU, queues.EMBED, queues.VERIFY, queues.DELIVER, queues.EVALUATE),
)
Handle = WorkflowHandle[Any, IngestFileResult]


@dataclass(frozen=True)
class TenantIds:
    """Whose files are ingested."""

    tenant_id: UUID
    collection_id: UUID
    principal_id: UUID


@dataclass
class Workshop:
    """The parts, and what the API would do with them."""

    settings: Settings
    client: Client
    database: Database
    stores: Stores
    parts: Parts

    @asynccontextmanager
    async def working(
        self,
        replacing: Sequence[Callable[..., Any]] = (),
        names: Sequence[str] = ALL_QUEUES,
        parts: Parts | None = None,
    ) -> AsyncIterator[None]:
        """Workers of the queues; activities in `replacing` take the place of those of their name."""
        replaced = {_name(activity): activity for activity in replacing}
        client = await self.connect()
        async with AsyncExitStack() as running:
            for service in services(names, parts or self.parts, self.settings.worker, 2):
                activities = [
                    replaced.get(_name(activity), activity) for activity in service.activities
                ]
                changed = replace(service, activities=activities)
                await running.enter_async_context(
                    build_worker(client, changed, self.settings.worker)
                )
            yield

    async def connect(self) -> Client:
        """A connection for workers that end before others begin. The SDK keeps account of workers by
        connection, and a worker it cannot finish wholly (somebody holds on to it for a moment longer:
        it says nothing) bars its queue to all later ones of the same connection."""
        return await Client.connect(
            self.client.service_client.config.target_host,
            data_converter=self.client.data_converter,
        )

    async def upload(
        self,
        tenant: TenantIds,
        content: bytes,
        name: str = "file.txt",
        media_type: str = "text/plain",
    ) -> Job:
        """Commits blob, file, version and start-intent, as the API does."""
        sealed = await self.stores.blobs.put_bytes(tenant.tenant_id, content)
        file_id, version_id, job_id = new_id(), new_id(), new_id()
        async with self.database.transaction(Access(tenant.tenant_id)) as session:
            blob_id = await self._content_blob(session, tenant, sealed)
            session.add(
                File(
                    id=file_id,
                    tenant_id=tenant.tenant_id,
                    collection_id=tenant.collection_id,
                    owner_id=tenant.principal_id,
                    name=name,
                    state="received",
                    media_type=media_type,
                )
            )
            await session.flush()
            session.add(
                FileVersion(
                    id=version_id,
                    tenant_id=tenant.tenant_id,
                    file_id=file_id,
                    number=1,
                    blob_id=blob_id,
                    name=name,
                    size=sealed.size,
                    sha256=sealed.sha256,
                    declared_media_type=media_type,
                )
            )
            await session.flush()
            session.add(
                BlobReference(
                    tenant_id=tenant.tenant_id,
                    blob_id=blob_id,
                    version_id=version_id,
                    role="content",
                )
            )
            job = Job(
                id=job_id,
                tenant_id=tenant.tenant_id,
                kind=JobKind.INGEST_FILE,
                file_id=file_id,
                version_id=version_id,
                workflow_id=workflow_id(version_id),
                state="queued",
            )
            session.add(job)
        return job

    async def retry(self, job: Job, settings: JobSettings | None = None) -> Job:
        """Commits another job for that one's version, as the API does to heal or to reprocess."""
        assert job.version_id is not None
        job_id = new_id()
        retry = Job(
            id=job_id,
            tenant_id=job.tenant_id,
            kind=JobKind.INGEST_FILE,
            file_id=job.file_id,
            version_id=job.version_id,
            workflow_id=retry_workflow_id(job.version_id, job_id),
            state="queued",
            retry_of=job.id,
            settings=(settings or JobSettings()).model_dump(mode="json", exclude_none=True),
        )
        async with self.database.transaction(Access(job.tenant_id)) as session:
            session.add(retry)
        return retry

    async def new_version(self, tenant: TenantIds, job: Job, content: bytes) -> Job:
        """Commits another version of that job's file, as the API does."""
        sealed = await self.stores.blobs.put_bytes(tenant.tenant_id, content)
        version_id, job_id = new_id(), new_id()
        async with self.database.transaction(Access(tenant.tenant_id)) as session:
            blob_id = await self._content_blob(session, tenant, sealed)
            earlier = await session.get(FileVersion, job.version_id)
            assert earlier is not None
            session.add(
                FileVersion(
                    id=version_id,
                    tenant_id=tenant.tenant_id,
                    file_id=job.file_id,
                    number=earlier.number + 1,
                    blob_id=blob_id,
                    name=earlier.name,
                    size=sealed.size,
                    sha256=sealed.sha256,
                    declared_media_type=earlier.declared_media_type,
                )
            )
            await session.flush()
            session.add(
                BlobReference(
                    tenant_id=tenant.tenant_id,
                    blob_id=blob_id,
                    version_id=version_id,
                    role="content",
                )
            )
            following = Job(
                id=job_id,
                tenant_id=tenant.tenant_id,
                kind=JobKind.INGEST_FILE,
                file_id=job.file_id,
                version_id=version_id,
                workflow_id=workflow_id(version_id),
                state="queued",
            )
            session.add(following)
        return following

    async def start(self, job: Job) -> Handle:
        run_id = await start_job(self.client, job)
        async with self.database.transaction(Access(job.tenant_id)) as session:
            await mark_started(session, job.id, run_id)
        return self.client.get_workflow_handle(job.workflow_id, result_type=IngestFileResult)

    async def job(self, job: Job) -> Job:
        """The job's row as it now is."""
        async with self.database.transaction(Access(job.tenant_id)) as session:
            found = await get_job(session, job.id)
        assert found is not None
        return found

    async def file(self, job: Job) -> File:
        async with self.database.transaction(Access(job.tenant_id)) as session:
            found = await session.get(File, job.file_id)
        assert found is not None
        return found

    async def events(self, job: Job) -> list[Event]:
        async with self.database.transaction(Access(job.tenant_id)) as session:
            return await events_after(session, job.id, 0, limit=10_000)

    async def decide(self, tenant: TenantIds, job: Job, verdict: str) -> UUID:
        """A decision row, as the API writes it under a person's rights."""
        decision = Decision(
            tenant_id=job.tenant_id,
            job_id=job.id,
            principal_id=tenant.principal_id,
            verdict=verdict,
        )
        async with self.database.transaction(Access(job.tenant_id)) as session:
            session.add(decision)
        return decision.id

    async def end_as_cancelled(self, job: Job) -> None:
        """Ends the job's row behind the back of its activities."""
        async with self.database.transaction(Access(job.tenant_id)) as session:
            locked = await lock_job(session, job.id)
            assert locked is not None
            ended = replace(locked, state=JobState.CANCELLED, finished_at=now())
            await write_job(session, ended, [ended.event(JobEventKind.END)])

    async def until(self, job: Job, state: str, seconds: float = 300) -> Job:
        """The job once it is in that state."""
        async with asyncio.timeout(seconds):
            while (found := await self.job(job)).state != state:
                assert found.finished_at is None, f"the job ended as {found.state}: {found.error}"
                await asyncio.sleep(0.05)
        return found

    async def until_pages(self, job: Job, count: int, seconds: float = 300) -> Job:
        """The job once so many of its pages are done."""
        async with asyncio.timeout(seconds):
            while (found := await self.job(job)).pages_done < count:
                assert found.finished_at is None, f"the job ended as {found.state}: {found.error}"
                await asyncio.sleep(0.05)
        return found

    async def _content_blob(self, session: Any, tenant: TenantIds, sealed: Any) -> UUID:
        from sqlalchemy import select

        found = await session.scalar(
            select(Blob).where(Blob.dedup_tag == sealed.dedup_tag, Blob.destroyed_at.is_(None))
        )
        if found is not None:
            await self.stores.blobs.destroy(tenant.tenant_id, sealed.blob_id)
            return UUID(str(found.id))
        session.add(
            Blob(
                id=sealed.blob_id,
                tenant_id=tenant.tenant_id,
                kind="content",
                dedup_tag=sealed.dedup_tag,
                size=sealed.size,
                sha256=sealed.sha256,
            )
        )
        await session.flush()
        return UUID(str(sealed.blob_id))


def _name(activity: Callable[..., Any]) -> str:
    definition = activity.__temporal_activity_definition  # type: ignore[attr-defined] # the SDK's mark
    return str(definition.name)


def make_settings(folder: Path, dsn: str, scan: ScanSettings | None = None) -> Settings:
    return Settings(
        database=DatabaseSettings(url=SecretStr(dsn)),
        objects=ObjectSettings(root=folder / "objects"),
        keys=KeySettings(root=folder / "keys"),
        worker=WorkerSettings(
            cpu_slots=2,
            graceful_shutdown_seconds=1,
            scratch=folder / "scratch",
            workflow_sandbox=True,
        ),
        scan=scan or ScanSettings(),
        embedding=EmbeddingSettings(),
        limits=LimitSettings(),
        # Pollers of the GPU queue are remembered for longer than their tests last.
        ocr=OcrSettings(gpu_queue="off"),
    )


@asynccontextmanager
async def open_workshop(folder: Path, dsn: str, address: str) -> AsyncIterator[Workshop]:
    """Everything started and warm, ended on leaving."""
    (folder / "keys").mkdir(mode=0o700)
    # The key of the stored histories, so that new ones can be recorded under it.
    shutil.copyfile(HISTORIES / "payload.key", folder / "keys" / PAYLOAD_KEY_FILE)
    (folder / "keys" / PAYLOAD_KEY_FILE).chmod(0o600)
    settings = make_settings(folder, dsn)
    async with AsyncExitStack() as resources:
        database = Database(dsn)
        resources.push_async_callback(database.close)
        stores = open_stores(settings)
        client = await Client.connect(address, data_converter=open_data_converter(settings))
        await register_search_attributes(client)
        parts = Parts(settings, database, stores, resources)
        services(ALL_QUEUES, parts, settings.worker, 2)
        await parts.start()
        yield Workshop(settings, client, database, stores, parts)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


@asynccontextmanager
async def over_another_database(workshop: Workshop, dsn: str) -> AsyncIterator[Workshop]:
    """The same client and stores, and activities that know that database; those that need engines have
    none there."""
    async with AsyncExitStack() as resources:
        database = Database(dsn)
        resources.push_async_callback(database.close)
        parts = Parts(workshop.settings, database, workshop.stores, resources)
        yield replace(workshop, database=database, parts=parts)

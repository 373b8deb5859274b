"""Activities replaced one at a time by faulty ones."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.engines import DocumentEngines
from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.lifecycle.activity import Lifecycle
from activities.read.activity import Read
from db.models import Job
from db.queries.pages import failed_pages
from db.session import Access
from muniment.contracts.base import VersionReference
from muniment.contracts.chunk import ChunkInput, ChunkResult
from muniment.contracts.classify import ClassifyInput, ClassifyResult
from muniment.contracts.documents import DocumentPlan, PageBatch
from muniment.contracts.embed import EmbedInput, EmbedResult
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import StageName
from muniment.contracts.lifecycle import RecordProgressInput
from muniment.contracts.read import FailedPage, ReadBatchInput, ReadBatchResult
from muniment.errors import DamagedDocument, DatabaseUnavailable, EngineCrashed
from tests.workflows.documents import TEXT, long_pdf, page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import Handle, TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


class OnePageFails(DocumentEngines):
    """Engines that cannot read page 2; `asked` are the pages that they were to read."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop.parts.sandbox)
        self._engines = workshop.parts.engines
        self.torn = {2}
        self.asked: list[int] = []

    async def read_text(  # type: ignore[no-untyped-def] # as DocumentEngines
        self, content, plan: DocumentPlan, pages, password=None, on_page=None, on_document=None
    ):
        options = {"password": password, "on_page": on_page, "on_document": on_document}
        return await self._read_torn(self._engines.read_text, content, plan, pages, **options)

    async def read_ocr(self, content, plan: DocumentPlan, pages, password=None, on_page=None):  # type: ignore[no-untyped-def] # as DocumentEngines
        return await self._read_torn(
            self._engines.read_ocr, content, plan, pages, password=password, on_page=on_page
        )

    async def _read_torn(self, read, content, plan, pages, **options):  # type: ignore[no-untyped-def] # as DocumentEngines
        self.asked += pages
        good = [page for page in pages if page not in self.torn]
        torn = [FailedPage(page=page, problem="It is torn.") for page in pages if page not in good]
        batch, failed = await read(content, plan, good, **options)
        return PageBatch(pages=batch.pages, document=batch.document), (*failed, *torn)


async def test_a_failed_page_degrades_the_job_and_leaves_no_fingerprint(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = text_pdf([page_text(page) for page in range(1, 4)])
    job = await workshop.upload(owner, content, "torn.pdf", "application/pdf")
    torn = Read(workshop.parts.runner, OnePageFails(workshop), workshop.parts.scratch)  # type: ignore[arg-type] # a stand-in
    async with workshop.working(replacing=[torn.read_pages]):
        result = await (await workshop.start(job)).result()
    assert result.degraded
    row = await workshop.job(job)
    assert (row.state, row.degraded, row.pages_done, row.pages_failed) == ("completed", True, 2, 1)
    file = await workshop.file(job)
    assert (file.state, file.degraded) == ("ready", True)
    again = await workshop.upload(owner, content, "whole.pdf", "application/pdf")
    async with workshop.working():
        await (await workshop.start(again)).result()
    healed = await workshop.job(again)
    assert (healed.degraded, healed.pages_done, healed.pages_reused) == (False, 3, 2)


@pytest.mark.parametrize("make", [text_pdf, scanned_pdf], ids=["text", "scan"])
async def test_a_retry_reads_only_the_page_that_failed_and_publishes_the_whole(
    workshop: Workshop, owner: TenantIds, make: Callable[[list[str]], bytes]
) -> None:
    content = make([page_text(page) for page in range(1, 4)])
    job = await workshop.upload(owner, content, "torn.pdf", "application/pdf")
    engines = OnePageFails(workshop)
    read = Read(workshop.parts.runner, engines, workshop.parts.scratch)  # type: ignore[arg-type] # a stand-in
    async with workshop.working(replacing=[read.read_pages]):
        await (await workshop.start(job)).result()
        assert await failed_pages_of(workshop, job) == {2}
        assert (await workshop.file(job)).degraded
        engines.asked, engines.torn = [], set()
        retry = await workshop.retry(job)
        await (await workshop.start(retry)).result()
    assert engines.asked == [2]
    row = await workshop.job(retry)
    assert (row.degraded, row.pages_done, row.pages_failed, row.pages_reused) == (False, 3, 0, 2)
    assert await failed_pages_of(workshop, job) == set()
    assert not (await workshop.file(job)).degraded
    events = [event.payload for event in await workshop.events(retry) if event.event == "page"]
    assert {(event["page"], event["state"]) for event in events} == {
        (1, "reused"),
        (2, "completed"),
        (3, "reused"),
    }


async def failed_pages_of(workshop: Workshop, job: Job) -> set[int]:
    """As published."""
    assert job.version_id is not None
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        return await failed_pages(session, job.version_id)


async def test_a_passing_failure_is_retried_and_told(workshop: Workshop, owner: TenantIds) -> None:
    real = workshop.parts.chunker

    @activity.defn(name="chunk_document")
    async def fails_once(request: ChunkInput) -> ChunkResult:
        if activity.info().attempt == 1:
            async with workshop.parts.runner.attempt(request.version, StageName.CHUNK):
                raise EngineCrashed("The engine died.")
        return await real.chunk_document(request)

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[fails_once]):
        await (await workshop.start(job)).result()
    retries = [event.payload for event in await workshop.events(job) if event.event == "retry"]
    assert [(retry["stage"], retry["attempt"], retry["reason"]) for retry in retries] == [
        ("chunk", 2, "engine-crashed")
    ]
    assert retries[0]["next_at"] is not None
    row = await workshop.job(job)
    chunk = next(stage for stage in row.stages if stage["name"] == "chunk")
    assert (row.state, chunk["state"], chunk["attempts"]) == ("completed", "completed", 2)


async def test_an_engine_that_always_crashes_fails_the_job_after_three_attempts(
    workshop: Workshop, owner: TenantIds
) -> None:
    attempts = []

    @activity.defn(name="embed_chunks")
    async def crashes(request: EmbedInput) -> EmbedResult:
        attempts.append(activity.info().attempt)
        async with workshop.parts.runner.attempt(request.version, StageName.EMBED):
            raise EngineCrashed("The engine died.")

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[crashes]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
    assert attempts == [1, 2, 3]
    row = await workshop.job(job)
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:engine-crashed"
    embed = next(stage for stage in row.stages if stage["name"] == "embed")
    assert embed["state"] == "failed"


async def test_a_late_failure_does_not_cost_what_was_read(
    workshop: Workshop, owner: TenantIds
) -> None:
    @activity.defn(name="embed_chunks")
    async def fails_for_good(request: EmbedInput) -> EmbedResult:
        async with workshop.parts.runner.attempt(request.version, StageName.EMBED):
            raise DamagedDocument("It cannot be embedded.")

    scanned = frozenset({2, 19})
    content = long_pdf(20, scanned)
    job = await workshop.upload(owner, content, "long.pdf", "application/pdf")
    engines = OnePageFails(workshop)
    engines.torn = set()
    read = Read(workshop.parts.runner, engines, workshop.parts.scratch)  # type: ignore[arg-type] # a stand-in
    async with workshop.working(replacing=[read.read_pages, fails_for_good]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
    failed = await workshop.job(job)
    assert (failed.state, failed.stage, failed.pages_done) == ("failed", "embed", 20)
    assert sorted(engines.asked) == list(range(1, 21))
    engines.asked = []
    retry = await workshop.retry(job)
    async with workshop.working(replacing=[read.read_pages]):
        await (await workshop.start(retry)).result()
    assert engines.asked == []
    row = await workshop.job(retry)
    assert (row.state, row.degraded) == ("completed", False)
    assert (row.pages_done, row.pages_reused, row.pages_failed) == (20, 20, 0)
    states = {stage["name"]: stage["state"] for stage in row.stages}
    before = ("inspect", "read", "assemble", "chunk")
    assert {states[stage] for stage in before} == {"reused"}
    assert states["embed"] == "completed"
    assert (await workshop.file(job)).state == "ready"


async def test_attempts_that_an_outage_cost_leave_an_engine_its_own(
    workshop: Workshop, owner: TenantIds
) -> None:
    real = workshop.parts.chunker

    @activity.defn(name="chunk_document")
    async def crashes_after_an_outage(request: ChunkInput) -> ChunkResult:
        async with workshop.parts.runner.attempt(request.version, StageName.CHUNK):
            if activity.info().attempt < 3:
                raise DatabaseUnavailable("It is away.")
            if activity.info().attempt == 3:
                raise EngineCrashed("The engine died.")
        return await real.chunk_document(request)

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[crashes_after_an_outage]):
        await (await workshop.start(job)).result()
    assert (await workshop.job(job)).state == "completed"


async def test_a_job_that_ended_keeps_nothing_of_a_late_activity(
    workshop: Workshop, owner: TenantIds
) -> None:
    cancelled = asyncio.Event()
    went_on: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    real = workshop.parts.chunker

    @activity.defn(name="chunk_document")
    async def ignores_cancellation(request: ChunkInput) -> ChunkResult:
        async with heartbeats():
            try:
                cancelled.set()
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                await workshop.end_as_cancelled(job)
        try:
            return await real.chunk_document(request)
        except ApplicationError as error:
            went_on.set_result(str(error.type))
            raise

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[ignores_cancellation]):
        handle = await workshop.start(job)
        await cancelled.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert await went_on == "conflict"
    row = await workshop.job(job)
    assert row.state == "cancelled"
    chunk = next(stage for stage in row.stages if stage["name"] == "chunk")
    assert chunk.get("state", "pending") == "pending"


def _place_of(kind: int, told: list[int]) -> int:
    """Behind all where it is not there yet."""
    return told.index(kind) if kind in told else len(told)


async def until_it_has_heard_of_its_cancellation(handle: Handle) -> None:
    """Until the workflow has completed a task after it was asked to end."""
    async with asyncio.timeout(60):
        while True:
            told = [event.event_type async for event in handle.fetch_history_events()]
            since = _place_of(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, told)
            if EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in told[since:]:
                return
            await asyncio.sleep(0.05)


async def test_a_cancellation_holds_though_the_running_activity_completes(
    workshop: Workshop, owner: TenantIds
) -> None:
    began, told = asyncio.Event(), asyncio.Event()
    inspect = workshop.parts.parse_activities()[0]
    (read,) = workshop.parts.read_activities()
    begun = []

    @activity.defn(name="inspect_document")
    async def completes_all_the_same(version: VersionReference) -> InspectResult:
        began.set()
        await told.wait()
        result: InspectResult = await inspect(version)
        return result

    @activity.defn(name="read_pages")
    async def notes(batch: ReadBatchInput) -> ReadBatchResult:
        begun.append(batch.first_page)
        result: ReadBatchResult = await read(batch)
        return result

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[completes_all_the_same, notes]):
        handle = await workshop.start(job)
        await began.wait()
        await handle.cancel()
        await until_it_has_heard_of_its_cancellation(handle)
        told.set()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert begun == []
    assert (await workshop.job(job)).state == "cancelled"


async def test_nothing_further_begins_beside_a_stage_that_failed(
    workshop: Workshop, owner: TenantIds
) -> None:
    chunking, cancelled, embedded = asyncio.Event(), asyncio.Event(), []
    real = workshop.parts.chunker

    @activity.defn(name="classify_content")
    async def fails(request: ClassifyInput) -> ClassifyResult:
        await chunking.wait()
        async with workshop.parts.runner.attempt(request.version, StageName.CLASSIFY):
            raise DamagedDocument("It cannot be classified.")

    @activity.defn(name="chunk_document")
    async def ends_once_the_failure_was_heard_of(request: ChunkInput) -> ChunkResult:
        chunking.set()
        async with heartbeats():
            try:
                await asyncio.sleep(120)
            except asyncio.CancelledError:
                cancelled.set()
        return await real.chunk_document(request)

    @activity.defn(name="embed_chunks")
    async def notes(request: EmbedInput) -> EmbedResult:
        embedded.append(request)
        raise AssertionError("nobody is there to use it")

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[fails, ends_once_the_failure_was_heard_of, notes]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
    assert cancelled.is_set()
    assert embedded == []
    row = await workshop.job(job)
    states = {stage["name"]: stage["state"] for stage in row.stages if stage.get("state")}
    assert (row.state, row.stage, states["classify"]) == ("failed", "classify", "failed")
    assert "running" not in states.values()


async def test_a_failure_is_recorded_though_the_job_is_cancelled_while_the_database_is_away(
    workshop: Workshop, owner: TenantIds
) -> None:
    lifecycle = Lifecycle(workshop.database, workshop.parts.runner)
    tried, database_is_back = asyncio.Event(), asyncio.Event()

    @activity.defn(name="record_progress")
    async def record_when_it_can(request: RecordProgressInput) -> None:
        tried.set()
        if not database_is_back.is_set():
            raise application_error(DatabaseUnavailable("It is away."), activity.info().attempt)
        await lifecycle.record_progress(request)

    job = await workshop.upload(owner, b"", "empty.txt")
    async with workshop.working(replacing=[record_when_it_can]):
        handle = await workshop.start(job)
        await tried.wait()
        await handle.cancel()
        await until_it_has_heard_of_its_cancellation(handle)
        database_is_back.set()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    assert (await workshop.job(job)).state == "failed"
    assert (await workshop.file(job)).state == "failed"


async def test_pages_that_another_files_erasure_takes_away_are_read_anew(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = scanned_pdf([f"Charter {page}" for page in range(1, 6)])
    first = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    second = await workshop.upload(owner, content, "b.pdf", "application/pdf")
    async with workshop.working():
        await (await workshop.start(first)).result()
        for blob_id in await _keep_single_pages(workshop, owner):
            # As an erasure does after a page was found and before it is opened.
            await workshop.stores.blobs.destroy(owner.tenant_id, blob_id)
        await (await workshop.start(second)).result()
    row = await workshop.job(second)
    assert (row.state, row.degraded, row.pages_done, row.pages_reused) == ("completed", False, 5, 0)


async def _keep_single_pages(workshop: Workshop, owner: TenantIds) -> list[UUID]:
    """Forgets the batches that were read, as if the first job had been cancelled within each."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text(
                "DELETE FROM stage_result WHERE fingerprint IN"
                " (SELECT fingerprint FROM stage_output WHERE stage = 'read')"
            )
        )
        pages = await session.execute(
            text("SELECT blob_id FROM stage_output WHERE stage = 'read_page'")
        )
        found = list(pages.scalars())
    assert len(found) == 5
    return found

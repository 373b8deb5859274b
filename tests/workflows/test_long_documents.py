"""Above some hundred pages child workflows read page ranges, and no history grows too long."""

import asyncio
import time
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.heartbeats import heartbeats
from db.models import Job
from muniment.contracts.assemble import AssembleInput, AssembleResult
from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.ingest_file import ReprioritiseRequest
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobProgress
from muniment.contracts.read import ReadBatchInput, ReadBatchResult
from tests.workflows.documents import TEXT, long_pdf
from tests.workflows.workshop import TenantIds, Workshop
from workflows import policies
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = 4_100
ARTIFACT = Artifact(fingerprint="0" * 64, blob_id=uuid4())


@activity.defn(name="inspect_document")
async def finds_many_pages(version: VersionReference) -> InspectResult:
    return InspectResult(
        plan=ARTIFACT,
        media_type="application/pdf",
        family=DocumentFamily.PDF,
        page_count=PAGES,
        ocr_pages="10-20",
    )


@activity.defn(name="assemble_document")
async def stops_there(request: AssembleInput) -> AssembleResult:
    raise ApplicationError("far enough", non_retryable=True)


async def test_a_long_document_is_read_by_child_workflows(
    workshop: Workshop, owner: TenantIds
) -> None:
    read: list[int] = []

    @activity.defn(name="read_pages")
    async def reads(batch: ReadBatchInput) -> ReadBatchResult:
        if batch.version.job_id == job.id and activity.info().attempt == 1:
            read.extend(range(batch.first_page, batch.last_page + 1))
        return ReadBatchResult(output=ARTIFACT, pages_done=batch.last_page - batch.first_page + 1)

    job = await workshop.upload(owner, TEXT, "long.pdf", "application/pdf")
    async with workshop.working(replacing=[finds_many_pages, reads, stops_there]):
        handle = await workshop.start(job)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        progress: JobProgress = await handle.query(IngestFile.progress)
    assert sorted(read) == list(range(1, PAGES + 1))
    assert progress.pages.done == PAGES
    assert len((await handle.fetch_history()).events) < 200
    child = workshop.client.get_workflow_handle(f"read-{job.version_id}-{job.id}-1")
    events = (await child.fetch_history()).events
    assert len(events) < 500
    assert max(event.ByteSize() for event in events) < 16 * 1024


async def test_a_range_whose_history_is_full_continues_as_new(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "HISTORY_EVENTS", 60)
    read: list[int] = []

    @activity.defn(name="read_pages")
    async def reads(batch: ReadBatchInput) -> ReadBatchResult:
        if batch.version.job_id == job.id and activity.info().attempt == 1:
            read.extend(range(batch.first_page, batch.last_page + 1))
        return ReadBatchResult(output=ARTIFACT, pages_done=batch.last_page - batch.first_page + 1)

    job = await workshop.upload(owner, TEXT, "long.pdf", "application/pdf")
    async with workshop.working(replacing=[finds_many_pages, reads, stops_there]):
        handle = await workshop.start(job)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        progress: JobProgress = await handle.query(IngestFile.progress)
    assert sorted(read) == list(range(1, PAGES + 1))
    assert progress.pages.done == PAGES
    child = workshop.client.get_workflow_handle(f"read-{job.version_id}-{job.id}-1")
    last_run = await child.describe()
    assert last_run.raw_description.workflow_execution_info.first_run_id != last_run.run_id
    assert len((await child.fetch_history()).events) < 200


async def _done_once_at_rest(workshop: Workshop, job: Job) -> int:
    """The pages that are done once none is added any more: what was in flight has ended."""
    async with asyncio.timeout(120):
        done, since = -1, time.monotonic()
        while time.monotonic() - since < 5:
            if (now_done := (await workshop.job(job)).pages_done) != done:
                done, since = now_done, time.monotonic()
            await asyncio.sleep(0.1)
    return done


async def test_a_long_document_pauses_resumes_and_passes_over_a_page_that_cannot_be_read(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "CHILD_PAGES", 100)
    content = long_pdf(300, scanned=frozenset({30, 150, 151}), torn=240)
    job = await workshop.upload(owner, content, "long.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await workshop.until_pages(job, 100)
        asked = time.monotonic()
        await handle.execute_update(IngestFile.pause)
        paused = time.monotonic()
        paused_at = await _done_once_at_rest(workshop, job)
        await asyncio.sleep(1.0)
        assert (await workshop.job(job)).pages_done == paused_at < 299
        at_least = time.monotonic() - paused
        await handle.execute_update(IngestFile.resume)
        at_most = time.monotonic() - asked
        result = await handle.result()
    assert (result.page_count, result.degraded) == (300, True)
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.pages_failed) == ("completed", 299, 1)
    pages = [event.payload for event in await workshop.events(job) if event.event == "page"]
    assert sorted(page["page"] for page in pages) == list(range(1, 301))
    assert [page["page"] for page in pages if page["state"] == "failed"] == [240]
    reading = next(stage for stage in row.stages if stage["name"] == "read")
    assert at_least - 1 < reading["idle_seconds"] < at_most + 1


async def test_cancelling_a_long_document_ends_the_range_at_work_and_keeps_what_was_read(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "CHILD_PAGES", 50)
    (read,) = workshop.parts.read_activities()
    at_work, held = set(), asyncio.Event()

    @activity.defn(name="read_pages")
    async def goes_no_further(batch: ReadBatchInput) -> ReadBatchResult:
        if batch.last_page <= policies.CHILD_PAGES:
            done: ReadBatchResult = await read(batch)
            return done
        at_work.add(batch.first_page)
        held.set()
        try:
            async with heartbeats():
                await asyncio.sleep(600)
        finally:
            at_work.discard(batch.first_page)
        raise AssertionError("it is cancelled before")

    job = await workshop.upload(owner, long_pdf(150), "long.pdf", "application/pdf")
    ranges = [
        workshop.client.get_workflow_handle(f"read-{job.version_id}-{job.id}-{first_page}")
        for first_page in (1, 51, 101)
    ]
    async with workshop.working(replacing=[goes_no_further]):
        handle = await workshop.start(job)
        async with asyncio.timeout(300):
            await held.wait()
        await handle.cancel()
        async with asyncio.timeout(120):
            with pytest.raises(WorkflowFailureError):
                await handle.result()
        assert at_work == set()
    parent, first, second = [await each.describe() for each in (handle, *ranges[:2])]
    assert (first.status, second.status, parent.status) == (
        WorkflowExecutionStatus.COMPLETED,
        WorkflowExecutionStatus.CANCELED,
        WorkflowExecutionStatus.CANCELED,
    )
    assert second.close_time <= parent.close_time
    with pytest.raises(RPCError, match="not found"):
        await ranges[2].describe()
    row = await workshop.job(job)
    assert (row.state, row.pages_done) == ("cancelled", 50)
    retry = await workshop.retry(job)
    async with workshop.working():
        await (await workshop.start(retry)).result()
    row = await workshop.job(retry)
    assert (row.state, row.pages_done, row.pages_reused) == ("completed", 150, 50)


async def test_a_new_priority_reaches_the_range_at_work_and_those_after_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    held, let_go = asyncio.Event(), asyncio.Event()

    @activity.defn(name="read_pages")
    async def reads_once_let_go(batch: ReadBatchInput) -> ReadBatchResult:
        held.set()
        async with heartbeats():
            await let_go.wait()
        return ReadBatchResult(output=ARTIFACT, pages_done=batch.last_page - batch.first_page + 1)

    job = await workshop.upload(owner, TEXT, "long.pdf", "application/pdf")
    async with workshop.working(replacing=[finds_many_pages, reads_once_let_go, stops_there]):
        handle = await workshop.start(job)
        await held.wait()
        await handle.execute_update(IngestFile.reprioritise, ReprioritiseRequest(priority=1))
        let_go.set()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    at_work = await _priorities(workshop, f"read-{job.version_id}-{job.id}-1")
    assert at_work[: policies.WINDOW] == [3] * policies.WINDOW
    assert set(at_work[policies.WINDOW :]) == {1}
    following = f"read-{job.version_id}-{job.id}-{policies.CHILD_PAGES + 1}"
    assert set(await _priorities(workshop, following)) == {1}
    assert (await workshop.job(job)).priority == 1


async def _priorities(workshop: Workshop, workflow_id: str) -> list[int]:
    """Of the workflow's activities, in the order in which they were scheduled."""
    history = await workshop.client.get_workflow_handle(workflow_id).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.priority.priority_key
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]

"""What people tell a running ingestion: cancel, pause, resume, reprioritise, release, reject."""

import asyncio
import time
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)

from activities.heartbeats import heartbeats
from db.models import now
from muniment.contracts.assemble import AssembleInput, AssembleResult
from muniment.contracts.base import VersionReference
from muniment.contracts.erase_file import ERASURE_SIGNAL
from muniment.contracts.ingest_file import DecisionRequest, ReprioritiseRequest
from muniment.contracts.jobs import JobProgress, JobState
from muniment.contracts.scan import ScanResult, ScanState
from tests.patience import on_a_busy_machine
from tests.workflows.documents import TEXT, dense_scan, page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import Handle, TenantIds, Workshop
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")


@activity.defn(name="scan_for_malware")
async def find_malware(version: VersionReference) -> ScanResult:
    return ScanResult(
        state=ScanState.INFECTED, signature="Test.Signature", scanned_at=now(), quarantine=True
    )


async def _until_reading(workshop: Workshop, handle: Handle) -> None:
    async with asyncio.timeout(300):
        while True:
            progress: JobProgress = await handle.query(IngestFile.progress)
            if progress.stage == "read":
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)


async def test_cancel_during_ocr_frees_the_worker_long_before_its_work_is_done(
    workshop: Workshop, owner: TenantIds
) -> None:
    # Over a minute's work: an end within seconds is the cancellation's.
    job = await workshop.upload(owner, dense_scan(60), "scan.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await _until_reading(workshop, handle)
        began = time.monotonic()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert time.monotonic() - began < on_a_busy_machine(3)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    row = await workshop.job(job)
    assert row.state == "cancelled"
    assert (await workshop.file(job)).state == "cancelled"
    seen = len(await workshop.events(job))
    await asyncio.sleep(0.5)
    assert len(await workshop.events(job)) == seen


async def test_a_cancelled_job_retried_keeps_the_pages_that_were_read(
    workshop: Workshop, owner: TenantIds
) -> None:
    @activity.defn(name="assemble_document")
    async def never_done(request: AssembleInput) -> AssembleResult:
        async with heartbeats():
            await asyncio.sleep(600)
        raise AssertionError("it is cancelled before")

    content = scanned_pdf([f"Charter {page}" for page in range(1, 9)])
    job = await workshop.upload(owner, content, "scan.pdf", "application/pdf")
    async with workshop.working(replacing=[never_done]):
        handle = await workshop.start(job)
        await workshop.until_pages(job, 1)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    done = (await workshop.job(job)).pages_done
    async with workshop.working():
        again = await workshop.upload(owner, content, "again.pdf", "application/pdf")
        await (await workshop.start(again)).result()
    row = await workshop.job(again)
    assert row.pages_done == 8
    assert row.pages_reused >= done > 0


async def test_erasure_stops_an_ingestion(workshop: Workshop, owner: TenantIds) -> None:
    job = await workshop.upload(owner, dense_scan(4), "scan.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await _until_reading(workshop, handle)
        await handle.signal(ERASURE_SIGNAL)
        result = await handle.result()
    assert result.state is JobState.CANCELLED
    assert (await workshop.job(job)).state == "cancelled"


async def test_a_paused_job_begins_nothing_until_it_is_resumed(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(
        owner, text_pdf([page_text(1), page_text(2)]), "a.pdf", "application/pdf"
    )
    async with workshop.working(names=["muniment", "muniment-scan"]):
        handle = await workshop.start(job)
        await workshop.until(job, "running")
        paused: JobProgress = await handle.execute_update(IngestFile.pause)
        assert paused.state is JobState.PAUSED
        await handle.execute_update(IngestFile.pause)
        assert (await workshop.job(job)).state == "paused"
    async with workshop.working():
        await asyncio.sleep(2)
        row = await workshop.job(job)
        assert row.state == "paused"
        assert row.pages_total == 0
        resumed: JobProgress = await handle.execute_update(IngestFile.resume)
        assert resumed.state is JobState.RUNNING
        assert (await handle.result()).state is JobState.COMPLETED
    states = [
        event.payload["state"] for event in await workshop.events(job) if event.event == "state"
    ]
    assert states == ["running", "paused", "running", "completed"]


async def test_a_new_priority_governs_what_is_scheduled_next(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(names=["muniment", "muniment-scan"]):
        handle = await workshop.start(job)
        await workshop.until(job, "running")
        await handle.execute_update(IngestFile.reprioritise, ReprioritiseRequest(priority=1))
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(IngestFile.reprioritise, ReprioritiseRequest(priority=9))
    async with workshop.working():
        await handle.result()
    assert (await workshop.job(job)).priority == 1
    history = await handle.fetch_history()
    priorities = [
        event.activity_task_scheduled_event_attributes.priority.priority_key
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert priorities[0] == 3
    assert priorities[-1] == 1


async def test_malware_waits_in_quarantine_until_a_recorded_decision_releases_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        assert (await workshop.file(job)).state == "quarantined"
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(IngestFile.release, DecisionRequest(decision_id=uuid4()))
        rejection = await workshop.decide(owner, job, "reject")
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(IngestFile.release, DecisionRequest(decision_id=rejection))
        release = DecisionRequest(decision_id=await workshop.decide(owner, job, "release"))
        await handle.execute_update(IngestFile.release, release)
        await handle.execute_update(IngestFile.release, release)
        assert (await handle.result()).state is JobState.COMPLETED
    assert (await workshop.file(job)).state == "ready"


async def test_a_rejected_file_stays_out(workshop: Workshop, owner: TenantIds) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        decision = DecisionRequest(decision_id=await workshop.decide(owner, job, "reject"))
        await handle.execute_update(IngestFile.reject, decision)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    row = await workshop.job(job)
    assert row.state == "failed"
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:content-withheld"
    assert (await workshop.file(job)).state == "rejected"


async def test_messages_that_the_state_forbids_are_refused_with_a_reason(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(IngestFile.pause)
        assert "waiting cannot be paused" in str(refused.value.cause)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert (await workshop.job(job)).state == "cancelled"

"""Nobody but a decision, or a clean scan, gets a file out of quarantine."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from activities.scan.activity import Scan
from activities.scan.policy import ScanPolicy
from db.models import Job, now
from db.queries.scans import Verdict
from muniment.contracts.base import VersionReference
from muniment.contracts.ingest_file import DecisionRequest
from muniment.contracts.jobs import StageName
from muniment.contracts.scan import ScanResult, ScanState
from muniment.errors import DamagedDocument
from muniment.scanner import Clamd
from tests.workflows.documents import TEXT
from tests.workflows.test_messages import find_malware
from tests.workflows.workshop import TenantIds, Workshop
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _quarantined_and_cancelled(workshop: Workshop, owner: TenantIds) -> Job:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        waiting = await workshop.until(job, "waiting")
        assert waiting.error is not None
        assert waiting.error["type"] == "urn:muniment:problem:malware-found"
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    cancelled = await workshop.job(job)
    assert (cancelled.state, cancelled.error) == ("cancelled", None)
    return job


async def test_cancelling_the_job_leaves_the_file_in_quarantine(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await _quarantined_and_cancelled(workshop, owner)
    assert (await workshop.file(job)).state == "quarantined"


async def test_a_retry_that_is_paused_resumed_or_fails_frees_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    retry = await workshop.retry(await _quarantined_and_cancelled(workshop, owner))
    scanning, go_on = asyncio.Event(), asyncio.Event()
    runner = workshop.parts.runner

    @activity.defn(name="scan_for_malware")
    async def slow_scan(version: VersionReference) -> ScanResult:
        async with runner.attempt(version, StageName.SCAN):
            async with runner.transaction(version) as session:
                opening = await runner.open(session, version)
                await runner.begin(session, opening, StageName.SCAN)
            scanning.set()
            await go_on.wait()
            raise DamagedDocument("The scan came to nothing.")

    async with workshop.working(replacing=[slow_scan]):
        handle = await workshop.start(retry)
        await scanning.wait()
        assert (await workshop.file(retry)).state == "quarantined"
        await handle.execute_update(IngestFile.pause)
        await handle.execute_update(IngestFile.resume)
        assert (await workshop.file(retry)).state == "quarantined"
        go_on.set()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert (await workshop.job(retry)).state == "failed"
    assert (await workshop.file(retry)).state == "quarantined"


async def test_a_retry_whose_scan_is_clean_frees_the_file(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry = await workshop.retry(await _quarantined_and_cancelled(workshop, owner))
    policy = ScanPolicy(max_bytes=1, max_database_age=timedelta(hours=1), required=True)
    scan = Scan(workshop.parts.runner, workshop.stores.blobs, Clamd("/absent", 1), policy)

    async def clean(*_: object) -> tuple[Verdict, bool]:
        return Verdict(ScanState.CLEAN, now(), "ClamAV 1.4.3", "27801"), False

    monkeypatch.setattr(scan, "_judge", clean)
    async with workshop.working(
        replacing=[scan.scan_for_malware], names=["muniment", "muniment-scan"]
    ):
        handle = await workshop.start(retry)
        for _ in range(1200):
            if (await workshop.file(retry)).state == "processing":
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the file was not freed")
        await handle.terminate()
    assert (await workshop.file(retry)).state == "processing"


async def test_of_two_decisions_at_once_one_is_refused(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        release = DecisionRequest(decision_id=await workshop.decide(owner, job, "release"))
        reject = DecisionRequest(decision_id=await workshop.decide(owner, job, "reject"))
        told = await asyncio.gather(
            handle.execute_update(IngestFile.release, release),
            handle.execute_update(IngestFile.reject, reject),
            return_exceptions=True,
        )
        was_released = not isinstance(told[0], BaseException)
        refused = told[1] if was_released else told[0]
        assert isinstance(refused, WorkflowUpdateFailedError)
        if was_released:
            await handle.result()
        else:
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    assert (await workshop.file(job)).state == ("ready" if was_released else "rejected")
    error = (await workshop.job(job)).error
    if was_released:
        assert error is None
    else:
        assert error is not None
        assert error["type"] == "urn:muniment:problem:content-withheld"

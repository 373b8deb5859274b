"""A pause that comes while a file is being published: too late to hold anything back."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio import activity
from temporalio.client import WorkflowUpdateStage

from db.models import Job
from muniment.contracts.jobs import JobProgress, JobState
from muniment.contracts.lifecycle import RecordProgressInput
from muniment.contracts.publish import PublishInput, PublishResult
from tests.workflows.documents import TEXT
from tests.workflows.test_members import members, zipped
from tests.workflows.workshop import Handle, TenantIds, Workshop
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_SECONDS = 300


class Published:
    """`publish` that has committed, and whose end is told only when it is let through."""

    def __init__(self, workshop: Workshop) -> None:
        self._real: Callable[[PublishInput], Awaitable[PublishResult]] = next(
            each for each in workshop.parts.io_activities() if each.__name__ == "publish_version"
        )
        self.committed = asyncio.Event()
        self.may_end = asyncio.Event()

    @activity.defn(name="publish_version")
    async def publish(self, request: PublishInput) -> PublishResult:
        result = await self._real(request)
        self.committed.set()
        while not self.may_end.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        return result


class SlowPause:
    """Rows are written as ever, `paused` only when it is let through."""

    def __init__(self, workshop: Workshop) -> None:
        self._real: Callable[[RecordProgressInput], Awaitable[None]] = next(
            each for each in workshop.parts.io_activities() if each.__name__ == "record_progress"
        )
        self.begun = asyncio.Event()
        self.may_write = asyncio.Event()

    @activity.defn(name="record_progress")
    async def record(self, request: RecordProgressInput) -> None:
        if request.progress.state is JobState.PAUSED:
            self.begun.set()
            await self.may_write.wait()
        await self._real(request)


async def _until_told(handle: Handle, state: JobState) -> None:
    while True:
        progress: JobProgress = await handle.query(IngestFile.progress)
        if progress.state is state:
            return
        await asyncio.sleep(0.05)


async def _states(workshop: Workshop, job: Job) -> list[object]:
    events = await workshop.events(job)
    return [event.payload["state"] for event in events if event.event == "state"]


async def test_an_archive_paused_while_it_is_published_is_unpacked_all_the_same(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, zipped({"a.txt": TEXT, "b.txt": b"Words."}), "a.zip")
    published = Published(workshop)
    async with workshop.working(replacing=[published.publish]), asyncio.timeout(LIMIT_SECONDS):
        handle = await workshop.start(job)
        await published.committed.wait()
        paused: JobProgress = await handle.execute_update(IngestFile.pause)
        assert paused.state is JobState.PAUSED
        assert (await workshop.job(job)).state == "paused"
        published.may_end.set()
        assert (await handle.result()).state is JobState.COMPLETED
    assert [file.state for file in await members(workshop, job)] == ["ready", "ready"]
    assert await _states(workshop, job) == ["running", "paused", "running", "completed"]


async def test_a_pause_that_is_written_after_the_publication_does_not_stay(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, zipped({"a.txt": TEXT}), "a.zip")
    published, slow = Published(workshop), SlowPause(workshop)
    replacing = [published.publish, slow.record]
    async with workshop.working(replacing=replacing), asyncio.timeout(LIMIT_SECONDS):
        handle = await workshop.start(job)
        await published.committed.wait()
        pause = await handle.start_update(
            IngestFile.pause, wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        await slow.begun.wait()
        published.may_end.set()
        await _until_told(handle, JobState.RUNNING)
        slow.may_write.set()
        await pause.result()
        assert (await handle.result()).state is JobState.COMPLETED
    assert [file.state for file in await members(workshop, job)] == ["ready"]
    assert await _states(workshop, job) == ["running", "paused", "running", "completed"]

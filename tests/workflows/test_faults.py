"""Activities replaced one at a time by faulty ones."""

import asyncio

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.heartbeats import heartbeats
from activities.read.activity import Read
from muniment.contracts.chunk import ChunkInput, ChunkResult
from muniment.contracts.documents import DocumentPlan, PageBatch
from muniment.contracts.embed import EmbedInput, EmbedResult
from muniment.contracts.jobs import StageName
from muniment.contracts.read import FailedPage
from muniment.errors import EngineCrashed
from tests.workflows.documents import TEXT, page_text, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


class OnePageFails:
    """Engines that cannot read page 2."""

    def __init__(self, workshop: Workshop) -> None:
        self._engines = workshop.parts.engines

    async def read_text(self, content, plan: DocumentPlan, pages, password=None, on_page=None):  # type: ignore[no-untyped-def] # as DocumentEngines
        good = [page for page in pages if page != 2]
        batch, failed = await self._engines.read_text(content, plan, good, password, on_page)
        failed = (*failed, FailedPage(page=2, problem="It is torn."))
        return PageBatch(pages=batch.pages, document=batch.document), failed


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
    assert (healed.degraded, healed.pages_done, healed.pages_reused) == (False, 3, 0)


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

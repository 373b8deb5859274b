"""Jobs whose pages Surya reads on the GPU queue: hand-made answers, not the model (recorded_surya.py)."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import pytest
from pydantic import SecretStr
from temporalio.client import WorkflowFailureError

from db.models import Job
from db.queries.pages import list_layers
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.jobs import JobSettings
from muniment.contracts.ocr import OcrEngineName
from muniment.errors import OcrServiceUnavailable
from muniment.settings import OcrSettings, SuryaSettings
from tests.torch.recorded_surya import MODEL, PAGE, Recorded, serving
from tests.workflows.documents import scanned_pdf
from tests.workflows.test_gpu_queue import stored_queues
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop
from worker import surya_server
from worker.parts import Parts
from worker.queues import build_worker, services
from worker.surya_server import SuryaServer

pytestmark = [pytest.mark.torch, pytest.mark.asyncio(loop_scope="session")]

LINES = ["Charter of the borough", "Sealed with red wax", "Witnessed by three"]
ANSWER = '<div data-label="Text" data-bbox="0 0 1000 1000"><p>Read by the recorded server</p></div>'


@asynccontextmanager
async def workers(
    workshop: Workshop,
    url: str | None,
    engine: Literal["rapidocr", "surya"] = "surya",
    names: Sequence[str] = (*ALL_QUEUES, queues.OCR_GPU),
) -> AsyncIterator[Parts]:
    """Workers of one administrator's choice, as a process of theirs starts them."""
    choice = OcrSettings(engine=engine, gpu_queue="on", gpu_wait_seconds=5)
    server = SuryaSettings(url=url, concurrency=4, api_key=SecretStr("a key"))
    settings = workshop.settings.model_copy(update={"ocr": choice, "surya": server})
    async with AsyncExitStack() as resources:
        parts = Parts(settings, workshop.database, workshop.stores, resources)
        served = services(names, parts, settings.worker, 2)
        await parts.start()
        for service in served:
            worker = build_worker(await workshop.connect(), service, settings.worker)
            await resources.enter_async_context(worker)
        yield parts


def answering(recorded: Recorded) -> None:
    recorded.answer(PAGE, text=ANSWER)


async def scan(workshop: Workshop, owner: TenantIds) -> Job:
    return await workshop.upload(owner, scanned_pdf(LINES), "scan.pdf", "application/pdf")


async def readers(workshop: Workshop, job: Job) -> list[tuple[int, str, str]]:
    """Page, queue and engine as the job told them."""
    return sorted(
        (event.payload["page"], event.payload["queue"], event.payload["engine"])
        for event in await workshop.events(job)
        if event.event == "page"
    )


async def versions(workshop: Workshop, job: Job) -> dict[str, str]:
    """The layers of page 1, by their engines."""
    assert job.version_id is not None
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await list_layers(session, job.version_id, 1)
    return {layer.engine: layer.engine_version for layer in found}


async def test_a_job_is_read_by_surya_and_says_so(workshop: Workshop, owner: TenantIds) -> None:
    job = await scan(workshop, owner)
    async with serving(answering) as recorded, workers(workshop, recorded.url):
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.degraded) == ("completed", 3, False)
    assert await readers(workshop, job) == [(n, queues.OCR_GPU, "surya") for n in (1, 2, 3)]
    assert set(await stored_queues(workshop, job)) == {queues.OCR_GPU}
    assert len(recorded.asked) == 3, "a page is one request"
    (version,) = (await versions(workshop, job)).values()
    assert version.startswith("surya/")
    assert version.endswith(f"/{MODEL}")


async def test_pages_that_surya_does_not_read_fall_back_to_the_cpu_queue(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await scan(workshop, owner)
    async with serving() as recorded, workers(workshop, recorded.url):
        recorded.answer(PAGE, status=500)
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.degraded) == ("completed", 3, False)
    assert await readers(workshop, job) == [(n, queues.OCR_CPU, "rapidocr") for n in (1, 2, 3)]
    assert set(await versions(workshop, job)) == {"rapidocr"}
    retries = [event.payload for event in await workshop.events(job) if event.event == "retry"]
    assert {retry["reason"] for retry in retries} == {"ocr-service-unavailable"}


async def test_pages_that_fell_back_are_read_by_surya_when_it_is_back(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await scan(workshop, owner)
    async with serving() as recorded, workers(workshop, recorded.url):
        recorded.answer(PAGE, status=500)
        await (await workshop.start(job)).result()
        answering(recorded)
        again = await workshop.retry(job)
        await (await workshop.start(again)).result()
    assert await readers(workshop, again) == [(n, queues.OCR_GPU, "surya") for n in (1, 2, 3)]
    assert set(await versions(workshop, again)) == {"rapidocr", "surya"}


async def test_one_job_may_name_surya_where_rapidocr_reads_else(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await scan(workshop, owner)
    async with workers(workshop, None, "rapidocr", ALL_QUEUES):
        await (await workshop.start(job)).result()
        named = await workshop.retry(job, JobSettings(ocr_engine=OcrEngineName.SURYA))
        asking = [queues.OCR_GPU]
        async with serving(answering) as recorded, workers(workshop, recorded.url, names=asking):
            await (await workshop.start(named)).result()
    assert {engine for _, _, engine in await readers(workshop, job)} == {"rapidocr"}
    assert {engine for _, _, engine in await readers(workshop, named)} == {"surya"}
    assert set(await versions(workshop, named)) == {"rapidocr", "surya"}


async def test_a_cancelled_job_drops_its_pages(workshop: Workshop, owner: TenantIds) -> None:
    job = await scan(workshop, owner)
    async with serving() as recorded, workers(workshop, recorded.url):
        recorded.answer(PAGE, after_seconds=60)
        handle = await workshop.start(job)
        await _until(lambda: recorded.in_flight == 3)
        began = time.monotonic()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        await _until(lambda: recorded.in_flight == 0)
        assert time.monotonic() - began < 10
    assert (await workshop.job(job)).state == "cancelled"
    assert recorded.dropped == 3


async def test_a_worker_whose_server_is_lost_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surya_server, "WATCH_SECONDS", 0.05)
    async with serving() as recorded, SuryaServer(SuryaSettings(url=recorded.url)) as server:
        watching = asyncio.create_task(server.watch())
        await asyncio.sleep(1.0)
        assert not watching.done()
        recorded.is_healthy = False
        async with asyncio.timeout(10):
            with pytest.raises(OcrServiceUnavailable, match="lost"):
                await watching


async def _until(condition: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator] # any call, whatever it returns
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)

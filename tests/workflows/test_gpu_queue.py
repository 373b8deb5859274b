"""Pages on the GPU queue, read by real Ray Serve replicas that compute on CPU."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import numpy
import psutil
import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from activities.engines import DocumentEngines
from activities.failures import application_error
from activities.inspect.activity import Inspect
from activities.inspect.route import OcrRoute
from activities.ocr_service.reader import OcrService, RemoteOcr
from activities.read.page_image import PageImage
from db.models import Job
from db.queries.quotas import Quota
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.documents import DocumentFamily, DocumentPlan, Page, PageBatch
from muniment.errors import OcrServiceBusy, OcrServiceUnavailable
from muniment.settings import OcrSettings, RaySettings
from tests.patience import on_a_busy_machine
from tests.workflows.documents import page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import TenantIds, Workshop
from worker.ocr_cluster import OcrCluster
from worker.parts import Parts
from worker.queues import Service, build_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPTIONS = RaySettings(
    replicas=2,
    max_ongoing_requests=2,
    batch_size=2,
    batch_wait_seconds=0.2,
    object_store_bytes=100 * 1024**2,
)
SLOTS = OPTIONS.replicas * OPTIONS.max_ongoing_requests
FREED_SECONDS = 3.0
"""On a machine with a core for each replica."""
REPLICA = "ServeReplica:muniment-ocr"
SMALL = [f"Charter {page}" for page in range(1, 9)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster() -> AsyncIterator[OcrCluster]:
    async with OcrCluster(OPTIONS) as started:
        yield started


@asynccontextmanager
async def gpu_worker(
    workshop: Workshop, cluster: OcrService, parts: Parts | None = None
) -> AsyncIterator[None]:
    read = (parts or workshop.parts).remote_read(cluster, SLOTS)
    service = Service(queues.OCR_GPU, SLOTS, [read.read_pages])
    async with build_worker(await workshop.connect(), service, workshop.settings.worker):
        yield


def routed(workshop: Workshop, wait_seconds: float) -> Any:
    """The activity `inspect_document` of a deployment that uses the GPU queue."""
    parts = workshop.parts
    route = OcrRoute("on", wait_seconds)
    return Inspect(parts.runner, parts.engines, parts.scratch, 100, route, Quota()).inspect_document


def plan_of(pages: int) -> DocumentPlan:
    return DocumentPlan(
        media_type="application/pdf", family=DocumentFamily.PDF, page_count=pages, pages=()
    )


def scan_of(pages: int) -> bytes:
    """Pages of a second of OCR each."""
    text = "\n".join(f"Line {line} of the charter of the borough" for line in range(12))
    return scanned_pdf([text] * pages, width=620, height=520)


def blank() -> PageImage:
    return PageImage(numpy.full((120, 120, 1), 255, numpy.uint8), 1.0, 120, 120)


def unreadable() -> PageImage:
    """Of no size: the engine divides by it."""
    return PageImage(numpy.zeros((0, 0, 1), numpy.uint8), 1.0, 120, 120)


class Failing:
    """The replicas, whose engines fail of every page that they are sent but the first."""

    def __init__(self, cluster: OcrCluster) -> None:
        self._cluster = cluster

    async def read(self, number: int, image: PageImage) -> Page:
        return await self._cluster.read(number, image if number == 1 else unreadable())


def replica_processes() -> list[psutil.Process]:
    """Of the Ray that this process started."""
    started = psutil.Process().children(recursive=True)
    return [process for process in started if REPLICA in "".join(_command(process))]


async def replicas_at_work() -> list[psutil.Process]:
    """All replicas, at a moment at which one of them computes: killed while they rest, they would
    cost nobody anything."""
    processes = replica_processes()
    deadline = time.monotonic() + 60
    while not any(process.cpu_percent(interval=0.05) > 50 for process in processes):
        assert time.monotonic() < deadline, "no replica ever computed"
        await asyncio.sleep(0.02)
    return processes


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def page_events(workshop: Workshop, job: Job) -> list[tuple[int, str, str]]:
    return [
        (event.payload["page"], event.payload["state"], event.payload["queue"])
        for event in await workshop.events(job)
        if event.event == "page"
    ]


async def stored_queues(workshop: Workshop, job: Job) -> list[str | None]:
    """What the stored pages say of who read them."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.execute(
            text("SELECT blob_id FROM stage_output WHERE job_id = :job_id AND stage = 'read'"),
            {"job_id": job.id},
        )
        blobs = list(found.scalars())
    batches = [
        PageBatch.model_validate_json(await workshop.stores.blobs.read_all(job.tenant_id, blob))
        for blob in blobs
    ]
    return [page.queue for batch in batches for page in batch.pages]


async def test_pages_equal_those_of_the_cpu_queue(workshop: Workshop, cluster: OcrCluster) -> None:
    content = scanned_pdf([*SMALL, "Sealed with red wax\nby the borough"])
    sandbox = workshop.parts.sandbox
    remote = RemoteOcr(sandbox, cluster, cluster.slots)
    numbers = range(1, 10)
    there, failed = await remote.read_ocr(content, plan_of(9), numbers)
    here, _ = await DocumentEngines(sandbox).read_ocr(content, plan_of(9), numbers)
    assert failed == ()
    assert there == here
    assert "Charter" in there.pages[0].text


async def test_pages_that_come_together_are_read_in_batches(cluster: OcrCluster) -> None:
    largest = 0
    for _ in range(10):  # two may come further apart than a replica waits for another
        await asyncio.gather(*(cluster.read(page, blank()) for page in range(4)))
        largest = max(await cluster.batch_sizes())
        if largest == OPTIONS.batch_size:
            break
    assert largest == OPTIONS.batch_size


async def test_more_pages_than_slots_wait_for_their_turn(
    workshop: Workshop, cluster: OcrCluster
) -> None:
    content = scanned_pdf(SMALL * 3)
    remote = RemoteOcr(workshop.parts.sandbox, cluster, cluster.slots)
    read, failed = await remote.read_ocr(content, plan_of(24), range(1, 25))
    assert (len(read.pages), failed) == (24, ())


async def test_pages_beyond_what_ray_takes_are_refused_and_retried_later(
    cluster: OcrCluster,
) -> None:
    flood = await asyncio.gather(
        *(cluster.read(page, blank()) for page in range(200)), return_exceptions=True
    )
    refused = [each for each in flood if isinstance(each, OcrServiceBusy)]
    assert refused
    assert len(refused) < len(flood)
    failure = application_error(refused[0], 1)
    assert failure.next_retry_delay is not None
    assert not failure.non_retryable


async def test_a_cancelled_page_frees_its_replica(workshop: Workshop, cluster: OcrCluster) -> None:
    remote = RemoteOcr(workshop.parts.sandbox, cluster, cluster.slots)
    reading = asyncio.create_task(remote.read_ocr(scan_of(120), plan_of(120), range(1, 121)))
    await replicas_at_work()
    assert not reading.done()
    reading.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.gather(*(cluster.read(page, blank()) for page in range(4)))
    assert time.monotonic() - began < on_a_busy_machine(FREED_SECONDS)


async def test_a_job_is_read_on_the_gpu_queue_and_says_so(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    job = await workshop.upload(owner, scanned_pdf(SMALL), "scan.pdf", "application/pdf")
    async with workshop.working(replacing=[routed(workshop, 20)]), gpu_worker(workshop, cluster):
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.degraded) == ("completed", 8, False)
    read = next(stage for stage in row.stages if stage["name"] == "read")
    assert read["queue"] == queues.OCR_GPU
    events = await page_events(workshop, job)
    assert sorted(events) == [(page, "completed", queues.OCR_GPU) for page in range(1, 9)]
    assert set(await stored_queues(workshop, job)) == {queues.OCR_GPU}


@asynccontextmanager
async def parts_with(workshop: Workshop, ocr: OcrSettings) -> AsyncIterator[Parts]:
    """Those of a worker whose administrator chose so."""
    settings = workshop.settings.model_copy(update={"ocr": ocr})
    async with AsyncExitStack() as resources:
        parts = Parts(settings, workshop.database, workshop.stores, resources)
        parts.read_activities()
        await parts.start()
        yield parts


async def test_pages_of_replicas_are_kept_as_rapidocrs_whatever_reads_on_cpu(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    content = scanned_pdf(["Deed of gift", "Witnessed by three"])
    first = await workshop.upload(owner, content, "scan.pdf", "application/pdf")
    again = await workshop.upload(owner, content, "copy.pdf", "application/pdf")
    choice = OcrSettings(engine="tesseract")
    async with parts_with(workshop, choice) as parts:
        on_gpu = gpu_worker(workshop, cluster, parts)
        async with workshop.working(replacing=[routed(workshop, 20)]), on_gpu:
            await (await workshop.start(first)).result()
    assert set(await stored_queues(workshop, first)) == {queues.OCR_GPU}
    async with workshop.working():
        await (await workshop.start(again)).result()
    row = await workshop.job(again)
    assert (row.pages_done, row.pages_reused) == (2, 2)


@pytest.mark.parametrize("engine", ["rapidocr-openvino", "tesseract"])
async def test_the_gpu_queue_is_left_alone_where_another_engine_was_chosen(
    workshop: Workshop, engine: Literal["rapidocr-openvino", "tesseract"]
) -> None:
    async def wait_seconds(ocr: OcrSettings) -> float | None:
        settings = workshop.settings.model_copy(update={"ocr": ocr})
        async with AsyncExitStack() as resources:
            parts = Parts(settings, workshop.database, workshop.stores, resources)
            return await parts.ocr_route.gpu_wait_seconds()

    assert await wait_seconds(OcrSettings(engine=engine, gpu_queue="on")) is None
    assert await wait_seconds(OcrSettings(gpu_queue="on", gpu_wait_seconds=7)) == 7


async def test_text_pages_do_not_go_to_the_gpu_queue(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    content = text_pdf([page_text(1), page_text(2)])
    job = await workshop.upload(owner, content, "text.pdf", "application/pdf")
    async with workshop.working(replacing=[routed(workshop, 20)]), gpu_worker(workshop, cluster):
        await (await workshop.start(job)).result()
    assert set(await stored_queues(workshop, job)) == {queues.PARSE}


async def test_without_a_gpu_worker_the_cpu_queue_reads_within_the_set_time(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, scanned_pdf(SMALL), "scan.pdf", "application/pdf")
    async with workshop.working(replacing=[routed(workshop, 1.0)]):
        handle = await workshop.start(job)
        await handle.result()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.degraded) == ("completed", 8, False)
    assert row.started_at is not None
    assert row.finished_at is not None
    assert (row.finished_at - row.started_at).total_seconds() < 240
    assert {queue for _, _, queue in await page_events(workshop, job)} == {queues.OCR_CPU}
    assert set(await stored_queues(workshop, job)) == {queues.OCR_CPU}


async def test_a_job_that_is_cancelled_closes_and_frees_the_replicas(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    job = await workshop.upload(owner, scan_of(100), "scan.pdf", "application/pdf")
    async with workshop.working(replacing=[routed(workshop, 20)]), gpu_worker(workshop, cluster):
        handle = await workshop.start(job)
        await workshop.until_pages(job, 1)
        began = time.monotonic()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        await asyncio.gather(*(cluster.read(page, blank()) for page in range(4)))
        assert time.monotonic() - began < on_a_busy_machine(
            FREED_SECONDS + 2
        )  # a beat carries the cancellation
    assert (await workshop.job(job)).state == "cancelled"


async def test_replicas_killed_in_the_middle_of_a_batch_cost_nothing_and_repeat_nothing(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    for number in range(4):
        content = scan_of(12) + b"%" * number  # nothing of it was read before
        reasons = await _reasons_after_a_kill(workshop, owner, cluster, content)
        if reasons:  # else they died between two batches, which costs nobody anything
            break
    assert reasons == {"ocr-service-unavailable"}


async def _reasons_after_a_kill(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster, content: bytes
) -> set[object]:
    """Why stages were tried again, of a job whose replicas are killed while it is read."""
    job = await workshop.upload(owner, content, "scan.pdf", "application/pdf")
    async with workshop.working(replacing=[routed(workshop, 20)]), gpu_worker(workshop, cluster):
        handle = await workshop.start(job)
        await workshop.until_pages(job, 1)
        killed = await replicas_at_work()
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
        await handle.result()
    assert len(killed) == OPTIONS.replicas
    row = await workshop.job(job)
    counts = (row.state, row.pages_done, row.pages_failed, row.degraded)
    assert counts == ("completed", 12, 0, False)
    events = await page_events(workshop, job)
    read = sorted(page for page, state, _ in events if state == "completed")
    assert read == list(range(1, 13)), "a page was read twice, or not at all"
    retries = [event.payload for event in await workshop.events(job) if event.event == "retry"]
    return {retry["reason"] for retry in retries}


async def test_pages_that_a_replicas_engine_fails_of_are_read_on_the_cpu_queue(
    workshop: Workshop, owner: TenantIds, cluster: OcrCluster
) -> None:
    job = await workshop.upload(owner, scanned_pdf(SMALL[:3]), "scan.pdf", "application/pdf")
    on_gpu = gpu_worker(workshop, Failing(cluster))
    async with workshop.working(replacing=[routed(workshop, 20)]), on_gpu:
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    counts = (row.state, row.pages_done, row.pages_failed, row.degraded)
    assert counts == ("completed", 3, 0, False)
    assert sorted(await page_events(workshop, job)) == [
        (1, "completed", queues.OCR_GPU),
        (2, "completed", queues.OCR_CPU),
        (3, "completed", queues.OCR_CPU),
    ]


async def test_replicas_whose_engine_is_broken_are_started_anew(cluster: OcrCluster) -> None:
    before = {process.pid for process in replica_processes()}
    for _ in range(600):
        reading = (cluster.read(1, unreadable()) for _ in range(4))
        for answer in await asyncio.gather(*reading, return_exceptions=True):
            assert isinstance(answer, OcrServiceUnavailable)
        now = {process.pid for process in replica_processes()}
        if now and not now & before:
            assert (await cluster.read(2, blank())).page == 2
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the replicas were left as they were")

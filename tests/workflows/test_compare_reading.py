"""A candidate reads what was published, beside it: differences are reported, nothing else changes."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.compare.intent import Shadow, ShadowPolicy
from activities.engines import _OCR_LIBRARIES
from db.models import ComparedPage, File, Job, ReadingComparison
from db.queries.comparisons import add_comparison
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import CompareReadingResult, ReadingCandidate
from muniment.contracts.jobs import JobKind, JobSettings
from muniment.contracts.ocr import OcrEngineName
from muniment.settings import Settings, ShadowSettings
from tests.conftest import make_tenant
from tests.workflows.documents import long_pdf, page_text, scanned_pdf, text_pdf
from tests.workflows.test_erase_file import EMPTY_AFTERWARDS, order_erasure
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop
from worker.parts import Parts
from worker.reconciler import Reconciler

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
OPENVINO = ReadingCandidate(ocr_engine=OcrEngineName.RAPIDOCR_OPENVINO)
SCANNED = frozenset({2, 3})
ComparisonHandle = WorkflowHandle[Any, CompareReadingResult]


def version_of(job: Job) -> VersionReference:
    assert job.version_id is not None
    return VersionReference(
        tenant_id=job.tenant_id, file_id=job.file_id, version_id=job.version_id, job_id=job.id
    )


async def ingested(workshop: Workshop, owner: TenantIds, content: bytes | None = None) -> Job:
    """A document that is published: of four pages two are scanned."""
    job = await workshop.upload(owner, content or long_pdf(4, scanned=SCANNED), "a.pdf", PDF)
    await (await workshop.start(job)).result()
    return job


async def committed(workshop: Workshop, job: Job, candidate: ReadingCandidate = OPENVINO) -> Job:
    """A comparison of what the job published, as who asks for one commits it."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        added = await add_comparison(session, version_of(job), candidate)
    assert added is not None
    return added


async def started(workshop: Workshop, comparison: Job) -> ComparisonHandle:
    handle = await workshop.start(comparison)
    return workshop.client.get_workflow_handle(handle.id, result_type=CompareReadingResult)


async def compared(
    workshop: Workshop, job: Job, candidate: ReadingCandidate = OPENVINO
) -> tuple[Job, CompareReadingResult]:
    comparison = await committed(workshop, job, candidate)
    return comparison, await (await started(workshop, comparison)).result()


async def comparisons(workshop: Workshop, job: Job) -> list[ReadingComparison]:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.scalars(
            select(ReadingComparison).where(ReadingComparison.version_id == job.version_id)
        )
        return list(found)


async def compared_pages(workshop: Workshop, job: Job) -> list[ComparedPage]:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.scalars(
            select(ComparedPage)
            .where(ComparedPage.version_id == job.version_id)
            .order_by(ComparedPage.page)
        )
        return list(found)


async def count(workshop: Workshop, job: Job, statement: str) -> int:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        values = {"job_id": job.id, "file_id": job.file_id, "tenant_id": job.tenant_id}
        found = await session.execute(text(statement), values)
        return int(found.scalar_one())


async def kept(workshop: Workshop, job: Job) -> tuple[int, ...]:
    """All that the tenant keeps of readings: outputs, results, references, living blobs."""
    return (
        await count(workshop, job, "SELECT count(*) FROM stage_output"),
        await count(workshop, job, "SELECT count(*) FROM stage_result"),
        await count(workshop, job, "SELECT count(*) FROM blob_reference"),
        await count(workshop, job, "SELECT count(*) FROM blob WHERE destroyed_at IS NULL"),
        await count(workshop, job, "SELECT count(*) FROM reading_comparison"),
    )


async def test_a_candidate_is_compared_with_what_is_published_and_changes_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        before = await workshop.file(job)
        comparison, result = await compared(workshop, job)
    assert (result.state, result.pages_compared) == ("completed", len(SCANNED))
    row = await workshop.job(comparison)
    assert (row.kind, row.state, row.percent) == (JobKind.COMPARE_READING, "completed", 100.0)
    assert [stage["name"] for stage in row.stages] == ["read", "assemble"]
    assert (row.pages_done, row.pages_reused, row.pages_failed) == (4, 2, 0)
    assert (await workshop.file(job)).model_dump() == before.model_dump()
    (made,) = await comparisons(workshop, job)
    assert (made.candidate, made.pages) == ("ocr_engine=rapidocr-openvino", len(SCANNED))
    assert made.present_readers != made.candidate_readers
    assert (made.present_failed, made.candidate_failed) == (0, 0)
    assert made.present_seconds
    assert made.candidate_seconds
    pages = await compared_pages(workshop, job)
    assert {page.page for page in pages} == SCANNED
    for page in pages:
        assert page.similarity > 0.9
        assert page.present_words > 3
        assert page.candidate_confidence


async def test_a_take_over_reads_no_page_that_was_read_in_shadow(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        await compared(workshop, job)
        taken_over = await workshop.retry(job, JobSettings(ocr_engine=OPENVINO.ocr_engine))
        await (await workshop.start(taken_over)).result()
        # What was compared is now what is published: nothing differs any more.
        _, again = await compared(workshop, job)
    row = await workshop.job(taken_over)
    states = {str(stage["name"]): stage["state"] for stage in row.stages}
    assert (row.pages_done, row.pages_reused) == (4, 4)
    assert (states["read"], states["assemble"]) == ("reused", "reused")
    assert again.pages_compared == 0
    (made,) = await comparisons(workshop, job)
    assert (made.pages, await compared_pages(workshop, job)) == (0, [])


async def test_a_candidate_that_a_worker_lacks_fails_its_comparison_alone(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_OCR_LIBRARIES, OcrEngineName.TESSERACT, ("no-such-distribution",))
    tesseract = ReadingCandidate(ocr_engine=OcrEngineName.TESSERACT)
    async with workshop.working():
        job = await ingested(workshop, owner)
        comparison = await committed(workshop, job, tesseract)
        with pytest.raises(WorkflowFailureError):
            await (await started(workshop, comparison)).result()
    row = await workshop.job(comparison)
    assert row.state == "failed"
    assert row.error is not None
    assert "muniment[tesseract]" in str(row.error["remedy"])
    assert len(await comparisons(workshop, job)) == 1
    file = await workshop.file(job)
    assert (file.state, file.degraded) == ("ready", False)


async def test_readings_that_are_too_large_are_refused_unopened(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.compare.activity.MAXIMUM_BYTES", 100)
    async with workshop.working():
        job = await ingested(workshop, owner)
        comparison = await committed(workshop, job)
        with pytest.raises(WorkflowFailureError):
            await (await started(workshop, comparison)).result()
    row = await workshop.job(comparison)
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:limit-exceeded"
    assert "fewer pages" in str(row.error["remedy"])


async def test_workers_that_read_with_surya_are_no_candidate_for_scans(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
    async with workshop.working(parts=reading_with_surya(workshop)):
        comparison = await committed(workshop, job, ReadingCandidate())
        with pytest.raises(WorkflowFailureError):
            await (await started(workshop, comparison)).result()
    row = await workshop.job(comparison)
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:conflict"
    assert "Name an OCR engine" in str(row.error["remedy"])


def reading_with_surya(workshop: Workshop) -> Parts:
    """The workshop's parts where Surya is the workers' engine."""
    ocr = workshop.settings.ocr.model_copy(update={"engine": "surya"})
    return with_settings(workshop, workshop.settings.model_copy(update={"ocr": ocr}))


@pytest.mark.parametrize("state", ["trashed", "restricted"])
async def test_a_file_that_is_taken_away_before_leaves_no_comparison(
    workshop: Workshop, owner: TenantIds, state: str
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        before = await kept(workshop, job)
        comparison = await committed(workshop, job)
        await set_state(workshop, job, state)
        result = await (await started(workshop, comparison)).result()
    assert result.state == "cancelled"
    assert (await workshop.job(comparison)).state == "cancelled"
    assert await kept(workshop, job) == before


async def set_state(workshop: Workshop, job: Job, state: str) -> None:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        await session.execute(update(File).where(File.id == job.file_id).values(state=state))


SCAN = scanned_pdf([f"Charter {page} of the town" for page in range(3)])
READING_ONLY = (queues.WORKFLOWS, queues.OCR_CPU)
"""Without the queue that assembles, a comparison stays where its pages are read."""


@pytest.mark.parametrize("by", ["cancel", "trash", "erasure"])
async def test_what_was_read_for_a_comparison_goes_with_it(
    workshop: Workshop, owner: TenantIds, by: str
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, SCAN)
    before = await kept(workshop, job)
    comparison = await committed(workshop, job)
    async with workshop.working(names=READING_ONLY):
        handle = await started(workshop, comparison)
        await workshop.until_pages(comparison, 3)
        assert await kept(workshop, job) > before
        if by == "cancel":
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
        elif by == "erasure":
            erasure = await order_erasure(workshop, job)
            assert (await handle.result()).state == "cancelled"
            await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    if by == "trash":
        await set_state(workshop, job, "trashed")
        async with workshop.working():
            assert (await handle.result()).state == "cancelled"
    assert (await workshop.job(comparison)).state == "cancelled"
    if by == "erasure":
        await expect_nothing_left(workshop, job)
    else:
        assert await kept(workshop, job) == before


async def test_an_erasure_forgets_a_comparison_that_is_over(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        comparison, _ = await compared(workshop, job)
        erasure = await order_erasure(workshop, job)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    await expect_nothing_left(workshop, job)
    assert (
        await count(workshop, comparison, "SELECT count(*) FROM job_event WHERE job_id = :job_id")
        == 0
    )


async def expect_nothing_left(workshop: Workshop, job: Job) -> None:
    for statement in (
        *EMPTY_AFTERWARDS,
        "SELECT count(*) FROM reading_comparison",
        "SELECT count(*) FROM compared_page",
    ):
        assert await count(workshop, job, statement) == 0, statement


async def test_comparing_twice_is_comparing_once_until_it_is_over(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        first = await committed(workshop, job)
        assert (await committed(workshop, job)).id == first.id
        await (await started(workshop, first)).result()
        again, result = await compared(workshop, job)
    assert again.id != first.id
    assert first.workflow_id == f"compare-{job.version_id}-ocr_engine=rapidocr-openvino"
    assert result.pages_compared == len(SCANNED)
    # Every page was found, as it was read the first time.
    assert (await workshop.job(again)).pages_reused == 4
    (made,) = await comparisons(workshop, job)
    assert made.job_id == again.id
    assert made.candidate_seconds


async def planned(workshop: Workshop, job: Job) -> None:
    """Returns once the job's pages wait to be read."""
    async with asyncio.timeout(180):
        while True:
            if (await workshop.job(job)).pages_total:
                return
            await asyncio.sleep(0.05)


async def until_scheduled(handle: WorkflowHandle[Any, Any], activities: int) -> None:
    """Returns once so many of its activities wait for a worker."""
    async with asyncio.timeout(60):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if len(pending) >= activities:
                return
            await asyncio.sleep(0.05)


async def queued(workshop: Workshop, queue: str) -> int:
    """Tasks that no worker has taken."""
    request = DescribeTaskQueueRequest(
        namespace=workshop.client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    told = await workshop.client.workflow_service.describe_task_queue(request)
    return int(told.stats.approximate_backlog_count)


async def until_queued(workshop: Workshop, queue: str, tasks: int) -> None:
    """Returns once what is scheduled is in the queue, too."""
    async with asyncio.timeout(60):
        while await queued(workshop, queue) < tasks:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def test_real_work_overtakes_a_comparison_that_waits(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, SCAN)
    others = tuple(name for name in ALL_QUEUES if name != queues.OCR_CPU)
    scan = scanned_pdf([f"Deed {page} of the house" for page in range(4)])
    async with workshop.working(names=others):
        left_by_others = await queued(workshop, queues.OCR_CPU)
        comparison = await committed(workshop, job)
        slow = await started(workshop, comparison)
        await planned(workshop, comparison)
        real = await workshop.upload(owner, scan, "b.pdf", PDF)
        handle = await workshop.start(real)
        await planned(workshop, real)
        await until_scheduled(slow, 1)
        await until_scheduled(handle, 4)
        await until_queued(workshop, queues.OCR_CPU, left_by_others + 1 + 4)
        async with workshop.working(names=(queues.OCR_CPU,)):
            await asyncio.gather(handle.result(), slow.result())
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.scalars(
            text("SELECT job_id FROM job_event WHERE event = 'page' ORDER BY id")
        )
        order = [each for each in found if each in (real.id, comparison.id)]
    # The last page may still be at work when a second slot is free.
    assert order[:3] == [real.id] * 3
    assert len(order) == 4 + 3


# ── chosen when something is published ──────────────────────────────────────────────────────────


def shadowing(workshop: Workshop, **changed: Any) -> Parts:
    """The workshop's parts with a shadow."""
    wanted = {"ocr_engine": "rapidocr-openvino", "share": 1.0, **changed}
    shadow = ShadowSettings(**wanted)
    return with_settings(workshop, workshop.settings.model_copy(update={"shadow": shadow}))


def with_settings(workshop: Workshop, settings: Settings) -> Parts:
    """The workshop's parts under other settings."""
    parts = workshop.parts
    made = Parts(settings, workshop.database, workshop.stores, parts._resources)
    # The engines are warm already.
    vars(made).update(
        {name: getattr(parts, name) for name in ("sandbox", "scratch", "embedder", "engines")}
    )
    return made


async def test_what_is_published_is_compared_by_itself(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working(parts=shadowing(workshop)):
        job = await ingested(workshop, owner)
        born_digital = await ingested(workshop, owner, text_pdf([page_text(1)]))
        (intent,) = await comparisons(workshop, job)
        reconciler = Reconciler(workshop.database, workshop.client, 5.0, timedelta(0))
        await reconciler.round()
        comparison = await workshop.job(Job(**{**job.model_dump(), "id": intent.job_id}))
        handle = workshop.client.get_workflow_handle(
            comparison.workflow_id, result_type=CompareReadingResult
        )
        assert (await handle.result()).pages_compared == len(SCANNED)
    assert (comparison.requested_by, comparison.priority) == (None, 5)
    assert await comparisons(workshop, born_digital) == []


async def test_what_is_outside_the_settings_is_not_compared(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        another = await ingested(workshop, owner, SCAN)
    shadowed = ShadowPolicy(OPENVINO, 1.0)
    for changed in ({"share": 0.0}, {"tenants": ("another",)}, {"max_pages": 3}):
        await consider(workshop, job, replace(shadowed, **changed))
        assert await comparisons(workshop, job) == [], changed
    await consider(workshop, job, replace(shadowed, max_open=1, max_pages=4))
    assert len(await comparisons(workshop, job)) == 1
    # One is open now.
    await consider(workshop, another, replace(shadowed, max_open=1))
    assert await comparisons(workshop, another) == []
    await consider(workshop, another, replace(shadowed, max_open=2))
    assert len(await comparisons(workshop, another)) == 1


async def consider(workshop: Workshop, job: Job, policy: ShadowPolicy) -> None:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        await Shadow(policy).consider(session, version_of(job))


@pytest.mark.parametrize("engine", [None, "rapidocr"])
async def test_a_candidate_that_reads_already_casts_no_shadow(
    workshop: Workshop, engine: str | None
) -> None:
    assert shadowing(workshop).shadow is not None
    assert shadowing(workshop, ocr_engine=engine).shadow is None


async def test_what_another_tenant_compares_is_not_seen(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, SCAN)
        await compared(workshop, job)
    assert await count(workshop, job, "SELECT count(*) FROM compared_page") == 3
    stranger = Access(make_tenant(postgres_dsn).tenant_id)
    for table in ("reading_comparison", "compared_page"):
        async with workshop.database.transaction(stranger) as session:
            found = await session.execute(text(f"SELECT count(*) FROM {table}"))  # noqa: S608 - two constants
            assert found.scalar_one() == 0

"""A job, or a candidate in shadow, names what finds the structure of its pages. In place of docling's
pipeline stands an engine of the tests: its weights cannot be had everywhere."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from temporalio.client import WorkflowFailureError

from activities.read.structures import DoclingPipeline, PdfPipelines
from activities.sandbox import Sandbox
from db.models import ComparedPage, Job, ReadingComparison
from db.queries.comparisons import add_comparison
from db.session import Access
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import CompareReadingResult, ReadingCandidate
from muniment.contracts.documents import PageSource
from muniment.contracts.jobs import JobSettings
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.settings import ReadSettings, ShadowSettings
from tests.workflows.documents import TEXT, long_pdf, page_text, text_pdf
from tests.workflows.workshop import TenantIds, Workshop
from worker.parts import Parts
from worker.reconciler import Reconciler

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
VERSION = "docling/of the tests"
RULES, DOCLING = PdfPipelineName.RULES, PdfPipelineName.DOCLING
PAGES, SCANNED = 4, frozenset({2})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pipeline() -> AsyncIterator[DoclingPipeline]:
    sandbox = Sandbox(
        concurrency=2,
        preload=["tests.activities.read.structure_engine_for_tests"],
        environment={"PYTHONPATH": str(Path(__file__).parents[2])},
        at_need=True,
    )
    async with sandbox:
        yield DoclingPipeline(sandbox, VERSION)


def workers(
    workshop: Workshop,
    pipeline: DoclingPipeline,
    own: PdfPipelineName = RULES,
    shadow: ShadowSettings | None = None,
) -> Parts:
    """The workshop's parts where an administrator chose `own`, and docling's weights are there."""
    settings = workshop.settings.model_copy(
        update={
            "read": ReadSettings(pdf_pipeline=own.value),
            "shadow": shadow or ShadowSettings(),
        }
    )
    parts = workshop.parts
    made = Parts(settings, workshop.database, workshop.stores, parts._resources)
    # The engines are warm already.
    vars(made).update(
        {name: getattr(parts, name) for name in ("sandbox", "scratch", "embedder", "engines")},
        pipelines=PdfPipelines(own, pipeline),
    )
    return made


async def ingested(workshop: Workshop, owner: TenantIds, content: bytes | None = None) -> Job:
    """A document that is published; unless it is given, one of its pages is scanned."""
    job = await workshop.upload(owner, content or long_pdf(PAGES, scanned=SCANNED), "a.pdf", PDF)
    await (await workshop.start(job)).result()
    return job


async def ended(workshop: Workshop, job: Job, settings: JobSettings | None = None) -> Job:
    """Another run for that job's version."""
    another = await workshop.retry(job, settings)
    await (await workshop.start(another)).result()
    return await workshop.job(another)


async def compared(
    workshop: Workshop, job: Job, candidate: ReadingCandidate
) -> tuple[Job, CompareReadingResult]:
    assert job.version_id is not None
    version = VersionReference(
        tenant_id=job.tenant_id, file_id=job.file_id, version_id=job.version_id, job_id=job.id
    )
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        comparison = await add_comparison(session, version, candidate)
    assert comparison is not None
    handle = workshop.client.get_workflow_handle(
        (await workshop.start(comparison)).id, result_type=CompareReadingResult
    )
    return comparison, await handle.result()


async def rows(workshop: Workshop, job: Job, model: Any) -> list[Any]:
    """The version's ReadingComparison or ComparedPage rows."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        return list(await session.scalars(select(model).where(model.version_id == job.version_id)))


async def read_fingerprints(workshop: Workshop, job: Job) -> list[str]:
    """Of the job's batches, which say by what they were made."""
    statement = (
        "SELECT fingerprint FROM stage_output WHERE job_id = :id AND stage = 'read' ORDER BY part"
    )
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        return list(await session.scalars(text(statement), {"id": job.id}))


def states(job: Job) -> dict[str, object]:
    return {str(stage["name"]): stage["state"] for stage in job.stages}


async def test_a_job_makes_what_workers_of_that_setting_make_and_find(
    workshop: Workshop, owner: TenantIds, pipeline: DoclingPipeline
) -> None:
    async with workshop.working(parts=workers(workshop, pipeline)):
        job = await ingested(workshop, owner)
        named = await ended(workshop, job, JobSettings(pdf_pipeline=DOCLING))
        back = await ended(workshop, job)
    assert (named.state, named.pages_reused) == ("completed", PAGES)
    assert states(named)["assemble"] == "completed"
    assert states(back)["assemble"] == "reused"
    async with workshop.working(parts=workers(workshop, pipeline, DOCLING)):
        taken_over = await ended(workshop, job)
        by_rules = await ended(workshop, job, JobSettings(pdf_pipeline=RULES))
    for run in (taken_over, by_rules):
        assert (states(run)["read"], states(run)["assemble"]) == ("reused", "reused")
    made_by_rules = await read_fingerprints(workshop, job)
    made_by_docling = await read_fingerprints(workshop, taken_over)
    assert made_by_rules != made_by_docling
    assert await read_fingerprints(workshop, named) == made_by_docling
    assert await read_fingerprints(workshop, by_rules) == made_by_rules


async def test_a_job_that_names_what_its_workers_lack_fails_and_keeps_what_was_published(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        failing = await workshop.retry(job, JobSettings(pdf_pipeline=DOCLING))
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(failing)).result()
        other = await workshop.upload(owner, TEXT)
        await (await workshop.start(other)).result()
        # No pipeline reads a text file: nothing is missing.
        untouched = await ended(workshop, other, JobSettings(pdf_pipeline=DOCLING))
    row = await workshop.job(failing)
    assert row.state == "failed"
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:configuration"
    assert "muniment[docling]" in str(row.error["remedy"])
    assert "MUNIMENT_READ__DOCLING_ARTIFACTS" in str(row.error["remedy"])
    assert (await workshop.file(job)).state == "ready"
    assert states(untouched)["read"] == "reused"


async def test_a_pipeline_is_compared_by_its_structure_and_taken_over(
    workshop: Workshop, owner: TenantIds, pipeline: DoclingPipeline
) -> None:
    candidate = ReadingCandidate(pdf_pipeline=DOCLING)
    async with workshop.working(parts=workers(workshop, pipeline)):
        job = await ingested(workshop, owner)
        before = await workshop.file(job)
        _, result = await compared(workshop, job, candidate)
    assert (result.state, result.pages_compared) == ("completed", PAGES)
    assert (await workshop.file(job)).model_dump() == before.model_dump()
    (made,) = await rows(workshop, job, ReadingComparison)
    assert made.candidate == "pdf_pipeline=docling"
    assert set(made.candidate_readers) - set(made.present_readers) == {VERSION}
    assert set(made.present_readers) < set(made.candidate_readers)
    # Its own time comes on top of the time that reading took.
    assert made.candidate_seconds > made.present_seconds > 0
    assert (made.structure["headings"]["candidate"], made.candidate_failed) == (PAGES, 0)
    assert made.structure["headings"]["present"] < PAGES
    pages = await rows(workshop, job, ComparedPage)
    assert {page.page for page in pages} == set(range(1, PAGES + 1))
    for page in pages:
        assert (page.similarity, page.words_lost, page.words_gained) == (1.0, 0, 0)
        assert page.present_words == page.candidate_words > 3
    async with workshop.working(parts=workers(workshop, pipeline, DOCLING)):
        taken_over = await ended(workshop, job)
        _, again = await compared(workshop, job, candidate)
        _, reversed_ = await compared(workshop, job, ReadingCandidate(pdf_pipeline=RULES))
    assert (states(taken_over)["read"], states(taken_over)["assemble"]) == ("reused", "reused")
    assert (again.pages_compared, reversed_.pages_compared) == (0, PAGES)


async def test_an_engine_and_a_pipeline_are_tried_together(
    workshop: Workshop, owner: TenantIds, pipeline: DoclingPipeline
) -> None:
    candidate = ReadingCandidate(ocr_engine=OcrEngineName.RAPIDOCR_OPENVINO, pdf_pipeline=DOCLING)
    assert candidate.sources == frozenset(PageSource)
    async with workshop.working(parts=workers(workshop, pipeline)):
        job = await ingested(workshop, owner)
        _, result = await compared(workshop, job, candidate)
    assert result.pages_compared == PAGES
    (made,) = await rows(workshop, job, ReadingComparison)
    assert made.candidate == "ocr_engine=rapidocr-openvino+pdf_pipeline=docling"
    added = set(made.candidate_readers) - set(made.present_readers)
    assert VERSION in added
    assert any(name.startswith("rapidocr-openvino/") for name in added - {VERSION})
    assert made.candidate_seconds


async def test_a_page_that_kills_the_pipeline_is_told_and_compared_with_nothing(
    workshop: Workshop, owner: TenantIds, pipeline: DoclingPipeline
) -> None:
    content = text_pdf([page_text(1), "die\n" + page_text(2)])
    async with workshop.working(parts=workers(workshop, pipeline)):
        job = await ingested(workshop, owner, content)
        _, result = await compared(workshop, job, ReadingCandidate(pdf_pipeline=DOCLING))
    assert (result.state, result.pages_compared) == ("completed", 1)
    (made,) = await rows(workshop, job, ReadingComparison)
    assert (made.present_failed, made.candidate_failed) == (0, 1)
    assert made.structure["headings"]["candidate"] == 1
    assert (await workshop.file(job)).degraded is False


async def test_a_candidate_without_its_weights_fails_its_comparison_alone(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        with pytest.raises(WorkflowFailureError):
            await compared(workshop, job, ReadingCandidate(pdf_pipeline=DOCLING))
    (made,) = await rows(workshop, job, ReadingComparison)
    row = await workshop.job(Job(**{**job.model_dump(), "id": made.job_id}))
    assert row.error is not None
    assert "MUNIMENT_READ__DOCLING_ARTIFACTS" in str(row.error["remedy"])
    file = await workshop.file(job)
    assert (file.state, file.degraded) == ("ready", False)


async def test_what_no_pipeline_applies_to_is_passed_over_in_shadow(
    workshop: Workshop, owner: TenantIds, pipeline: DoclingPipeline
) -> None:
    shadow = ShadowSettings(pdf_pipeline="docling", share=1.0)
    async with workshop.working(parts=workers(workshop, pipeline, shadow=shadow)):
        job = await ingested(workshop, owner, text_pdf([page_text(1)]))
        other = await workshop.upload(owner, TEXT)
        await (await workshop.start(other)).result()
        (intent,) = await rows(workshop, job, ReadingComparison)
        assert intent.candidate == "pdf_pipeline=docling"
        assert await rows(workshop, other, ReadingComparison) == []
        await Reconciler(workshop.database, workshop.client, 5.0, timedelta(0)).round()
        comparison = await workshop.job(Job(**{**job.model_dump(), "id": intent.job_id}))
        handle = workshop.client.get_workflow_handle(
            comparison.workflow_id, result_type=CompareReadingResult
        )
        assert (await handle.result()).pages_compared == 1


async def test_what_the_workers_do_already_is_not_tried(
    workshop: Workshop, pipeline: DoclingPipeline
) -> None:
    same_engine = ShadowSettings(ocr_engine="rapidocr", pdf_pipeline="docling")
    made = workers(workshop, pipeline, shadow=same_engine).shadow
    assert made is not None
    assert made._policy.candidate == ReadingCandidate(pdf_pipeline=DOCLING)
    assert workers(workshop, pipeline, DOCLING, same_engine).shadow is None
    of_rules = ShadowSettings(pdf_pipeline="rules")
    assert workers(workshop, pipeline, RULES, of_rules).shadow is None
    assert workers(workshop, pipeline, DOCLING, of_rules).shadow is not None

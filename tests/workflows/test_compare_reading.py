"""A candidate reads what was published, beside it: differences are reported, nothing else changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from temporalio.client import WorkflowFailureError

from activities.compare.intent import ShadowPolicy, is_in_share
from activities.engines import _OCR_LIBRARIES
from db.models import ComparedPage, Job, ReadingComparison, StageOutput, new_id
from db.queries.comparisons import add_comparison
from db.session import Access
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import ReadingCandidate
from muniment.contracts.jobs import JobKind, JobSettings
from muniment.contracts.ocr import OcrEngineName
from muniment.settings import ShadowSettings
from tests.workflows.documents import long_pdf, text_pdf, page_text
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
OPENVINO = ReadingCandidate(ocr_engine=OcrEngineName.RAPIDOCR_OPENVINO)
SCANNED = frozenset({2, 3})


def version_of(job: Job) -> VersionReference:
    assert job.version_id is not None
    return VersionReference(
        tenant_id=job.tenant_id, file_id=job.file_id, version_id=job.version_id, job_id=job.id
    )


async def ingested(workshop: Workshop, owner: TenantIds) -> Job:
    """A document of four pages, two of them scanned, that is published."""
    job = await workshop.upload(owner, long_pdf(4, scanned=SCANNED), "a.pdf", PDF)
    await (await workshop.start(job)).result()
    return job


async def compare(
    workshop: Workshop, job: Job, candidate: ReadingCandidate = OPENVINO
) -> Job:
    """Commits a comparison of what the job published."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        added = await add_comparison(session, version_of(job), candidate)
    assert added is not None
    return added


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


async def test_a_candidate_is_compared_with_what_is_published_and_changes_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner)
        before = await workshop.file(job)
        comparison = await compare(workshop, job)
        await (await workshop.start(comparison)).result()
    row = await workshop.job(comparison)
    assert (row.kind, row.state, row.percent) == (JobKind.COMPARE_READING, "completed", 100.0)
    assert [stage["name"] for stage in row.stages] == ["read", "assemble"]
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

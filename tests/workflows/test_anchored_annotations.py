"""Annotations are found again in what real ingestions read, and never where they were not meant."""

from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from api.annotations import commenting, service
from api.annotations.schemas import (
    Annotation,
    CommentBody,
    NewAnnotation,
    NewQuote,
    NewTarget,
)
from api.annotations.view import annotation_view
from api.authentication import Caller
from api.services import Services
from db.models import Job, new_id
from db.queries.activity import ActivityFilter, list_activity
from db.queries.annotations import AnnotationFilter
from muniment.contracts.anchor_annotations import AnchorResult
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import BoundingBox
from muniment.contracts.jobs import JobSettings
from muniment.objects import SealedTexts
from tests.workflows.documents import page_text, scanned_pdf, text_pdf
from tests.workflows.test_erase_file import _erase
from tests.workflows.test_reprocess import OTHER_OCR
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
PAGES = [page_text(number) for number in range(1, 5)]
SCOPES = frozenset({"files:read", "annotations:write"})


def caller_of(owner: TenantIds) -> Caller:
    return Caller(owner.tenant_id, owner.principal_id, new_id(), SCOPES, is_admin=True)


async def annotate(
    workshop: Workshop,
    owner: TenantIds,
    job: Job,
    page: int,
    exact: str | None = None,
    region: BoundingBox | None = None,
) -> Annotation:
    blobs = workshop.stores.blobs
    services = SimpleNamespace(database=workshop.database, blobs=blobs, texts=SealedTexts(blobs))
    caller = caller_of(owner)
    quote = None if exact is None else NewQuote(exact=exact)
    target = NewTarget(page=page, region=region, quote=quote)
    body = NewAnnotation(file_id=job.file_id, target=target, body="why?")
    wanted = await service.proven(cast(Services, services), caller, body)
    async with workshop.database.transaction(caller.access) as session:
        made = await service.create(session, caller, body, wanted)
        await commenting.create(session, caller, made.annotation.id, CommentBody(body="because"))
    return annotation_view(made)


async def listed(
    workshop: Workshop, owner: TenantIds, job: Job, version: int | None = None
) -> list[Annotation]:
    """In the order in which they were made."""
    caller = caller_of(owner)
    async with workshop.database.transaction(caller.access) as session:
        rows = await service.list_annotations(
            session, caller, AnnotationFilter(job.file_id, version), limit=100
        )
    return [annotation_view(row) for row in reversed(rows)]


def told(found: Annotation) -> tuple[str, int | None]:
    return (found.anchor.state.value, found.anchor.page)


async def test_a_new_version_has_each_where_its_words_went(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES), "a.pdf", PDF)
    new = "\n".join(f"A wholly other matter of herrings and barrels, {n}." for n in range(8))
    changed = PAGES[2].replace("line 4: the lease of the mill", "line 4: the deed of the mill")
    contents = text_pdf([PAGES[0], new, changed])
    async with workshop.working():
        await (await workshop.start(job)).result()
        stays = await annotate(workshop, owner, job, 1, "is registered under number 11")
        goes = await annotate(workshop, owner, job, 2, "is registered under number 23")
        alters = await annotate(
            workshop, owner, job, 3, "line 4: the lease of the mill is registered"
        )
        beside = await annotate(workshop, owner, job, 3, "is registered under number 38")
        box = stays.target.boxes[0] if stays.target else None
        boxed = await annotate(workshop, owner, job, 1, region=box)
        gone = await annotate(workshop, owner, job, 4, region=(60, 60, 500, 300))
        following = await workshop.new_version(owner, job, contents)
        await (await workshop.start(following)).result()
    found = await listed(workshop, owner, job)
    assert [each.id for each in found] == [
        each.id for each in (stays, goes, alters, beside, boxed, gone)
    ]
    assert [told(each) for each in found] == [
        ("exact", 1), ("lost", None), ("moved", 3), ("exact", 3), ("exact", 1), ("lost", None),
    ]  # fmt: skip
    assert found[2].anchor.score is not None
    assert 0.8 < found[2].anchor.score < 1
    assert found[2].anchor.quote is not None
    assert found[2].anchor.quote.exact == "line 4: the deed of the mill is registered"
    assert found[2].target == alters.target, "what it was made on stays"
    assert found[3].anchor.boxes
    assert found[4].anchor.region == box
    assert [told(each) for each in await listed(workshop, owner, job, 1)] == [
        ("exact", 1), ("exact", 2), ("exact", 3), ("exact", 3), ("exact", 1), ("exact", 4),
    ]  # fmt: skip


async def test_a_page_that_moved_takes_its_annotations_along(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES), "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        quoted = await annotate(workshop, owner, job, 1, "is registered under number 11")
        await annotate(workshop, owner, job, 1, region=(60, 60, 500, 300))
        later = await workshop.new_version(owner, job, text_pdf([*PAGES[1:], PAGES[0]]))
        await (await workshop.start(later)).result()
        again = await workshop.retry(later)
        await (await workshop.start(again)).result()
    words, region = await listed(workshop, owner, job)
    assert (told(words), words.anchor.score) == (("moved", 4), 1.0)
    assert (told(region), region.anchor.region) == (("moved", 4), (60, 60, 500, 300))
    assert quoted.target is not None
    assert words.target is not None
    assert words.target.quote == quoted.target.quote


async def test_another_engine_reads_the_words_on_the_same_page(
    workshop: Workshop, owner: TenantIds
) -> None:
    lines = "MILL LEASE OF THE BOROUGH\nSIGNED IN MAY BY BOTH\nTHREE LOCKS ON THE CHEST"
    job = await workshop.upload(owner, scanned_pdf([lines], 620, 180), "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        quoted = await annotate(workshop, owner, job, 1, "LEASE OF THE BOROUGH")
        region = (1.0, 1.0, 100.0, 50.0)
        await annotate(workshop, owner, job, 1, region=region)
        again = await workshop.retry(job, JobSettings(ocr_engine=OTHER_OCR))
        await (await workshop.start(again)).result()
    words, box = await listed(workshop, owner, job)
    assert words.anchor.version == 1
    assert words.anchor.state.value in ("exact", "moved")
    assert words.anchor.quote is not None
    assert "BOROUGH" in words.anchor.quote.exact
    assert words.target == quoted.target
    assert (told(box), box.anchor.region) == (("exact", 1), region), "the page is the same picture"


@activity.defn(name="anchor_annotations")
async def _fails(_: VersionReference) -> AnchorResult:
    raise ApplicationError("a defect", non_retryable=True)


async def test_a_job_does_not_fail_with_it_and_the_next_run_finds_what_is_pending(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES[:2]), "a.pdf", PDF)
    async with workshop.working(replacing=[_fails]):
        await (await workshop.start(job)).result()
        await annotate(workshop, owner, job, 1, "is registered under number 11")
        later = await workshop.new_version(owner, job, text_pdf(PAGES[2::-2]))
        await (await workshop.start(later)).result()
    assert (await workshop.job(later)).state == "completed"
    assert [told(each) for each in await listed(workshop, owner, job)] == [("pending", None)]
    async with workshop.working():
        again = await workshop.retry(later)
        await (await workshop.start(again)).result()
    assert [told(each) for each in await listed(workshop, owner, job)] == [("moved", 2)]


async def test_a_job_is_completed_before_annotations_are_looked_for(
    workshop: Workshop, owner: TenantIds
) -> None:
    states: list[str] = []

    @activity.defn(name="anchor_annotations")
    async def sees(version: VersionReference) -> AnchorResult:
        async with workshop.database.transaction(caller_of(owner).access) as session:
            found = await session.get(Job, version.job_id)
        states.append("" if found is None else found.state)
        return AnchorResult()

    job = await workshop.upload(owner, text_pdf(PAGES[:1]), "a.pdf", PDF)
    async with workshop.working(replacing=[sees]):
        await (await workshop.start(job)).result()
        await annotate(workshop, owner, job, 1, "is registered under number 11")
        later = await workshop.new_version(owner, job, text_pdf(PAGES[:2]))
        await (await workshop.start(later)).result()
    assert states == ["completed"]


async def test_a_second_version_that_fails_stands_in_the_feed(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES[:1]), "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        later = await workshop.new_version(owner, job, b"")
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(later)).result()
    assert (await workshop.file(job)).state == "ready"
    async with workshop.database.transaction(caller_of(owner).access) as session:
        found = await list_activity(session, ActivityFilter(job.file_id), limit=10)
    assert [(each.activity.kind, each.version_number) for each in found] == [
        ("file.failed", 2),
        ("file.ready", 1),
    ]


async def test_an_erasure_leaves_none_of_it(workshop: Workshop, owner: TenantIds) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES[:2]), "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        await annotate(workshop, owner, job, 1, "is registered under number 11")
        later = await workshop.new_version(owner, job, text_pdf(PAGES[1:3]))
        await (await workshop.start(later)).result()
        await _erase(workshop, job)
    async with workshop.database.transaction(caller_of(owner).access) as session:
        for table in ("annotation", "annotation_anchor", "annotation_comment", "activity"):
            left = await session.scalar(
                text(f"SELECT count(*) FROM {table} WHERE tenant_id = :id"),  # noqa: S608 - named above
                {"id": owner.tenant_id},
            )
            assert left == 0, table

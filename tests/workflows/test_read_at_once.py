"""A document that one batch reads is put together along the way, and the job says of it what is so."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.assemble.activity import Assemble
from activities.assemble.calls import AssembledDocument
from activities.assemble.product import assembled_fingerprint
from activities.engines import ENGINE_VERSIONS, DocumentEngines
from activities.read.activity import Read
from db.models import Job
from db.queries.stages import (
    NewBlob,
    Output,
    OutputKey,
    StoredResult,
    keep_result,
    outputs_of,
)
from db.session import Access
from muniment.contracts.assemble import AssembleInput, AssembleResult
from muniment.contracts.base import Artifact
from muniment.contracts.jobs import JobSettings, StageName
from muniment.errors import (
    DatabaseUnavailable,
    EngineCrashed,
    KeyDestroyed,
    ObjectStoreUnavailable,
)
from tests.conftest import make_tenant
from tests.workflows.documents import TEXT, long_pdf, page_text, text_pdf
from tests.workflows.test_faults import OnePageFails
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
THREE_PAGES = text_pdf([page_text(page) for page in range(1, 4)])


class CountedEngines(DocumentEngines):
    """Engines that say how often they put a document together in a process of its own."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop.parts.sandbox)
        self.assembled = 0

    async def assemble(self, *arguments, **options) -> AssembledDocument:  # type: ignore[no-untyped-def] # as DocumentEngines
        self.assembled += 1
        return await super().assemble(*arguments, **options)


class ApartEngines(CountedEngines):
    """Engines of which nothing comes put together."""

    async def read_text(self, *arguments, on_document=None, **options):  # type: ignore[no-untyped-def] # as DocumentEngines
        return await super().read_text(*arguments, **options)


def activities_of(workshop: Workshop, engines: DocumentEngines) -> list[Callable[..., object]]:
    """The two stages with these engines."""
    runner, scratch = workshop.parts.runner, workshop.parts.scratch
    assemble = Assemble(runner, engines)
    return [Read(runner, engines, scratch).read_pages, assemble.assemble_document]


async def ingested(
    workshop: Workshop, tenant: TenantIds, engines: DocumentEngines, content: bytes = THREE_PAGES
) -> Job:
    kind = PDF if content.startswith(b"%PDF") else "text/plain"
    job = await workshop.upload(tenant, content, "a file", kind)
    async with workshop.working(replacing=activities_of(workshop, engines)):
        await (await workshop.start(job)).result()
    return await workshop.job(job)


async def outputs(workshop: Workshop, job: Job, stage: StageName) -> list[Output]:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        return await outputs_of(session, job.id, stage)


async def document(workshop: Workshop, job: Job) -> tuple[bytes, dict[str, object]]:
    """The artifact of `assemble` and its summary."""
    (output,) = await outputs(workshop, job, StageName.ASSEMBLE)
    content = await workshop.stores.blobs.read_all(job.tenant_id, output.blob_id)
    return content, dict(output.summary)


async def told_of(workshop: Workshop, job: Job, stage: StageName) -> list[object]:
    return [
        event.payload["state"]
        for event in await workshop.events(job)
        if event.event == "stage" and event.payload["name"] == stage.value
    ]


def state_of(job: Job, stage: StageName) -> Mapping[str, object]:
    (found,) = [entry for entry in job.stages if entry["name"] == stage.value]
    return found


@pytest.mark.parametrize("content", [THREE_PAGES, TEXT], ids=["pdf", "text"])
async def test_what_is_made_along_is_what_is_made_apart(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, content: bytes
) -> None:
    made = make_tenant(postgres_dsn)
    other = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    at_once, apart = CountedEngines(workshop), ApartEngines(workshop)
    first = await ingested(workshop, owner, at_once, content)
    second = await ingested(workshop, other, apart, content)
    assert (at_once.assembled, apart.assembled) == (0, 1)
    assert await document(workshop, first) == await document(workshop, second)
    for job in (first, second):
        stage = state_of(job, StageName.ASSEMBLE)
        assert (stage["state"], stage["done"], stage["attempts"]) == ("completed", 1, 1)
        assert stage["finished_at"] is not None
        assert (job.state, job.percent) == ("completed", 100.0)
    assert await told_of(workshop, first, StageName.ASSEMBLE) == ["completed"]
    assert await told_of(workshop, second, StageName.ASSEMBLE) == ["running", "completed"]


async def test_a_document_of_several_batches_is_put_together_apart(
    workshop: Workshop, owner: TenantIds
) -> None:
    engines = CountedEngines(workshop)
    job = await ingested(workshop, owner, engines, long_pdf(17))
    assert engines.assembled == 1
    assert len(await outputs(workshop, job, StageName.READ)) == 2
    assert state_of(job, StageName.ASSEMBLE)["state"] == "completed"


async def test_a_document_with_a_failed_page_is_put_together_apart(
    workshop: Workshop, owner: TenantIds
) -> None:
    torn, counted = OnePageFails(workshop), CountedEngines(workshop)
    read = Read(workshop.parts.runner, torn, workshop.parts.scratch)
    assemble = Assemble(workshop.parts.runner, counted)
    job = await workshop.upload(owner, THREE_PAGES, "torn.pdf", PDF)
    async with workshop.working(replacing=[read.read_pages, assemble.assemble_document]):
        await (await workshop.start(job)).result()
    assert counted.assembled == 1
    assert (await workshop.job(job)).degraded


async def test_the_same_document_again_is_found_and_not_made(
    workshop: Workshop, owner: TenantIds
) -> None:
    engines = CountedEngines(workshop)
    await ingested(workshop, owner, engines)
    again = await ingested(workshop, owner, engines)
    assert engines.assembled == 0
    assert state_of(again, StageName.READ)["state"] == "reused"
    assert state_of(again, StageName.ASSEMBLE)["state"] == "reused"


async def test_the_same_document_twice_at_once_is_kept_once(
    workshop: Workshop, owner: TenantIds
) -> None:
    engines = CountedEngines(workshop)
    jobs = [await workshop.upload(owner, THREE_PAGES, f"{number}.pdf", PDF) for number in range(3)]
    async with workshop.working(replacing=activities_of(workshop, engines)):
        handles = [await workshop.start(job) for job in jobs]
        await asyncio.gather(*(handle.result() for handle in handles))
    assert engines.assembled == 0
    made = [await outputs(workshop, job, StageName.ASSEMBLE) for job in jobs]
    assert len({output.blob_id for (output,) in made}) == 1
    states = {state_of(await workshop.job(job), StageName.ASSEMBLE)["state"] for job in jobs}
    assert states <= {"completed", "reused"}


async def test_another_version_of_the_stage_makes_it_anew(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = CountedEngines(workshop)
    job = await ingested(workshop, owner, engines)
    newer = {**ENGINE_VERSIONS, "assemble": "another"}
    monkeypatch.setattr("activities.assemble.product.ENGINE_VERSIONS", newer)
    retry = await workshop.retry(job, JobSettings())
    async with workshop.working(replacing=activities_of(workshop, engines)):
        await (await workshop.start(retry)).result()
    retry = await workshop.job(retry)
    assert engines.assembled == 1
    assert state_of(retry, StageName.READ)["state"] == "reused"
    assert state_of(retry, StageName.ASSEMBLE)["state"] == "completed"
    (before,) = await outputs(workshop, job, StageName.ASSEMBLE)
    (after,) = await outputs(workshop, retry, StageName.ASSEMBLE)
    assert before.fingerprint != after.fingerprint
    assert await document(workshop, job) == await document(workshop, retry)


async def test_what_is_made_along_lies_under_the_fingerprint_of_the_stage(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await ingested(workshop, owner, CountedEngines(workshop))
    (plan,) = await outputs(workshop, job, StageName.INSPECT)
    (batch,) = await outputs(workshop, job, StageName.READ)
    (made,) = await outputs(workshop, job, StageName.ASSEMBLE)
    planned = Artifact(fingerprint=plan.fingerprint, blob_id=plan.blob_id)
    assert made.fingerprint == assembled_fingerprint(planned, [batch.fingerprint])


async def test_an_attempt_whose_answer_was_lost_stays_completed(
    workshop: Workshop, owner: TenantIds
) -> None:
    engines = CountedEngines(workshop)
    stages = activities_of(workshop, engines)
    assemble = stages[1]
    attempts: list[int] = []

    @activity.defn(name="assemble_document")
    async def dies_once(request: AssembleInput) -> AssembleResult:
        attempts.append(activity.info().attempt)
        result = await assemble(request)  # type: ignore[misc] # the activity's method
        if len(attempts) == 1:
            raise EngineCrashed("The worker is gone, and its answer with it.")
        return result  # type: ignore[no-any-return] # as the activity has it

    job = await workshop.upload(owner, THREE_PAGES, "a.pdf", PDF)
    async with workshop.working(replacing=[stages[0], dies_once]):
        await (await workshop.start(job)).result()
    assert len(attempts) == 2
    assert engines.assembled == 0
    assert state_of(await workshop.job(job), StageName.ASSEMBLE)["state"] == "completed"


async def test_attempts_that_came_to_nothing_are_counted(
    workshop: Workshop, owner: TenantIds
) -> None:
    stages = activities_of(workshop, CountedEngines(workshop))
    assemble = stages[1]

    @activity.defn(name="assemble_document")
    async def begins_late(request: AssembleInput) -> AssembleResult:
        if activity.info().attempt == 1:
            raise EngineCrashed("The worker is gone before it began.")
        return await assemble(request)  # type: ignore[misc, no-any-return] # the activity's method

    job = await workshop.upload(owner, THREE_PAGES, "a.pdf", PDF)
    async with workshop.working(replacing=[stages[0], begins_late]):
        await (await workshop.start(job)).result()
    stage = state_of(await workshop.job(job), StageName.ASSEMBLE)
    assert (stage["state"], stage["attempts"]) == ("completed", 2)


async def test_a_store_that_fails_between_the_two_keeps_what_was_read(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = workshop.parts.runner.artifacts
    seal, asked = artifacts.seal, list[str]()

    async def fails_once(tenant_id: UUID, content: bytes) -> NewBlob:
        if activity.info().activity_type in ("read_pages", "assemble_document"):
            asked.append(activity.info().activity_type)
            if len(asked) == 2:
                raise ObjectStoreUnavailable("The store did not answer.")
        return await seal(tenant_id, content)

    monkeypatch.setattr(artifacts, "seal", fails_once)
    engines = CountedEngines(workshop)
    job = await ingested(workshop, owner, engines)
    assert asked == ["read_pages", "read_pages", "assemble_document"]
    assert engines.assembled == 1
    for stage in (StageName.READ, StageName.ASSEMBLE):
        assert (state_of(job, stage)["state"], state_of(job, stage)["attempts"]) == ("completed", 1)


async def test_a_database_that_fails_between_the_two_keeps_neither(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = workshop.parts.runner.artifacts
    seal, sealed, asked = artifacts.seal, list[NewBlob](), list[str]()

    async def noted(tenant_id: UUID, content: bytes) -> NewBlob:
        blob = await seal(tenant_id, content)
        if activity.info().activity_type == "read_pages":
            sealed.append(blob)
        return blob

    async def fails_once(session: AsyncSession, key: OutputKey, *result: Any) -> StoredResult:
        asked.append(key.stage)
        if len(asked) == 2:
            raise DatabaseUnavailable("The database did not answer.")
        return await keep_result(session, key, *result)

    monkeypatch.setattr(artifacts, "seal", noted)
    monkeypatch.setattr("activities.read.record.keep_result", fails_once)
    engines = CountedEngines(workshop)
    job = await ingested(workshop, owner, engines)
    assert asked == ["read", "assemble", "read", "assemble"]
    assert engines.assembled == 0
    assert state_of(job, StageName.ASSEMBLE)["state"] == "completed"
    (batch,) = await outputs(workshop, job, StageName.READ)
    (made,) = await outputs(workshop, job, StageName.ASSEMBLE)
    *given_up, of_batch, of_document = [blob.blob_id for blob in sealed]
    assert (of_batch, of_document) == (batch.blob_id, made.blob_id)
    assert len(given_up) == 2
    for blob_id in given_up:
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(job.tenant_id, blob_id)

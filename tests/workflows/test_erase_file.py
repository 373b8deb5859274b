"""A permanent deletion: nothing of the file is left but tombstones, and its keys are dead."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.artifacts import Artifacts
from activities.chunk.activity import ChunkDocument
from activities.erasure.activity import Erasure as ErasureActivities
from activities.erasure.ledger import ErasureLedger
from activities.erasure.stores import STORES
from activities.stage import StageRunner
from db.models import Erasure, Job, Upload, new_id, now
from db.queries.resumable_uploads import UploadState, append_parts, close
from db.queries.stages import NewBlob
from db.session import Access
from muniment.contracts.chunk import ChunkInput, ChunkResult
from muniment.contracts.embed import EmbedInput, EmbedResult
from muniment.contracts.erase_file import EraseFileInput, ErasureStep
from muniment.contracts.jobs import JobKind, StageName
from muniment.errors import DamagedDocument, KeyDestroyed
from tests.workflows.documents import TEXT, dense_scan
from tests.workflows.workshop import TenantIds, Workshop
from workflows.starting import start_job

pytestmark = pytest.mark.asyncio(loop_scope="session")

EMPTY_AFTERWARDS = (
    "SELECT count(*) FROM chunk WHERE file_id = :file_id",
    "SELECT count(*) FROM posting WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM unmerged_posting WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM embedding WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM page WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM finding WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM stage_output WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM stage_result WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM blob_reference WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM upload WHERE file_id = :file_id",
    "SELECT count(*) FROM upload_part WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM activity WHERE file_id = :file_id",
    "SELECT count(*) FROM annotation WHERE file_id = :file_id",
    "SELECT count(*) FROM annotation_anchor WHERE tenant_id = :tenant_id",
    "SELECT count(*) FROM annotation_comment WHERE file_id = :file_id",
    "SELECT count(*) FROM blob WHERE tenant_id = :tenant_id AND destroyed_at IS NULL",
)


async def _erase(workshop: Workshop, job: Job) -> Job:
    erasure = await order_erasure(workshop, job)
    await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    return erasure


async def order_erasure(workshop: Workshop, job: Job) -> Job:
    erasure_job_id = new_id()
    erasure = Job(
        id=erasure_job_id,
        tenant_id=job.tenant_id,
        kind=JobKind.ERASE_FILE,
        file_id=job.file_id,
        workflow_id=f"erase-{job.file_id}",
        state="queued",
    )
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        session.add(erasure)
        await session.flush()
        session.add(
            Erasure(
                tenant_id=job.tenant_id,
                file_id=job.file_id,
                job_id=erasure_job_id,
                state="executing",
            )
        )
    await start_job(workshop.client, erasure)
    return erasure


async def _counts(workshop: Workshop, job: Job) -> list[int]:
    found = []
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        for query in EMPTY_AFTERWARDS:
            parameters = {"file_id": job.file_id, "tenant_id": job.tenant_id}
            used = {name: value for name, value in parameters.items() if f":{name}" in query}
            found.append(int((await session.execute(text(query), used)).scalar_one()))
    return found


async def _leave_a_part(workshop: Workshop, owner: TenantIds, job: Job) -> UUID:
    """As if the file had come by an upload whose parts no worker has destroyed yet; a part's blob."""
    part = await workshop.stores.blobs.put_bytes(owner.tenant_id, TEXT)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        upload = Upload(
            tenant_id=owner.tenant_id,
            principal_id=owner.principal_id,
            state=UploadState.OPEN,
            expires_at=now() + timedelta(hours=1),
        )
        session.add(upload)
        await session.flush()
        await append_parts(session, upload, [part], upload.expires_at)
        await close(session, upload, UploadState.FINISHED, job.file_id)
    return part.blob_id


async def test_an_erased_file_leaves_tombstones_and_no_keys(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working():
        await (await workshop.start(job)).result()
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            blobs = list((await session.execute(text("SELECT id FROM blob"))).scalars())
        assert len(blobs) > 5
        blobs.append(await _leave_a_part(workshop, owner, job))
        erasure = await _erase(workshop, job)
    assert await _counts(workshop, job) == [0] * len(EMPTY_AFTERWARDS)
    for blob_id in blobs:
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(owner.tenant_id, blob_id)
    file = await workshop.file(job)
    assert (file.state, file.name, file.extracted) == ("erased", "", {})
    row = await workshop.job(erasure)
    assert (row.state, row.percent) == ("completed", 100.0)
    assert [event.event for event in await workshop.events(erasure)][-1] == "end"
    assert await workshop.events(job) == []
    ledger = workshop.stores.erasure_ledger.read_text(encoding="utf-8").splitlines()
    lines = [json.loads(line) for line in ledger if str(job.file_id) in line]
    assert {line["blob_id"] for line in lines} == {*map(str, blobs), None}


@pytest.mark.parametrize("in_the_trash", [False, True], ids=["failed", "failed and trashed"])
async def test_a_file_whose_ingestion_failed_is_erased_as_any_other(
    workshop: Workshop, owner: TenantIds, in_the_trash: bool
) -> None:
    @activity.defn(name="embed_chunks")
    async def fails_for_good(request: EmbedInput) -> EmbedResult:
        async with workshop.parts.runner.attempt(request.version, StageName.EMBED):
            raise DamagedDocument("It cannot be embedded.")

    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working(replacing=[fails_for_good]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
        assert (await workshop.file(job)).state == "failed"
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            blobs = list((await session.execute(text("SELECT id FROM blob"))).scalars())
            if in_the_trash:
                await session.execute(
                    text("UPDATE file SET state = 'trashed', trashed_from = 'failed'")
                )
        assert len(blobs) > 3
        erasure = await _erase(workshop, job)
    assert await _counts(workshop, job) == [0] * len(EMPTY_AFTERWARDS)
    for blob_id in blobs:
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(owner.tenant_id, blob_id)
    assert (await workshop.job(erasure)).state == "completed"
    assert (await workshop.file(job)).state == "erased"


async def test_content_that_another_file_holds_lives_on(
    workshop: Workshop, owner: TenantIds
) -> None:
    first = await workshop.upload(owner, TEXT + b"twice", "first.txt")
    second = await workshop.upload(owner, TEXT + b"twice", "second.txt")
    async with workshop.working():
        await (await workshop.start(first)).result()
        await (await workshop.start(second)).result()
        await _erase(workshop, first)
        kept = await workshop.file(second)
        assert kept.state == "ready"
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            erasure = (await session.execute(text("SELECT * FROM erasure"))).mappings().one()
            blobs = list(
                (
                    await session.execute(text("SELECT id FROM blob WHERE destroyed_at IS NULL"))
                ).scalars()
            )
        assert erasure["state"] == "completed"
        assert erasure["blobs_kept"] == len(blobs) > 5
        for blob_id in blobs:
            assert await workshop.stores.blobs.read_all(owner.tenant_id, blob_id)
        await _erase(workshop, second)
    assert await _counts(workshop, second) == [0] * len(EMPTY_AFTERWARDS)


async def test_an_erasure_stops_the_ingestion_that_runs(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, dense_scan(2), "scan.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await workshop.until(job, "running")
        await _erase(workshop, job)
        assert (await handle.result()).state == "cancelled"
    assert (await workshop.file(job)).state == "erased"
    assert await _counts(workshop, job) == [0] * len(EMPTY_AFTERWARDS)


async def test_an_erasure_cannot_be_cancelled(workshop: Workshop, owner: TenantIds) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        await (await workshop.start(job)).result()
    erasure = await order_erasure(workshop, job)
    handle = workshop.client.get_workflow_handle(erasure.workflow_id)
    await handle.cancel()
    async with workshop.working():
        await handle.result()
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert (await workshop.job(erasure)).state == "completed"
    assert (await workshop.file(job)).state == "erased"


async def test_an_ingestion_never_started_ends_with_its_file(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        await _erase(workshop, job)
    row = await workshop.job(job)
    assert (row.state, row.finished_at is None) == ("cancelled", False)
    # Started all the same, by someone who had not heard of it: it does nothing.
    async with workshop.working():
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
    assert await _counts(workshop, job) == [0] * len(EMPTY_AFTERWARDS)


async def test_an_activity_that_outlives_the_erasure_keeps_nothing(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.heartbeats.BEAT_SECONDS", 60.0)  # it hears of no cancellation
    opened, go_on = asyncio.Event(), asyncio.Event()
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    real = workshop.parts.runner.artifacts

    class Slow(Artifacts):
        async def seal(self, tenant_id: UUID, content: bytes) -> NewBlob:
            blob = await real.seal(tenant_id, content)
            if not opened.is_set():
                opened.set()
                await go_on.wait()
            return blob

    runner = StageRunner(workshop.database, Slow(workshop.database, workshop.stores.blobs))
    chunker = ChunkDocument(runner, workshop.parts.sandbox, workshop.stores.keys)

    @activity.defn(name="chunk_document")
    async def lost(request: ChunkInput) -> ChunkResult:
        try:
            return await chunker.chunk_document(request)
        except ApplicationError as error:
            outcome.set_result(str(error.type))
            raise

    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[lost]):
        handle = await workshop.start(job)
        await opened.wait()
        # The worker is cut off: Temporal has given up on the ingestion, its activity works on.
        await handle.terminate()
        erasure = await order_erasure(workshop, job)
        request = EraseFileInput(tenant_id=job.tenant_id, file_id=job.file_id, job_id=erasure.id)
        steps = ActivityEnvironment()
        parts = ErasureActivities(
            workshop.database, workshop.stores.blobs, ErasureLedger(workshop.stores.erasure_ledger)
        )
        for store in STORES:
            await steps.run(parts.erase_from_store, ErasureStep(request=request, store=store.name))
        await steps.run(parts.destroy_unreferenced_keys, request)
        go_on.set()
        async with asyncio.timeout(120):
            assert await outcome == "conflict"
        await workshop.client.get_workflow_handle(erasure.workflow_id).terminate()
    assert await _counts(workshop, job) == [0] * len(EMPTY_AFTERWARDS)

"""What is stored is read again: every kind of damage is told, none is repaired, all have their turn."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from activities.integrity.activity import Integrity, IntegrityPolicy
from db.models import Job, new_id
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.verify_integrity import VerifyIntegrityInput, schedule_id, workflow_id
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import BlobStore, S3ObjectStore, connect_s3
from muniment.settings import ObjectSettings
from muniment.stores import open_stores
from muniment.telemetry.metrics import REGISTRY
from tests.conformance.s3_server import S3Server, serving_s3
from tests.conftest import make_tenant
from tests.patience import on_a_busy_machine
from tests.workflows.documents import page_text, text_pdf
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.workshop import TenantIds, Workshop
from worker.tenant_schedules import VERIFICATION, TenantSchedules
from workflows.starting import start_verification

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS, queues.VERIFY)
MEBIBYTE = 1024 * 1024
COMPLETED = "integrity_run WHERE state = 'completed'"


def looking(
    workshop: Workshop,
    share: float = 1.0,
    max_bytes: int = 1 << 40,
    blobs: BlobStore | None = None,
) -> list[Callable[..., Any]]:
    """The activities, looking at that share of the blobs in a run."""
    policy = IntegrityPolicy(share, max_bytes, bytes_per_second=1 << 40, kept=timedelta(days=30))
    stores = workshop.stores
    parts = Integrity(workshop.database, blobs or stores.blobs, policy, stores.tiers)
    return [parts.begin_verification, parts.verify_batch, parts.end_verification]


async def verification(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """A run that was just started."""
    name = workflow_id(new_id())
    request = VerifyIntegrityInput(tenant_id=owner.tenant_id)
    await start_verification(workshop.client, name, request)
    return workshop.client.get_workflow_handle(name)


async def verify(workshop: Workshop, owner: TenantIds) -> dict[str, Any]:
    """The newest run's row, after a run."""
    await (await verification(workshop, owner)).result()
    return (await rows(workshop, owner, "integrity_run ORDER BY created_at DESC, id DESC"))[0]


async def rows(workshop: Workshop, owner: TenantIds, what: str) -> list[dict[str, Any]]:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.execute(text(f"SELECT * FROM {what}"))  # noqa: S608 - of these tests
        return [dict(row) for row in found.mappings()]


async def faults(workshop: Workshop, owner: TenantIds) -> dict[UUID, str]:
    """Kinds of the open ones, by blob."""
    found = await rows(workshop, owner, "integrity_fault WHERE closed_at IS NULL")
    return {row["blob_id"]: row["kind"] for row in found}


async def blob_of(workshop: Workshop, job: Job) -> UUID:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.execute(
            text("SELECT blob_id FROM file_version WHERE id = :id"), {"id": job.version_id}
        )
        return UUID(str(found.scalar_one()))


async def store(
    workshop: Workshop, owner: TenantIds, count: int, size: int = 1_000
) -> list[tuple[Job, UUID]]:
    """Uploads that are never ingested, and their blobs."""
    made = []
    for number in range(count):
        job = await workshop.upload(owner, bytes([number]) * size, f"{number}.txt")
        made.append((job, await blob_of(workshop, job)))
    return made


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@dataclass
class Place:
    """An installation over one kind of store, and where its objects lie as plain files."""

    workshop: Workshop
    objects: Path

    def object(self, owner: TenantIds, blob_id: UUID) -> Path:
        return self.objects / str(owner.tenant_id) / blob_id.hex[-2:] / str(blob_id)

    def key(self, owner: TenantIds, blob_id: UUID) -> Path:
        wrapped = self.workshop.settings.keys.root / "wrapped"
        return wrapped / str(owner.tenant_id) / blob_id.hex[-2:] / str(blob_id)


@pytest_asyncio.fixture(params=["folder", "s3"], loop_scope="session")
async def place(request: pytest.FixtureRequest, workshop: Workshop) -> AsyncIterator[Place]:
    if request.param == "folder":
        yield Place(workshop, workshop.settings.objects.root)
        return
    server: S3Server = request.getfixturevalue("s3")
    bucket = f"bucket-{uuid4().hex}"
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    client.make_bucket(bucket)
    client._http.clear()
    settings = workshop.settings.model_copy(
        update={
            "objects": ObjectSettings(
                backend="s3",
                endpoint=server.endpoint,
                bucket=bucket,
                access_key=SecretStr(server.access_key),
                secret_key=SecretStr(server.secret_key),
                secure=False,
            )
        }
    )
    stores = open_stores(settings)
    yield Place(replace(workshop, stores=stores), server.folder / bucket / "objects")
    opened = stores.blobs._objects
    assert isinstance(opened, S3ObjectStore)
    await opened.close()


def counted() -> list[float]:
    """What Prometheus is told of blobs looked at: sound ones, broken seals, missing objects."""
    outcomes = ("sound", "seal-broken", "object-missing")
    name = "muniment_integrity_blobs_total"
    return [REGISTRY.get_sample_value(name, {"outcome": each}) or 0.0 for each in outcomes]


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


async def test_every_kind_of_damage_is_told_until_it_is_mended(
    place: Place, owner: TenantIds, tmp_path: Path
) -> None:
    workshop = place.workshop
    made = await store(workshop, owner, 8, size=3 * 65_536)
    ids = [blob_id for _, blob_id in made]
    paths = [place.object(owner, blob_id) for blob_id in ids]
    flip(paths[0], 100_000)
    flip(paths[1], 3)
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    paths[3].write_bytes(paths[3].read_bytes()[:10])
    shutil.move(paths[4], tmp_path / "kept")
    one, other = paths[5].read_bytes(), paths[6].read_bytes()
    paths[5].write_bytes(other)
    paths[6].write_bytes(one)
    damaged = {path: path.read_bytes() for path in paths if path.exists()}
    expected = {
        **dict.fromkeys((*ids[:4], ids[5], ids[6]), "seal-broken"),
        ids[4]: "object-missing",
    }
    before = counted()
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        run = await verify(workshop, owner)
        assert await faults(workshop, owner) == expected
        assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 6, 1]
        assert (run["state"], run["blobs"], run["faults_found"]) == ("completed", 8, 7)
        assert run["bytes"] == 7 * 3 * 65_536, "of what is missing nothing was read"
        assert {path: path.read_bytes() for path in damaged} == damaged, "nothing is repaired"
        seen = {
            row["blob_id"]: row["first_seen_at"]
            for row in await rows(workshop, owner, "integrity_fault")
        }
        shutil.move(tmp_path / "kept", paths[4])
        run = await verify(workshop, owner)
        del expected[ids[4]]
        assert await faults(workshop, owner) == expected
        assert (run["looked_again"], run["faults_closed"]) == (7, 1)
    kept = await rows(workshop, owner, "integrity_fault")
    assert {row["blob_id"]: row["first_seen_at"] for row in kept} == seen
    assert [row["closed_at"] is not None for row in kept if row["blob_id"] == ids[4]] == [True]
    audited = await rows(workshop, owner, "audit_event WHERE object_type = 'blob'")
    assert [row["action"] for row in audited].count("integrity.fault_found") == 7
    assert [row["action"] for row in audited].count("integrity.fault_closed") == 1
    assert {key for row in audited for key in row["payload"]} == {"fault_id", "run_id", "kind"}


async def test_a_key_that_nobody_destroyed_is_missed(place: Place, owner: TenantIds) -> None:
    [(_, blob_id), _] = await store(place.workshop, owner, 2)
    place.key(owner, blob_id).unlink()
    async with place.workshop.working(replacing=looking(place.workshop), names=ONLY):
        await verify(place.workshop, owner)
    assert await faults(place.workshop, owner) == {blob_id: "key-missing"}


async def test_content_that_is_sealed_well_and_is_another_one_is_told(
    workshop: Workshop, owner: TenantIds
) -> None:
    [(_, blob_id)] = await store(workshop, owner, 1)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE blob SET sha256 = sha256(sha256)"))
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {blob_id: "content-differs"}


class Watched(BlobStore):
    """Notes what is read again, and waits where it is told to."""

    def __init__(self, workshop: Workshop) -> None:
        real = workshop.stores.blobs
        super().__init__(real._objects, real._keys, real._wrapped_keys)
        self.read_again: list[UUID] = []
        self.waits_after = 1 << 30
        self.unreadable: UUID | None = None
        self.waiting, self.go_on = asyncio.Event(), asyncio.Event()

    async def reread(
        self, tenant_id: UUID, blob_id: UUID, size: int, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        self.read_again.append(blob_id)
        if len(self.read_again) > self.waits_after:
            self.waiting.set()
            await self.go_on.wait()
        if blob_id == self.unreadable:
            raise ObjectStoreUnavailable("the disk cannot read a sector")
        async for piece in super().reread(tenant_id, blob_id, size, offset):
            yield piece


async def test_all_that_an_ingestion_makes_is_sound(workshop: Workshop, owner: TenantIds) -> None:
    pdf = text_pdf([page_text(1), page_text(2)])
    job = await workshop.upload(owner, pdf, "a.pdf", "application/pdf")
    async with workshop.working(replacing=looking(workshop)):
        await (await workshop.start(job)).result()
        run = await verify(workshop, owner)
    assert run["blobs"] > 5
    assert run["faults_found"] == 0
    assert await rows(workshop, owner, "blob WHERE verified_at IS NULL") == []


async def test_an_object_that_the_store_fails_on_holds_up_no_other(
    workshop: Workshop, owner: TenantIds
) -> None:
    made = [blob_id for _, blob_id in await store(workshop, owner, 3)]
    blobs = Watched(workshop)
    blobs.unreadable = made[1]
    async with workshop.working(replacing=looking(workshop, blobs=blobs), names=ONLY):
        assert (await verify(workshop, owner))["blobs"] == 3
    assert await faults(workshop, owner) == {made[1]: "unreadable"}


async def test_what_is_erased_in_mid_run_is_no_fault_and_leaves_none(
    workshop: Workshop, owner: TenantIds
) -> None:
    [(known, known_blob), (job, _)] = await store(workshop, owner, 2)
    path = workshop.settings.objects.root / str(owner.tenant_id)
    (path / known_blob.hex[-2:] / str(known_blob)).unlink()
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {known_blob: "object-missing"}
    blobs = Watched(workshop)
    blobs.waits_after = 0
    async with workshop.working(replacing=looking(workshop, blobs=blobs), names=ONLY):
        running = await verification(workshop, owner)
        await blobs.waiting.wait()
        for each in (known, job):
            erasure = await order_erasure(workshop, each)
            await workshop.client.get_workflow_handle(erasure.workflow_id).result()
        blobs.go_on.set()
        await running.result()
    assert await rows(workshop, owner, "integrity_fault") == []
    assert await rows(workshop, owner, "blob WHERE destroyed_at IS NULL") == []


async def test_all_have_their_turn_and_what_is_new_waits_for_its(
    workshop: Workshop, owner: TenantIds
) -> None:
    made = [blob_id for _, blob_id in await store(workshop, owner, 8)]
    blobs = Watched(workshop)
    async with workshop.working(replacing=looking(workshop, 1 / 4, blobs=blobs), names=ONLY):
        for number in range(4):
            assert (await verify(workshop, owner))["planned_blobs"] in (2, 3)
            await workshop.upload(owner, f"written after run {number}".encode())
        again = blobs.read_again.copy()
    assert again[:8] == made, "as they were written"
    assert again[8:10] == made[:2], "what was written since waits longer"


async def test_a_run_ends_at_its_limit_and_the_next_goes_on(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.integrity.activity.BATCH_BLOBS", 1)
    made = [blob_id for _, blob_id in await store(workshop, owner, 3, MEBIBYTE)]
    blobs = Watched(workshop)
    parts = looking(workshop, max_bytes=2 * MEBIBYTE, blobs=blobs)
    async with workshop.working(replacing=parts, names=ONLY):
        run = await verify(workshop, owner)
        assert (run["is_cut_short"], run["blobs"]) == (True, 2)
        await verify(workshop, owner)
    assert blobs.read_again[:3] == made


async def test_another_tenant_is_left_alone(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    stranger = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    await store(workshop, owner, 1)
    await store(workshop, stranger, 2)
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        assert (await verify(workshop, owner))["blobs"] == 1
    assert await rows(workshop, stranger, "integrity_run") == []
    assert await rows(workshop, stranger, "blob WHERE verified_at IS NOT NULL") == []


@pytest.mark.parametrize("ending", ["worker stopped", "cancelled", "terminated"])
async def test_what_ends_in_the_middle_goes_on_there(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("activities.integrity.activity.BATCH_BLOBS", 2)
    made = [blob_id for _, blob_id in await store(workshop, owner, 8)]
    first, second = Watched(workshop), Watched(workshop)
    first.waits_after = 4
    async with workshop.working(replacing=looking(workshop, blobs=first), names=ONLY):
        running = await verification(workshop, owner)
        await first.waiting.wait()
        if ending == "cancelled":
            await running.cancel()
            with pytest.raises(WorkflowFailureError):
                await running.result()
        elif ending == "terminated":
            await running.terminate()
    async with workshop.working(replacing=looking(workshop, blobs=second), names=ONLY):
        if ending == "worker stopped":
            await running.result()
        else:
            await verify(workshop, owner)
    assert sorted(second.read_again[:4]) == sorted(made[4:])
    states = [row["state"] for row in await rows(workshop, owner, "integrity_run ORDER BY id")]
    assert states == (["cancelled", "completed"] if ending == "cancelled" else ["completed"])


async def test_a_second_run_leaves_it_to_the_one_at_work(
    workshop: Workshop, owner: TenantIds
) -> None:
    await store(workshop, owner, 1)
    blobs = Watched(workshop)
    blobs.waits_after = 0
    async with workshop.working(replacing=looking(workshop, blobs=blobs), names=ONLY):
        running = await verification(workshop, owner)
        await blobs.waiting.wait()
        await (await verification(workshop, owner)).result()
        assert (await running.describe()).status is WorkflowExecutionStatus.RUNNING
        blobs.go_on.set()
        await running.result()
    assert len(await rows(workshop, owner, "integrity_run")) == 1
    assert len(blobs.read_again) == 1


async def test_a_long_run_continues_as_new(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.integrity.activity.BATCH_BLOBS", 1)
    monkeypatch.setattr("workflows.verify_integrity.VERIFY_BATCHES", 2)
    await store(workshop, owner, 5)
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        assert (await verify(workshop, owner))["blobs"] == 5
    assert len(await rows(workshop, owner, "integrity_run")) == 1


async def test_a_tenant_has_one_schedule_however_many_workers_start(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner

    def workers(hours: int) -> list[TenantSchedules]:
        interval = timedelta(hours=hours)
        made = (workshop.database, workshop.client, VERIFICATION, interval)
        return [TenantSchedules(*made) for _ in range(3)]

    handle = workshop.client.get_schedule_handle(schedule_id(owner.tenant_id))
    await asyncio.gather(*(each.round() for each in workers(24)))
    await handle.pause()
    await asyncio.gather(*(each.round() for each in workers(12)))
    schedule = (await handle.describe()).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(hours=12)]
    assert schedule.state.paused, "an operator's pause stays"
    await store(workshop, owner, 1)
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        await handle.trigger()
        async with asyncio.timeout(on_a_busy_machine(60)):
            while not await rows(workshop, owner, COMPLETED):  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.1)
    for each in workers(0):
        await each.round()
    with pytest.raises(RPCError):
        await handle.describe()

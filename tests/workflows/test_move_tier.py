"""Content goes to the cold store and comes back: as it is sealed, readable all the while, never lost."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from activities.integrity.examine import Examiner
from activities.pace import Pace
from db.models import Job
from db.queries.integrity import DueBlob
from db.queries.tier_policies import ColdPolicy
from db.session import Access
from muniment.contracts.move_tier import Tier, schedule_id
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import (
    BlobStore,
    FilesystemObjectStore,
    S3Limits,
    S3ObjectStore,
    TieredObjectStore,
    connect_s3,
)
from muniment.objects.tiers import BlobTiers, Paced
from muniment.settings import ColdStoreSettings
from tests.conformance.s3_server import S3Server, serving_s3
from tests.conftest import make_tenant
from tests.patience import on_a_busy_machine
from tests.workflows.cold_store import NO_GRACE, ONLY, ColdPlace, with_cold_store
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_verify_integrity import blob_of, faults, flip, looking, rows, verify
from tests.workflows.workshop import TenantIds, Workshop
from worker.sweep import Sweep
from worker.tenant_schedules import MOVES, TenantSchedules
from workflows.starting import hasten_moves

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY = timedelta(days=1)
CONTENT = os.urandom(200_000)
ANY = ColdPolicy(min_age=30 * DAY, min_bytes=0, collections=())


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def in_folder(workshop: Workshop, folder: Path) -> ColdPlace:
    settings = ColdStoreSettings(backend="filesystem", root=folder / "cold")
    return with_cold_store(workshop, settings, folder / "cold")


@pytest_asyncio.fixture(params=["folder", "s3"], loop_scope="session")
async def place(
    request: pytest.FixtureRequest, workshop: Workshop, tmp_path: Path
) -> AsyncIterator[ColdPlace]:
    """Content goes from a folder into another one, or onto an S3 server."""
    if request.param == "folder":
        yield in_folder(workshop, tmp_path)
        return
    bucket = request.getfixturevalue("s3").new_bucket()
    settings = ColdStoreSettings(
        backend="s3",
        endpoint=bucket.server.endpoint,
        bucket=bucket.name,
        access_key=SecretStr(bucket.server.access_key),
        secret_key=SecretStr(bucket.server.secret_key),
        secure=False,
    )
    yield with_cold_store(workshop, settings, bucket.folder / "objects")


async def stored(place: ColdPlace, owner: TenantIds, content: bytes = CONTENT) -> tuple[Job, UUID]:
    job = await place.workshop.upload(owner, content, f"{os.urandom(4).hex()}.txt")
    return job, await blob_of(place.workshop, job)


async def test_content_goes_to_the_cold_store_and_comes_back_as_it_is(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    sealed = place.path(owner, blob_id, Tier.HOT).read_bytes()
    assert await place.request(owner, job.file_id, Tier.COLD) == 1
    await place.run(owner, times=2, grace=DAY)
    assert place.where(owner, blob_id) == ["hot", "cold"], "for a while it stays"
    assert await place.tier_of(owner, blob_id) == "cold"
    await place.run(owner)
    assert place.where(owner, blob_id) == ["cold"]
    assert place.path(owner, blob_id, Tier.COLD).read_bytes() == sealed
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    assert await place.request(owner, job.file_id, Tier.COLD) == 1, "the row is not believed"
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["cold"]
    assert await place.request(owner, job.file_id, Tier.HOT) == 1
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["hot"]
    assert place.path(owner, blob_id, Tier.HOT).read_bytes() == sealed
    assert await rows(place.workshop, owner, "tier_move") == []
    audited = await rows(place.workshop, owner, "audit_event WHERE action = 'blob.moved'")
    assert [row["payload"] for row in audited] == [{"tier": "cold"}, {"tier": "hot"}]


async def test_a_move_may_be_turned_around_at_any_time(place: ColdPlace, owner: TenantIds) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.request(owner, job.file_id, Tier.HOT)
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["hot"], "nothing had begun"
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, grace=DAY)
    damaged = place.path(owner, blob_id, Tier.COLD)
    await place.request(owner, job.file_id, Tier.HOT)
    flip(damaged, 100_000)
    await place.run(owner, times=3)
    assert place.where(owner, blob_id) == ["hot"], "the sound one"
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_age_size_and_collection_decide_what_goes_by_itself(
    place: ColdPlace, owner: TenantIds
) -> None:
    made = [await stored(place, owner, os.urandom(size)) for size in (999, 2_000, 3_000, 4_000)]
    small, old, read, young = (blob_id for _, blob_id in made)
    async with place.workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE blob SET created_at = now() - interval '31 days' WHERE id <> :young"),
            {"young": young},
        )
        await session.execute(
            text("UPDATE blob SET accessed_at = now() - interval '29 days' WHERE id = :read"),
            {"read": read},
        )
    await place.run(owner, cold=ColdPolicy(30 * DAY, 1_000, ("another",)))
    assert await rows(place.workshop, owner, "tier_move") == []
    await place.run(owner, cold=ColdPolicy(30 * DAY, 1_000, ("another", "default")))
    lying = [await place.tier_of(owner, each) for each in (small, old, read, young)]
    assert lying == ["hot", "cold", "hot", "hot"]
    await place.request(owner, made[1][0].file_id, Tier.HOT)
    await place.run(owner, times=3, cold=ANY)
    assert await place.tier_of(owner, old) == "hot", "somebody brought it back"
    assert await place.tier_of(owner, small) == "cold"


class Held(BlobTiers):
    """Copies, and waits before anybody hears of it."""

    def __init__(self, real: BlobTiers) -> None:
        super().__init__(real._stores[Tier.HOT], real._stores[Tier.COLD], real._marks)
        self.copied, self.go_on = asyncio.Event(), asyncio.Event()

    async def copy(self, tenant_id: UUID, blob_id: UUID, destination: Tier, paced: Paced) -> None:
        await super().copy(tenant_id, blob_id, destination, paced)
        self.copied.set()
        await self.go_on.wait()


@pytest.mark.parametrize("mover", ["lives", "is gone"])
async def test_what_is_erased_on_its_way_is_in_neither_tier(
    place: ColdPlace, owner: TenantIds, mover: str
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    held = Held(place.tiers)
    running = asyncio.create_task(place.run(owner, tiers=held))
    await held.copied.wait()
    assert place.where(owner, blob_id) == ["hot", "cold"]
    copy = place.path(owner, blob_id, Tier.COLD)
    content = copy.read_bytes()
    async with place.workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE blob SET destroyed_at = now(), dedup_tag = NULL WHERE id = :id"),
            {"id": blob_id},
        )
    await place.workshop.stores.blobs.destroy(owner.tenant_id, blob_id)
    assert place.where(owner, blob_id) == [], "both at once"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(content)  # as if the mover's last write had come after that
    if mover == "is gone":
        running.cancel()
        await asyncio.wait([running])
        await place.run(owner)
    else:
        held.go_on.set()
        await running
    assert place.where(owner, blob_id) == []
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_an_erasure_takes_what_lies_in_the_cold_store(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2, grace=DAY)
    parts = place.workshop.parts
    erasing = type(parts)(
        place.workshop.settings, place.workshop.database, place.workshop.stores, parts._resources
    )
    async with place.workshop.working(parts=erasing, names=ONLY):
        erasure = await order_erasure(place.workshop, job)
        await place.workshop.client.get_workflow_handle(erasure.workflow_id).result()
    assert place.where(owner, blob_id) == []
    await place.run(owner)
    assert await rows(place.workshop, owner, "tier_move") == []


class Damaging(BlobTiers):
    """A cold store that keeps something else than it is given."""

    def __init__(self, place: ColdPlace, owner: TenantIds) -> None:
        real = place.tiers
        super().__init__(real._stores[Tier.HOT], real._stores[Tier.COLD], real._marks)
        self._place, self._owner = place, owner
        self._seen = 0

    async def copy(self, tenant_id: UUID, blob_id: UUID, destination: Tier, paced: Paced) -> None:
        path = self._place.path(self._owner, blob_id, destination)

        async def damaging(count: int) -> None:
            if path.exists() and not self._seen:
                self._seen += count
                flip(path, 2_500_000)  # which is still to be read

        await super().copy(tenant_id, blob_id, destination, damaging)


async def test_a_copy_that_is_another_is_not_kept(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    place = in_folder(workshop, tmp_path)
    job, blob_id = await stored(place, owner, os.urandom(3_000_000))
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, tiers=Damaging(place, owner))
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("hot", ["hot"])
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["cold"], "the next run tries again"


async def test_nothing_is_deleted_while_the_other_copy_is_not_seen(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, grace=DAY)
    place.path(owner, blob_id, Tier.COLD).unlink()
    await place.run(owner)
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("hot", ["hot"])
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["cold"]
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT


async def test_what_is_cold_is_verified_and_swept_as_all_else(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    workshop = place.workshop
    orphan = await workshop.stores.blobs.put_bytes(owner.tenant_id, b"left behind")
    cold = place.path(owner, orphan.blob_id, Tier.COLD)
    cold.parent.mkdir(parents=True, exist_ok=True)
    place.path(owner, orphan.blob_id, Tier.HOT).rename(cold)
    await Sweep(workshop.database, workshop.stores.blobs, NO_GRACE, NO_GRACE).round()
    assert place.where(owner, orphan.blob_id) == []
    assert place.where(owner, blob_id) == ["cold"]
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        await verify(workshop, owner)
        assert await faults(workshop, owner) == {}
        flip(place.path(owner, blob_id, Tier.COLD), 5_000)
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {blob_id: "seal-broken"}


async def test_a_cold_store_that_is_away_makes_no_fault_of_what_lies_there(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    place = in_folder(workshop, tmp_path)
    made = [await stored(place, owner, os.urandom(100)) for _ in range(8)]
    for job, _ in made[:6]:
        await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    place.cold.rename(tmp_path / "elsewhere")
    async with workshop.working(replacing=looking(place.workshop), names=ONLY):
        run = await verify(workshop, owner)
        assert (run["is_store_away"], run["away_tiers"], run["blobs"]) == (True, ["cold"], 2)
        assert await faults(workshop, owner) == {}, "and what is hot was verified"
        (tmp_path / "elsewhere").rename(place.cold)
        run = await verify(workshop, owner)
    assert (run["is_store_away"], run["blobs"], run["faults_found"]) == (False, 8, 0)
    dead = connect_s3("127.0.0.1:1", "a", "b", secure=False, limits=S3Limits(retries=0))
    hot, cold = FilesystemObjectStore(place.hot), S3ObjectStore(dead, "none")
    stores = workshop.stores
    blobs = BlobStore(TieredObjectStore(hot, cold), stores.keys, stores.blobs._wrapped_keys)
    examiner = Examiner(blobs, Pace(1 << 40), BlobTiers(hot, cold))
    due = DueBlob(made[0][1], 100, b"", tier="cold", had_fault=False)
    with pytest.raises(ObjectStoreUnavailable):
        await examiner.examine(owner.tenant_id, due)
    await cold.close()


async def test_what_arrived_before_an_older_database_was_restored_has_arrived(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    async with place.workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE blob SET tier = 'hot'"))
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("cold", ["cold"])
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_two_names_of_one_place_are_no_tiers(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(workshop.settings.objects.root)
    settings = ColdStoreSettings(backend="filesystem", root=tmp_path / "alias")
    place = with_cold_store(workshop, settings, tmp_path / "alias")
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    with pytest.raises(WorkflowFailureError) as failure:
        await place.run(owner)
    assert "cold store is the object store itself" in repr(failure.value.cause.cause)  # type: ignore[union-attr] # Temporal's chain
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    assert [path for path in place.hot.glob("probe/*") if path.is_file()] == []


async def test_two_runs_at_once_do_as_one_does(place: ColdPlace, owner: TenantIds) -> None:
    made = [await stored(place, owner, os.urandom(5_000)) for _ in range(20)]
    for job, _ in made:
        await place.request(owner, job.file_id, Tier.COLD)
    async with place.workshop.working(replacing=place.movers(), names=ONLY):
        for _ in range(2):
            running = [await place.start(owner) for _ in range(3)]
            await asyncio.gather(*(run.result() for run in running))
    assert [place.where(owner, blob_id) for _, blob_id in made] == [["cold"]] * 20
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_another_tenants_moves_are_left_alone(
    place: ColdPlace, owner: TenantIds, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    stranger = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    job, blob_id = await stored(place, stranger)
    assert await place.request(owner, job.file_id, Tier.COLD) == 0
    assert await place.request(stranger, job.file_id, Tier.COLD) == 1
    await place.run(owner, cold=ColdPolicy(NO_GRACE, 0, ()))
    assert place.where(stranger, blob_id) == ["hot"]


async def test_whoever_asks_has_the_schedule_run_at_once(
    lone_workshop: Workshop, lone_owner: TenantIds, tmp_path: Path
) -> None:
    workshop, owner = lone_workshop, lone_owner
    place = in_folder(workshop, tmp_path)
    await hasten_moves(workshop.client, owner.tenant_id)  # there is none yet, and that is all
    await TenantSchedules(workshop.database, workshop.client, MOVES, 30 * DAY).round()
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    async with workshop.working(replacing=place.movers(), names=ONLY):
        for _ in range(3):
            await hasten_moves(workshop.client, owner.tenant_id)
        async with asyncio.timeout(on_a_busy_machine(60)):
            while place.where(owner, blob_id) != ["cold"]:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.1)
    await workshop.client.get_schedule_handle(schedule_id(owner.tenant_id)).delete()

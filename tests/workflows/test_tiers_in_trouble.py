"""Disks that are full, damaged or not mounted: moves lose nothing, and one that fails stops no other."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from db.session import Access
from muniment.contracts.erase_file import EraseFileResult
from muniment.contracts.move_tier import MoveBatchInput, Tier
from muniment.erasure_certificates import ErasureStatement, Survivor
from muniment.errors import KeyDestroyed, ObjectStoreUnavailable, StorageFull
from muniment.objects.tiers import BlobTiers, Paced
from tests.workflows.cold_store import ONLY, ColdPlace
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_move_tier import CONTENT, DAY, in_folder, stored
from tests.workflows.test_verify_integrity import flip, rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.sweep import Sweep

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def place(workshop: Workshop, tmp_path: Path) -> ColdPlace:
    return in_folder(workshop, tmp_path)


async def batch(place: ColdPlace, owner: TenantIds, **policy: object) -> None:
    """One attempt at one batch."""
    move_batch = place.movers(**policy)[1]  # type: ignore[arg-type] # as they came
    await ActivityEnvironment().run(move_batch, MoveBatchInput(tenant_id=owner.tenant_id))


async def test_a_store_that_is_not_mounted_has_nothing_deleted_on_its_word(
    place: ColdPlace, owner: TenantIds, tmp_path: Path
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, grace=DAY)
    away = tmp_path / "elsewhere"
    place.cold.rename(away)
    copy = place.path(owner, blob_id, Tier.COLD)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(place.path(owner, blob_id, Tier.HOT).read_bytes())  # into the mount point
    with pytest.raises(Exception, match="is not that store"):
        await batch(place, owner)
    assert place.where(owner, blob_id) == ["hot", "cold"]
    assert await place.tier_of(owner, blob_id) == "cold"
    place.cold.rename(tmp_path / "mount point")
    with pytest.raises(ObjectStoreUnavailable):
        await place.tiers.require_present()
    away.rename(place.cold)
    await place.run(owner)
    assert place.where(owner, blob_id) == ["cold"]


async def test_what_is_not_mounted_is_away_and_not_lost(
    place: ColdPlace, owner: TenantIds, tmp_path: Path
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    place.cold.rename(tmp_path / "elsewhere")
    with pytest.raises(ObjectStoreUnavailable):
        await place.content(owner, blob_id, len(CONTENT))
    (tmp_path / "elsewhere").rename(place.cold)
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT


async def test_a_new_place_that_is_empty_is_not_taken_for_the_cold_store(
    place: ColdPlace, owner: TenantIds, workshop: Workshop, tmp_path: Path
) -> None:
    job, _ = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    elsewhere = in_folder(workshop, tmp_path / "new")
    with pytest.raises(Exception, match="is not that store"):
        await batch(elsewhere, owner)
    elsewhere.cold.parent.mkdir(exist_ok=True)
    place.cold.rename(elsewhere.cold)
    await batch(elsewhere, owner)


async def test_an_object_that_cannot_be_read_stops_no_other(
    place: ColdPlace, owner: TenantIds
) -> None:
    made = [await stored(place, owner, os.urandom(5_000)) for _ in range(3)]
    for job, _ in made:
        await place.request(owner, job.file_id, Tier.COLD)
    first, *others = sorted(blob_id for _, blob_id in made)
    await batch(place, owner, tiers=Failing(place, first, ObjectStoreUnavailable("bad sector")))
    assert [place.where(owner, each) for each in others] == [["hot", "cold"]] * 2
    assert place.where(owner, first) == ["hot"]
    await place.run(owner, times=2)
    assert [place.where(owner, blob_id) for _, blob_id in made] == [["cold"]] * 3


async def test_a_full_cold_store_keeps_nothing_from_coming_back(
    place: ColdPlace, owner: TenantIds
) -> None:
    back, coming = await stored(place, owner)
    await place.request(owner, back.file_id, Tier.COLD)
    await place.run(owner, times=2)
    made = [await stored(place, owner, os.urandom(5_000)) for _ in range(2)]
    for job, _ in made:
        await place.request(owner, job.file_id, Tier.COLD)
    await place.request(owner, back.file_id, Tier.HOT)
    full = Failing(place, None, StorageFull("the disk is full"))
    await batch(place, owner, tiers=full)
    assert await place.tier_of(owner, coming) == "hot"
    assert full.failures == 1, "what is full is not tried with the next one"
    await batch(place, owner, tiers=full)
    assert place.where(owner, coming) == ["hot"]


class Failing(BlobTiers):
    """Stores that answer, and fail with one object, or with all that goes to the cold one."""

    def __init__(self, place: ColdPlace, blob_id: UUID | None, error: Exception) -> None:
        real = place.tiers
        super().__init__(real._stores[Tier.HOT], real._stores[Tier.COLD], real._marks, real._opened)
        self._blob_id, self._error = blob_id, error
        self.failures = 0

    async def copy(self, tenant_id: UUID, blob_id: UUID, destination: Tier, paced: Paced) -> None:
        if self._blob_id in (None, blob_id) and destination is Tier.COLD:
            self.failures += 1
            raise self._error
        await super().copy(tenant_id, blob_id, destination, paced)


async def test_a_copy_that_rotted_since_is_not_the_one_that_is_kept(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, grace=DAY)
    flip(place.path(owner, blob_id, Tier.COLD), 5_000)
    await place.run(owner)
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("hot", ["hot"])
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    [told] = await rows(place.workshop, owner, "audit_event WHERE action = 'blob.copy_discarded'")
    assert told["payload"] == {"tier": "cold"}
    await place.run(owner, times=2)
    assert place.where(owner, blob_id) == ["cold"]


async def test_what_an_older_database_believes_hot_comes_back_on_request(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    async with place.workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE blob SET tier = 'hot'"))
    assert await place.request(owner, job.file_id, Tier.HOT) == 1
    await place.run(owner, times=2)
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("hot", ["hot"])


async def test_an_erasure_destroys_all_keys_while_the_cold_store_is_away(
    place: ColdPlace, owner: TenantIds, tmp_path: Path
) -> None:
    workshop = place.workshop
    job = await workshop.upload(owner, b"The charter of the year 1215.\n" * 50, "charter.txt")
    parts = type(workshop.parts)(
        workshop.settings, workshop.database, workshop.stores, workshop.parts._resources
    )
    async with workshop.working():
        await (await workshop.start(job)).result()
    keys = workshop.settings.keys.root / "wrapped" / str(owner.tenant_id)
    assert len([path for path in keys.rglob("*") if path.is_file()]) > 1
    if place.cold.exists():
        place.cold.rename(tmp_path / "elsewhere")
    place.cold.symlink_to(place.cold)  # a folder that answers with an error
    async with workshop.working(parts=parts, names=ONLY):
        erasure = await order_erasure(workshop, job)
        async with asyncio.timeout(60):
            while [path for path in keys.rglob("*") if path.is_file()]:  # noqa: ASYNC110 - files
                await asyncio.sleep(0.1)
        place.cold.unlink()
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    assert [path for path in (place.hot / str(owner.tenant_id)).rglob("*") if path.is_file()] == []


async def test_an_erasure_tells_what_an_unmounted_cold_store_keeps_until_the_sweep_takes_it(
    place: ColdPlace, owner: TenantIds, tmp_path: Path
) -> None:
    workshop = place.workshop
    job, blob_id = await stored(place, owner)
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    away = tmp_path / "elsewhere"
    place.cold.rename(away)
    place.cold.mkdir()  # the mount point
    parts = type(workshop.parts)(
        workshop.settings, workshop.database, workshop.stores, workshop.parts._resources
    )
    async with workshop.working(parts=parts, names=ONLY):
        erasure = await order_erasure(workshop, job)
        handle = workshop.client.get_workflow_handle(
            erasure.workflow_id, result_type=EraseFileResult
        )
        assert (await handle.result()).ciphertexts_left == 1
    [told] = await rows(workshop, owner, "audit_event WHERE action = 'file.erase'")
    statement = ErasureStatement.model_validate(told["payload"])
    assert statement.job_id == erasure.id
    left = {each.what: each.count for each in statement.lives_on}
    assert left[Survivor.CIPHERTEXTS] == 1
    place.cold.rmdir()
    away.rename(place.cold)
    assert place.where(owner, blob_id) == ["cold"]
    with pytest.raises(KeyDestroyed):
        await place.content(owner, blob_id, len(CONTENT))
    sweep = Sweep(workshop.database, workshop.stores.blobs, timedelta(0), timedelta(0))
    await sweep.round()
    assert place.where(owner, blob_id) == []

"""Content on its way into an archive, and out of it, when the store fails, a process ends or somebody erases
it in the moment: the copy that can be read stays until the other is safe, and nothing comes back."""

import os
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from activities.integrity.examine import Examiner
from activities.pace import Pace
from db.models import Job
from db.queries.integrity import DueBlob
from db.session import Access
from muniment.contracts.move_tier import Tier
from muniment.contracts.verify_integrity import FaultKind
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import BlobTiers, Retrieval
from muniment.objects.blobs import object_key
from tests.conformance.object_store import content_of, in_chunks
from tests.workflows.cold_store import ColdPlace
from tests.workflows.test_archived_content import CONTENT, DAY, archived, place, server
from tests.workflows.test_tiers_in_trouble import batch
from tests.workflows.test_verify_integrity import blob_of, faults, looking, rows, verify
from tests.workflows.workshop import TenantIds

__all__ = ["place", "server"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

Step = Callable[[], Awaitable[None]]


class Disturbed(BlobTiers):
    """Tiers of that place; something happens before or after each of these steps."""

    def __init__(
        self,
        place: ColdPlace,
        *,
        before_archive: Step | None = None,
        after_archive: Step | None = None,
        before_retrieve: Step | None = None,
        before_is_in: Step | None = None,
    ) -> None:
        real = place.tiers
        super().__init__(real._stores[Tier.HOT], real._stores[Tier.COLD], real._marks, real._opened)
        self._before_archive, self._after_archive = before_archive, after_archive
        self._before_retrieve, self._before_is_in = before_retrieve, before_is_in

    async def archive(self, tenant_id: UUID, blob_id: UUID) -> None:
        await _happens(self._before_archive)
        await super().archive(tenant_id, blob_id)
        await _happens(self._after_archive)

    async def retrieve(self, tenant_id: UUID, blob_id: UUID) -> None:
        await _happens(self._before_retrieve)
        await super().retrieve(tenant_id, blob_id)

    async def is_in(self, tenant_id: UUID, blob_id: UUID, size: int, tier: Tier) -> bool:
        await _happens(self._before_is_in)
        return await super().is_in(tenant_id, blob_id, size, tier)


async def _happens(step: Step | None) -> None:
    if step is not None:
        await step()


async def fails() -> None:
    raise ObjectStoreUnavailable("the process ended here, or the store did not answer")


async def copied(place: ColdPlace, owner: TenantIds) -> tuple[Job, UUID]:
    """Content with a copy in the cold store, which is compared and archived next."""
    job = await place.workshop.upload(owner, CONTENT, f"{os.urandom(4).hex()}.txt")
    await place.request(owner, job.file_id, Tier.COLD)
    await batch(place, owner, grace=DAY)
    return job, await blob_of(place.workshop, job)


async def in_archive(place: ColdPlace, owner: TenantIds, blob_id: UUID) -> Retrieval:
    key = object_key(owner.tenant_id, blob_id)
    return (await place.tiers._stores[Tier.COLD].stat(key)).retrieval


@pytest.mark.parametrize("when", ["before_archive", "after_archive"])
async def test_the_former_copy_stays_until_the_other_is_archived_whatever_ends_in_between(
    place: ColdPlace, owner: TenantIds, when: str
) -> None:
    _, blob_id = await copied(place, owner)
    await batch(place, owner, tiers=Disturbed(place, **{when: fails}))
    assert place.path(owner, blob_id, Tier.HOT).exists()
    assert len(await rows(place.workshop, owner, "tier_move")) == 1
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    await batch(place, owner)
    assert await in_archive(place, owner, blob_id) is not Retrieval.READABLE
    assert not place.path(owner, blob_id, Tier.HOT).exists()
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_what_is_turned_around_once_it_is_archived_needs_no_retrieval(
    place: ColdPlace, owner: TenantIds
) -> None:
    job, blob_id = await copied(place, owner)
    await batch(place, owner, tiers=Disturbed(place, after_archive=fails))
    await place.request(owner, job.file_id, Tier.HOT)
    unasked = Disturbed(place, before_retrieve=fails)
    await batch(place, owner, tiers=unasked)
    assert await place.tier_of(owner, blob_id) == "hot"
    await batch(place, owner, tiers=unasked)
    assert not await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), Tier.COLD)
    assert await rows(place.workshop, owner, "tier_move") == []
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT


async def test_what_is_erased_while_it_is_archived_does_not_come_back(
    place: ColdPlace, owner: TenantIds
) -> None:
    _, blob_id = await copied(place, owner)
    cold = place.tiers._stores[Tier.COLD]
    key = object_key(owner.tenant_id, blob_id)

    async def erased() -> None:
        """The copying within the store ends after the erasure has deleted what was copied."""
        sealed = await content_of(cold, key)
        async with place.workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(
                text("UPDATE blob SET destroyed_at = now(), dedup_tag = NULL WHERE id = :id"),
                {"id": blob_id},
            )
        await place.workshop.stores.blobs.destroy(owner.tenant_id, blob_id)
        await cold.put(key, in_chunks(sealed))

    await batch(place, owner, tiers=Disturbed(place, before_archive=erased))
    for tier in Tier:
        assert not await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), tier)
    assert await rows(place.workshop, owner, "tier_move") == []


async def test_what_is_gone_when_it_is_asked_for_holds_up_no_other(
    place: ColdPlace, owner: TenantIds
) -> None:
    jobs = [await archived(place, owner, os.urandom(5_000)) for _ in range(2)]
    first, second = sorted([await blob_of(place.workshop, job) for job in jobs])
    for job in jobs:
        await place.request(owner, job.file_id, Tier.HOT)

    async def gone() -> None:
        await place.tiers.delete(owner.tenant_id, first, Tier.COLD)

    await batch(place, owner, tiers=Disturbed(place, before_retrieve=gone))
    assert await in_archive(place, owner, second) is Retrieval.IN_PROGRESS


async def test_verification_misses_the_key_of_what_is_archived(
    place: ColdPlace, owner: TenantIds
) -> None:
    job = await archived(place, owner)
    workshop = place.workshop
    blob_id = await blob_of(workshop, job)
    await workshop.stores.blobs.destroy_key(owner.tenant_id, blob_id)
    async with workshop.working(replacing=looking(workshop)):
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {blob_id: "key-missing"}


async def test_what_is_archived_and_vanishes_in_the_moment_is_missing_and_not_broken(
    place: ColdPlace, owner: TenantIds
) -> None:
    job = await archived(place, owner)
    blob_id = await blob_of(place.workshop, job)
    [row] = await rows(place.workshop, owner, f"blob WHERE id = '{blob_id}'")
    blob = DueBlob(blob_id, len(CONTENT), row["sha256"], "cold", had_fault=False)
    away = [fails]

    async def away_once() -> None:
        if away:
            await away.pop()()

    async def gone() -> None:
        await place.tiers.delete(owner.tenant_id, blob_id, Tier.COLD)

    async def found(tiers: BlobTiers) -> FaultKind | None:
        examiner = Examiner(place.workshop.stores.blobs, Pace(1 << 40), tiers)
        return await examiner.examine(owner.tenant_id, blob)

    assert await found(Disturbed(place, before_is_in=away_once)) is None
    assert await found(Disturbed(place, before_is_in=gone)) is FaultKind.OBJECT_MISSING

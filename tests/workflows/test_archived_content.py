"""Content in a cold store that is an archive: nobody reads it before it was retrieved, and who needs it
waits."""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from db.models import Job
from muniment.contracts.move_tier import Tier
from muniment.errors import ContentInRetrieval
from muniment.objects import Retrieval, S3ObjectStore
from muniment.objects.blobs import object_key
from muniment.settings import ColdStoreSettings
from tests.conformance.archiving_server import AN_HOUR, ArchivingServer, serving_archive
from tests.workflows.cold_store import ColdPlace, with_cold_store
from tests.workflows.documents import TEXT
from tests.workflows.test_verify_integrity import blob_of, faults, looking, rows, verify
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop
from worker.parts import Parts
from worker.queues import services

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTENT = os.urandom(100_000)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchivingServer]:
    with serving_archive(tmp_path_factory.mktemp("archive")) as server:
        yield server


@pytest.fixture
def place(workshop: Workshop, server: ArchivingServer) -> ColdPlace:
    """Its `cold` is no folder: what lies there is asked of the store, which takes an hour to bring it."""
    server.retrieve_within(AN_HOUR)
    settings = ColdStoreSettings(
        backend="s3",
        endpoint=server.endpoint,
        bucket=server.new_bucket().name,
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
        secure=False,
        storage_class="DEEP_ARCHIVE",
    )
    return with_cold_store(workshop, settings, Path("/nowhere"))


async def archived(place: ColdPlace, owner: TenantIds, content: bytes = CONTENT) -> Job:
    """A file whose content lies in the archive alone."""
    job = await place.workshop.upload(owner, content, f"{os.urandom(4).hex()}.txt")
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, grace=DAY)
    blob_id = await blob_of(place.workshop, job)
    assert await place.content(owner, blob_id, len(content)) == content
    await place.run(owner)
    assert await rows(place.workshop, owner, "tier_move") == []
    assert not place.path(owner, blob_id, Tier.HOT).exists()
    return job


async def state(place: ColdPlace, owner: TenantIds, job: Job) -> Retrieval:
    blob_id = await blob_of(place.workshop, job)
    return await place.workshop.stores.blobs.retrieval(owner.tenant_id, blob_id)


async def test_content_is_archived_when_it_was_compared_and_comes_back_when_it_was_retrieved(
    place: ColdPlace, server: ArchivingServer, owner: TenantIds
) -> None:
    job = await archived(place, owner)
    blob_id = await blob_of(place.workshop, job)
    assert await state(place, owner, job) is Retrieval.ARCHIVED
    await place.request(owner, job.file_id, Tier.COLD)
    await place.run(owner, times=2)
    assert await state(place, owner, job) is Retrieval.ARCHIVED, "it lies where it is to lie"
    await place.request(owner, job.file_id, Tier.HOT)
    await place.run(owner)
    assert await state(place, owner, job) is Retrieval.IN_PROGRESS
    assert len(await rows(place.workshop, owner, "tier_move")) == 1, "it waits for a later run"
    server.retrieve_within(0)
    await place.run(owner, times=2)
    assert await place.tier_of(owner, blob_id) == "hot"
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    assert await rows(place.workshop, owner, "tier_move") == []
    assert not await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), Tier.COLD)


async def test_what_came_back_is_not_asked_for_again_before_the_archived_copy_is_deleted(
    place: ColdPlace, server: ArchivingServer, owner: TenantIds
) -> None:
    job = await archived(place, owner)
    blob_id = await blob_of(place.workshop, job)
    sealed = place.path(owner, blob_id, Tier.HOT)
    await place.request(owner, job.file_id, Tier.HOT)
    await place.run(owner)
    assert await state(place, owner, job) is Retrieval.IN_PROGRESS
    server.retrieve_within(0)
    await place.run(owner, grace=DAY)
    kept = sealed.read_bytes()
    await again_in_archive(place, owner, job)
    sealed.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
    await place.run(owner)
    assert await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), Tier.COLD), (
        "the only sound one"
    )
    sealed.write_bytes(kept)
    await place.run(owner, times=3)
    assert not await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), Tier.COLD)
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT


async def again_in_archive(place: ColdPlace, owner: TenantIds, job: Job) -> None:
    """As when the days are over for which a retrieved object can be read."""
    store = place.tiers._stores[Tier.COLD]
    assert isinstance(store, S3ObjectStore)
    blob_id = await blob_of(place.workshop, job)
    key = object_key(owner.tenant_id, blob_id)
    await store._copy_in_place(key, (await store.stat(key)).size_bytes)
    assert (await store.stat(key)).retrieval is Retrieval.ARCHIVED


async def test_verification_finds_it_whole_and_brings_nothing_out_of_the_archive(
    place: ColdPlace, owner: TenantIds
) -> None:
    job = await archived(place, owner)
    workshop = place.workshop
    async with workshop.working(replacing=looking(workshop)):
        run = await verify(workshop, owner)
    assert run["state"] == "completed"
    assert await faults(workshop, owner) == {}
    assert await state(place, owner, job) is Retrieval.ARCHIVED
    blob_id = await blob_of(workshop, job)
    await place.tiers.delete(owner.tenant_id, blob_id, Tier.COLD)
    async with workshop.working(replacing=looking(workshop)):
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {blob_id: "object-missing"}


@pytest.mark.slow  # engines of its own
async def test_a_job_that_needs_it_waits_and_goes_on_by_itself(
    place: ColdPlace, server: ArchivingServer, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.retrieve_within(1)
    monkeypatch.setattr(ContentInRetrieval, "retry_after_seconds", 1.0)
    job = await archived(place, owner, TEXT + os.urandom(4).hex().encode())
    workshop = place.workshop
    async with AsyncExitStack() as resources:
        parts = Parts(workshop.settings, workshop.database, workshop.stores, resources)
        services(ALL_QUEUES, parts, workshop.settings.worker, 2)
        await parts.start()
        async with workshop.working(parts=parts):
            await (await workshop.start(job)).result()
    assert (await workshop.job(job)).state == "completed"
    retries = [each.payload for each in await workshop.events(job) if each.event == "retry"]
    assert {each["reason"] for each in retries} == {"content-in-retrieval"}
    assert await state(place, owner, job) is Retrieval.RETRIEVED


async def test_what_is_erased_is_gone_from_the_archive(place: ColdPlace, owner: TenantIds) -> None:
    job = await archived(place, owner)
    blob_id = await blob_of(place.workshop, job)
    await place.workshop.stores.blobs.destroy(owner.tenant_id, blob_id)
    assert not await place.tiers.is_in(owner.tenant_id, blob_id, len(CONTENT), Tier.COLD)

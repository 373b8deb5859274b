"""Lines that break and stores that are away are no damage; and what is over is forgotten in the end."""

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from db.session import Access
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import BlobStore
from muniment.objects.blobs import OPENED_BYTES
from tests.workflows.test_verify_integrity import (
    MEBIBYTE,
    ONLY,
    faults,
    flip,
    looking,
    rows,
    store,
    verify,
)
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Breaking(BlobStore):
    """Breaks off after so many pieces of every reading."""

    def __init__(self, workshop: Workshop, pieces: int) -> None:
        real = workshop.stores.blobs
        super().__init__(real._objects, real._keys, real._wrapped_keys)
        self._pieces = pieces
        self.readings: list[int] = []

    async def reread(
        self, tenant_id: UUID, blob_id: UUID, size: int, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        self.readings.append(offset)
        handed_out = 0
        async for piece in super().reread(tenant_id, blob_id, size, offset):
            if handed_out == self._pieces:
                raise ObjectStoreUnavailable("the line broke")
            yield piece
            handed_out += 1


async def test_an_object_that_is_broken_off_again_and_again_is_read_on_where_it_was(
    workshop: Workshop, owner: TenantIds
) -> None:
    [(_, blob_id)] = await store(workshop, owner, 1, size=5 * MEBIBYTE)
    blobs = Breaking(workshop, pieces=1)
    async with workshop.working(replacing=looking(workshop, blobs=blobs), names=ONLY):
        assert (await verify(workshop, owner))["faults_found"] == 0
        assert blobs.readings == list(range(0, 5 * MEBIBYTE, OPENED_BYTES))
        flip(_path(workshop, owner, blob_id), 3 * MEBIBYTE)
        await verify(workshop, owner)
        assert await faults(workshop, owner) == {blob_id: "seal-broken"}
        blobs._pieces = 0
        await verify(workshop, owner)
    assert await faults(workshop, owner) == {blob_id: "unreadable"}, "twice at the same place"


@pytest.mark.parametrize("lost", ["objects", "keys"])
async def test_a_store_that_is_away_is_told_once_and_is_nobodys_fault(
    workshop: Workshop, owner: TenantIds, lost: str
) -> None:
    known = (await store(workshop, owner, 8))[0][1]
    root = {
        "objects": workshop.settings.objects.root,
        "keys": workshop.settings.keys.root / "wrapped",
    }[lost] / str(owner.tenant_id)
    kept = root / known.hex[-2:] / str(known)
    kept.rename(root.parent / "kept")
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        run = await verify(workshop, owner)
        assert (run["is_store_away"], run["faults_found"]) == (False, 1)
        root.rename(root.parent / "elsewhere")
        run = await verify(workshop, owner)
        assert (run["state"], run["is_store_away"], run["blobs"]) == ("completed", True, 0)
        assert list(await faults(workshop, owner)) == [known]
        (root.parent / "elsewhere").rename(root)
        run = await verify(workshop, owner)
        assert (run["is_store_away"], run["blobs"]) == (False, 8)
    assert list(await faults(workshop, owner)) == [known], "the others were there"
    audited = await rows(workshop, owner, "audit_event WHERE action = 'integrity.store_away'")
    assert len(audited) == 1


async def test_what_is_over_is_told_for_so_many_days(workshop: Workshop, owner: TenantIds) -> None:
    [(_, mended), (_, damaged)] = await store(workshop, owner, 2)
    for blob_id in (mended, damaged):
        flip(_path(workshop, owner, blob_id), 100)
    async with workshop.working(replacing=looking(workshop), names=ONLY):
        await verify(workshop, owner)
        flip(_path(workshop, owner, mended), 100)
        await verify(workshop, owner)
        for days in (29, 2):
            await _age(workshop, owner, days)
            await verify(workshop, owner)
    assert len(await rows(workshop, owner, "integrity_run")) == 2
    left = await rows(workshop, owner, "integrity_fault")
    assert [row["blob_id"] for row in left] == [damaged], "an open one stays"


async def _age(workshop: Workshop, owner: TenantIds, days: int) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        for column in (
            "integrity_run SET finished_at = finished_at",
            "integrity_fault SET closed_at = closed_at",
        ):
            await session.execute(
                text(f"UPDATE {column} - make_interval(days => :days)"),
                {"days": days},
            )


def _path(workshop: Workshop, owner: TenantIds, blob_id: UUID) -> Path:
    root = workshop.settings.objects.root / str(owner.tenant_id)
    return root / blob_id.hex[-2:] / str(blob_id)

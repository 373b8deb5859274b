"""The sweep: what a killed process left without a row goes, and nothing else."""

import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from db.models import Blob, new_id
from db.session import Database
from muniment.errors import KeyDestroyed
from muniment.objects import BlobStore, FilesystemObjectStore, SealedBlob
from muniment.sealing import KeyFile
from tests.conftest import TenantFixture
from worker import sweep
from worker.sweep import Sweep

DAY = timedelta(hours=24)


class Stored:
    """Sealed content below a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = BlobStore(
            FilesystemObjectStore(folder / "objects"),
            KeyFile(folder / "keys" / "tenants.json"),
            FilesystemObjectStore(folder / "wrapped"),
        )

    async def put(self, tenant_id: UUID) -> SealedBlob:
        return await self.blobs.put_bytes(tenant_id, b"left behind")

    def files(self) -> list[Path]:
        roots = (self.folder / "objects", self.folder / "wrapped")
        return [path for root in roots for path in root.rglob("*") if path.is_file()]

    def age(self, by: timedelta = 2 * DAY) -> None:
        """Makes all that is stored so much older."""
        for path in self.files():
            moment = path.stat().st_mtime - by.total_seconds()
            os.utime(path, (moment, moment))


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path)


async def _commit(
    database: Database, tenant: TenantFixture, sealed: SealedBlob, *, destroyed: bool = False
) -> None:
    async with database.transaction(tenant.system) as session:
        blob = Blob(
            id=sealed.blob_id,
            tenant_id=tenant.tenant_id,
            kind="content",
            size=sealed.size,
            sha256=sealed.sha256,
        )
        blob.destroyed_at = blob.created_at if destroyed else None
        session.add(blob)


async def test_old_content_without_a_row_is_destroyed_and_all_else_is_kept(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, stored: Stored
) -> None:
    orphan = await stored.put(tenant.tenant_id)
    named = await stored.put(tenant.tenant_id)
    destroyed = await stored.put(tenant.tenant_id)
    others = await stored.put(other_tenant.tenant_id)
    await _commit(database, tenant, named)
    # Its erasure is over, and something brought it back.
    await _commit(database, tenant, destroyed, destroyed=True)
    await _commit(database, other_tenant, others)
    stored.age()
    uploading = await stored.put(tenant.tenant_id)
    sweeping = Sweep(database, stored.blobs, DAY, min_age=DAY)
    assert await sweeping.round() == 2
    assert await sweeping.round() == 0
    for gone in (orphan, destroyed):
        with pytest.raises(KeyDestroyed):
            await stored.blobs.read_all(tenant.tenant_id, gone.blob_id)
    for blob in (named, uploading):
        assert await stored.blobs.read_all(tenant.tenant_id, blob.blob_id) == b"left behind"
    assert await stored.blobs.read_all(other_tenant.tenant_id, others.blob_id) == b"left behind"


async def test_the_halves_of_a_blob_are_found_in_either_store(
    database: Database, tenant: TenantFixture, stored: Stored
) -> None:
    await stored.put(tenant.tenant_id)
    await stored.put(tenant.tenant_id)
    next((stored.folder / "objects").rglob("*-*-*-*-*/*/*")).unlink()
    next((stored.folder / "wrapped").rglob("*-*-*-*-*/*/*")).unlink()
    stored.age()
    await Sweep(database, stored.blobs, DAY, min_age=DAY).round()
    assert stored.files() == []


async def test_unfinished_uploads_of_dead_processes_go_too(
    database: Database, stored: Stored
) -> None:
    unfinished = stored.folder / "objects" / ".uploads" / "half"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"sealed so far")
    stored.age()
    await Sweep(database, stored.blobs, DAY, min_age=DAY).round()
    assert not unfinished.exists()


async def test_content_of_a_tenant_that_the_database_lacks_is_left_alone(
    database: Database, stored: Stored
) -> None:
    stranger = new_id()
    blob = await stored.put(stranger)
    foreign = stored.folder / "objects" / "notes" / "of-another-program"
    foreign.parent.mkdir()
    foreign.write_bytes(b"not ours")
    stored.age()
    assert await Sweep(database, stored.blobs, DAY, min_age=DAY).round() == 0
    assert await stored.blobs.read_all(stranger, blob.blob_id) == b"left behind"
    assert foreign.exists()


async def test_a_round_destroys_no_more_than_its_bound(
    database: Database,
    tenant: TenantFixture,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "MAX_DESTROYED", 2)
    for _ in range(3):
        await stored.put(tenant.tenant_id)
    stored.age()
    sweeping = Sweep(database, stored.blobs, DAY, min_age=DAY)
    assert await sweeping.round() == 2
    assert await sweeping.round() == 1
    assert stored.files() == []

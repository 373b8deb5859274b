"""A tenant's key is rotated: nothing is lost on the way, whatever dies, and the old key opens nothing
afterwards."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.key_rotation.activity import KeyRotations, _Renewals
from db.models import new_id
from db.queries.key_rotations import open_rotation
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.rotate_keys import RotateKeysInput, workflow_id
from muniment.errors import SealBroken
from muniment.objects import BlobStore
from muniment.sealing import KeyManagement, key_file
from muniment.settings import KeySettings
from muniment.stores import open_stores
from tests.conformance.key_services import VAULT_TOKEN, serving_vault
from tests.conftest import make_tenant
from tests.patience import on_a_busy_machine
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_verify_integrity import blob_of
from tests.workflows.workshop import TenantIds, Workshop
from workflows.starting import start_key_rotation

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS,)
AT_ONCE = timedelta()


def rotating(
    workshop: Workshop,
    wait: timedelta = AT_ONCE,
    blobs: BlobStore | None = None,
    keys: KeyManagement | None = None,
) -> list[Callable[..., Any]]:
    """The activities, with that pause between the rounds."""
    stores = workshop.stores
    parts = KeyRotations(workshop.database, blobs or stores.blobs, keys or stores.keys, wait)
    return [
        parts.begin_key_rotation,
        parts.rewrap_keys,
        parts.finish_key_rotation,
        parts.end_key_rotation,
    ]


async def rotation(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """The tenant's open rotation, or a new one, started."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await open_rotation(session, owner.tenant_id, new_id())
    request = RotateKeysInput(tenant_id=owner.tenant_id, rotation_id=row.id)
    await start_key_rotation(workshop.client, request)
    return workshop.client.get_workflow_handle(workflow_id(row.id))


async def newest(workshop: Workshop, owner: TenantIds) -> dict[str, Any]:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.execute(
            text("SELECT * FROM key_rotation ORDER BY created_at DESC, id DESC LIMIT 1")
        )
        return dict(found.mappings().one())


async def rotate(workshop: Workshop, owner: TenantIds) -> dict[str, Any]:
    """The rotation's row, after it."""
    await (await rotation(workshop, owner)).result()
    return await newest(workshop, owner)


def wrapped(workshop: Workshop, owner: TenantIds) -> dict[str, bytes]:
    """The tenant's wrapped keys, by their files' names."""
    folder = workshop.settings.keys.root / "wrapped" / str(owner.tenant_id)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ciphertexts(workshop: Workshop, owner: TenantIds) -> dict[Path, tuple[int, int]]:
    """Each with its inode and time of change."""
    folder = workshop.settings.objects.root / str(owner.tenant_id)
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


async def store(workshop: Workshop, owner: TenantIds, count: int) -> dict[UUID, bytes]:
    """Contents by blob."""
    made = {}
    for number in range(count):
        content = b"content %d " % number * 100
        job = await workshop.upload(owner, content, f"{number}.txt")
        made[await blob_of(workshop, job)] = content
    return made


async def read(workshop: Workshop, owner: TenantIds, blob_id: UUID) -> bytes:
    """Out of what lies in the stores, with nothing remembered."""
    size = len(await workshop.stores.blobs.read_all(owner.tenant_id, blob_id))
    pieces = workshop.stores.blobs.reread(owner.tenant_id, blob_id, size)
    return b"".join([piece async for piece in pieces])


class Watched(BlobStore):
    """Waits before it replaces its n-th key, if it is told to."""

    def __init__(self, workshop: Workshop, waits_at: int = 1 << 30) -> None:
        real = workshop.stores.blobs
        super().__init__(real._objects, real._keys, real._wrapped_keys)
        self.waits_at = waits_at
        self.kept: list[UUID] = []
        self.waiting, self.go_on = asyncio.Event(), asyncio.Event()

    async def wrapped_keys(
        self, tenant_id: UUID, shard: int
    ) -> AsyncGenerator[tuple[UUID, ...], None]:
        async for page in super().wrapped_keys(tenant_id, shard):
            if len(self.kept) >= self.waits_at:
                self.waiting.set()
                await self.go_on.wait()
            yield page

    async def keep_renewed_key(self, tenant_id: UUID, blob_id: UUID, renewed: bytes) -> bool:
        self.kept.append(blob_id)
        return await super().keep_renewed_key(tenant_id, blob_id, renewed)


async def test_all_is_re_wrapped_and_no_blob_is_touched(
    workshop: Workshop, owner: TenantIds
) -> None:
    contents = await store(workshop, owner, 12)
    before, untouched = wrapped(workshop, owner), ciphertexts(workshop, owner)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        row = await rotate(workshop, owner)
    assert (row["state"], row["from_version"], row["to_version"]) == ("completed", 1, 2)
    assert (row["keys_rewrapped"], row["keys_looked_at"], row["keys_unreadable"]) == (12, 24, 0)
    assert ciphertexts(workshop, owner) == untouched
    after = wrapped(workshop, owner)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    for blob_id, content in contents.items():
        assert await read(workshop, owner, blob_id) == content
    blob_id = next(iter(contents))
    context = f"muniment/v1|{owner.tenant_id}|{blob_id}".encode()
    with pytest.raises(SealBroken):
        await workshop.stores.keys.unwrap(owner.tenant_id, before[str(blob_id)], context)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.execute(
            text("SELECT action FROM audit_event WHERE object_type = 'key_rotation'")
        )
        assert found.scalars().all() == ["keys.rotation_completed"]


async def test_a_rotation_waits_for_what_was_under_way(
    workshop: Workshop, owner: TenantIds
) -> None:
    contents = await store(workshop, owner, 2)
    tenant_id = owner.tenant_id
    async with workshop.working(replacing=rotating(workshop, timedelta(seconds=3)), names=ONLY):
        running = await rotation(workshop, owner)
        async with asyncio.timeout(on_a_busy_machine(60)):
            while (await newest(workshop, owner))["state"] != "waiting":  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.05)
        # A key that was wrapped by the old version is stored only now.
        late = next(iter(contents))
        path = workshop.settings.keys.root / "wrapped" / str(tenant_id)
        path = path / late.hex[-2:] / str(late)
        await _wrap_by_the_old_version(workshop, owner, late, path)
        row = await newest(workshop, owner)
        assert (row["state"], row["round"]) == ("waiting", 2)
        await running.result()
    row = await newest(workshop, owner)
    assert (row["state"], row["keys_rewrapped"]) == ("completed", 3)
    for blob_id, content in contents.items():
        assert await read(workshop, owner, blob_id) == content


async def _wrap_by_the_old_version(
    workshop: Workshop, owner: TenantIds, blob_id: UUID, path: Path
) -> None:
    """As an upload stores it that began before the rotation."""
    contents = key_file._parse((workshop.settings.keys.root / "tenants.json").read_bytes())
    keys = contents.tenants[owner.tenant_id]
    old = keys.with_wrapping_keys({1: keys.wrapping_keys[1]})
    context = f"muniment/v1|{owner.tenant_id}|{blob_id}".encode()
    data_key = key_file._unwrap(keys, owner.tenant_id, path.read_bytes(), context)
    path.write_bytes(key_file._wrap(old, owner.tenant_id, data_key, context))


@pytest.mark.parametrize("ending", ["worker stopped", "cancelled", "terminated"])
async def test_what_ends_in_the_middle_loses_nothing_and_goes_on_there(
    workshop: Workshop, owner: TenantIds, ending: str
) -> None:
    contents = await store(workshop, owner, 10)
    first, second = Watched(workshop, waits_at=4), Watched(workshop)
    async with workshop.working(replacing=rotating(workshop, blobs=first), names=ONLY):
        running = await rotation(workshop, owner)
        await first.waiting.wait()
        if ending == "cancelled":
            await running.cancel()
            with pytest.raises(WorkflowFailureError):
                await running.result()
        elif ending == "terminated":
            await running.terminate()
    for blob_id, content in contents.items():
        assert await read(workshop, owner, blob_id) == content
    async with workshop.working(replacing=rotating(workshop, blobs=second), names=ONLY):
        if ending == "worker stopped":
            await running.result()
        else:
            await (await rotation(workshop, owner)).result()
    row = await newest(workshop, owner)
    assert row["state"] == "completed"
    # One that was cancelled is over: the next one makes a version of its own.
    assert row["to_version"] == (3 if ending == "cancelled" else 2)
    if ending != "cancelled":
        assert len(first.kept) + len(second.kept) == 10
    for blob_id, content in contents.items():
        assert await read(workshop, owner, blob_id) == content


async def test_one_that_was_open_when_providers_were_not_yet_noted_goes_on(
    workshop: Workshop, owner: TenantIds
) -> None:
    await store(workshop, owner, 1)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        row = await open_rotation(session, owner.tenant_id, new_id())
        row.from_version = 1
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        ended = await rotate(workshop, owner)
    assert (ended["id"], ended["state"], ended["provider"]) == (row.id, "completed", "file")


async def test_a_key_that_does_not_unwrap_keeps_the_old_version_alive(
    workshop: Workshop, owner: TenantIds
) -> None:
    contents = await store(workshop, owner, 3)
    broken, *sound = contents
    folder = workshop.settings.keys.root / "wrapped" / str(owner.tenant_id)
    path = folder / broken.hex[-2:] / str(broken)
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        row = await rotate(workshop, owner)
        assert (row["state"], row["keys_unreadable"]) == ("failed", 1)
        path.write_bytes(kept)
        assert await read(workshop, owner, broken) == contents[broken]
        row = await rotate(workshop, owner)
    assert (row["state"], row["to_version"]) == ("completed", 3)
    for blob_id in (broken, *sound):
        assert await read(workshop, owner, blob_id) == contents[blob_id]


async def test_what_is_erased_meanwhile_is_not_brought_back(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    job = await workshop.upload(owner, b"to be erased", "a.txt")
    blob_id = await blob_of(workshop, job)

    class Late(Watched):
        """Has the key renewed, and the file erased before it is kept."""

        async def renewed_key(self, tenant_id: UUID, blob_id: UUID) -> bytes | None:
            renewed = await super().renewed_key(tenant_id, blob_id)
            if renewed is not None and not self.waiting.is_set():
                self.waiting.set()
                await self.go_on.wait()
            return renewed

        async def keep_renewed_key(self, tenant_id: UUID, blob_id: UUID, renewed: bytes) -> bool:
            raise AssertionError("what the database knows to be destroyed is not kept")

    blobs = Late(workshop)
    async with workshop.working(replacing=rotating(workshop, blobs=blobs), names=ONLY):
        running = await rotation(workshop, owner)
        await blobs.waiting.wait()
        erasure = await order_erasure(workshop, job)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
        assert str(blob_id) not in wrapped(workshop, owner)
        blobs.go_on.set()
        await running.result()
    assert str(blob_id) not in wrapped(workshop, owner)
    assert (await newest(workshop, owner))["state"] == "completed"


class Overtaken(Watched):
    """Puts a renewed key where a destruction has just taken the former one away: the two came in the
    same moment, and the one that looked first wrote last."""

    def __init__(self, workshop: Workshop, destroy: Callable[[], Awaitable[None]]) -> None:
        super().__init__(workshop)
        self._destroy_it = destroy

    async def keep_renewed_key(self, tenant_id: UUID, blob_id: UUID, renewed: bytes) -> bool:
        await self._destroy_it()
        self.kept.append(blob_id)
        key = f"{tenant_id}/{blob_id.hex[-2:]}/{blob_id}"
        await self._wrapped_keys.put(key, _once(renewed))
        return True


async def test_a_part_that_is_destroyed_while_its_key_is_replaced_stays_destroyed(
    workshop: Workshop, owner: TenantIds
) -> None:
    real = workshop.stores.blobs
    part = await real.put_bytes(owner.tenant_id, b"a part has no row among the blobs")
    blobs = Overtaken(workshop, lambda: real.destroy(owner.tenant_id, part.blob_id))
    async with workshop.working(replacing=rotating(workshop, blobs=blobs), names=ONLY):
        assert (await rotate(workshop, owner))["state"] == "completed"
    assert blobs.kept == [part.blob_id]
    assert wrapped(workshop, owner) == {}


class KilledOnce(KeyRotations):
    """Is gone after it has replaced keys and before it looks again, as a kill -9 has it."""

    killed = False

    async def _destroy_again(
        self, tenant_id: UUID, blob_ids: Sequence[UUID], renewals: _Renewals
    ) -> None:
        if renewals.replaced and not self.killed:
            self.killed = True
            raise RuntimeError("killed")
        await super()._destroy_again(tenant_id, blob_ids, renewals)


async def test_who_goes_on_after_a_kill_looks_at_the_parts_that_were_at_work(
    workshop: Workshop, owner: TenantIds
) -> None:
    real, keys = workshop.stores.blobs, workshop.stores.keys
    part = await real.put_bytes(owner.tenant_id, b"a part has no row among the blobs")
    living = await real.put_bytes(owner.tenant_id, b"another that nobody destroys")
    blobs = Overtaken(workshop, lambda: real.destroy(owner.tenant_id, part.blob_id))
    parts = KilledOnce(workshop.database, blobs, keys, AT_ONCE)
    replacing = [
        parts.begin_key_rotation,
        parts.rewrap_keys,
        parts.finish_key_rotation,
        parts.end_key_rotation,
    ]
    async with workshop.working(replacing=replacing, names=ONLY):
        assert (await rotate(workshop, owner))["state"] == "completed"
    assert parts.killed
    assert set(wrapped(workshop, owner)) == {str(living.blob_id)}
    assert await read(workshop, owner, living.blob_id) == b"another that nobody destroys"


async def test_an_erasure_that_came_when_the_lock_was_lost_is_not_undone(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    job = await workshop.upload(owner, b"to be erased", "a.txt")

    async def lose_the_lock_and_erase() -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND query LIKE '%FROM blob%'"
            )
            assert ended.rowcount == 1
        erasure = await order_erasure(workshop, job)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()

    blobs = Overtaken(workshop, lose_the_lock_and_erase)
    async with workshop.working(replacing=rotating(workshop, blobs=blobs), names=ONLY):
        assert (await rotate(workshop, owner))["state"] == "completed"
    assert len(blobs.kept) == 1
    assert wrapped(workshop, owner) == {}


async def test_a_blob_that_is_still_being_made_is_left_to_its_maker(
    workshop: Workshop, owner: TenantIds
) -> None:
    """Its key lies there before its ciphertext does, as `put_bytes` may have it."""
    real = workshop.stores.blobs
    made = await real.put_bytes(owner.tenant_id, b"on its way")
    key = f"{owner.tenant_id}/{made.blob_id.hex[-2:]}/{made.blob_id}"
    await real._objects.delete(key)
    before = wrapped(workshop, owner)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        assert (await rotate(workshop, owner))["state"] == "completed"
    assert wrapped(workshop, owner) == before


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


async def test_a_tenant_without_content_is_rotated_too_and_no_other_is(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    stranger = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    contents = await store(workshop, stranger, 1)
    before = wrapped(workshop, stranger)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        assert (await rotate(workshop, owner))["state"] == "completed"
    assert wrapped(workshop, stranger) == before
    assert await workshop.stores.keys.newest_version(stranger.tenant_id) == 1
    for blob_id, content in contents.items():
        assert await read(workshop, stranger, blob_id) == content


async def test_keys_that_were_destroyed_end_a_rotation_as_failed(
    workshop: Workshop, owner: TenantIds
) -> None:
    await store(workshop, owner, 1)
    await workshop.stores.keys.destroy_tenant_key(owner.tenant_id)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        running = await rotation(workshop, owner)
        with pytest.raises(WorkflowFailureError):
            await running.result()
    assert (await newest(workshop, owner))["state"] == "failed"


async def test_a_long_rotation_continues_as_new(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.key_rotation.activity.BATCH_SECONDS", 0.05)
    monkeypatch.setattr("workflows.rotate_keys.REWRAP_BATCHES", 2)
    await store(workshop, owner, 5)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        row = await rotate(workshop, owner)
    assert (row["state"], row["keys_rewrapped"], row["to_version"]) == ("completed", 5, 2)


async def test_a_rotated_installation_moves_with_its_folders(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    """What a backup of the keys after the rotation holds opens everything."""
    contents = await store(workshop, owner, 2)
    async with workshop.working(replacing=rotating(workshop), names=ONLY):
        await rotate(workshop, owner)
    shutil.copytree(workshop.settings.keys.root, tmp_path / "keys")
    moved = workshop.settings.model_copy(
        update={"keys": workshop.settings.keys.model_copy(update={"root": tmp_path / "keys"})}
    )
    stores = open_stores(moved)
    for blob_id, content in contents.items():
        assert await stores.blobs.read_all(owner.tenant_id, blob_id) == content


async def test_a_rotation_outlasts_an_outage_of_vault(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    with serving_vault(tmp_path) as vault:
        elsewhere = KeySettings(
            root=tmp_path / "keys",
            provider="vault",
            address=vault.url,
            token=SecretStr(VAULT_TOKEN),
            timeout_seconds=0.5,
        )
        settings = workshop.settings.model_copy(update={"keys": elsewhere})
        stores = open_stores(settings)
        over_vault = replace(workshop, settings=settings, stores=stores)
        contents = await store(over_vault, owner, 5)
        before = wrapped(over_vault, owner)
        async with over_vault.working(replacing=rotating(over_vault), names=ONLY):
            with vault.hanging():
                running = await rotation(over_vault, owner)
                await asyncio.sleep(3)
                assert (await newest(over_vault, owner))["finished_at"] is None
            await running.result()
        row = await newest(over_vault, owner)
        assert (row["state"], row["to_version"], row["keys_rewrapped"]) == ("completed", 2, 5)
        fresh = replace(over_vault, stores=open_stores(settings))
        for blob_id, content in contents.items():
            assert before[str(blob_id)].startswith(b"vault:v1:")
            assert wrapped(over_vault, owner)[str(blob_id)].startswith(b"vault:v2:")
            assert await read(fresh, owner, blob_id) == content
        await stores.keys.close()
        await fresh.stores.keys.close()

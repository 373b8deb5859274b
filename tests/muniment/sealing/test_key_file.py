"""The key file: wraps, rotates, destroys, and is shared by processes."""

import asyncio
import json
import multiprocessing
import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from muniment.errors import ConfigurationError, KeyDestroyed, KeyManagementUnavailable, SealBroken
from muniment.sealing import KeyFile
from muniment.sealing.locked_file import when_locked

CONTEXT = b"muniment/v1|tenant|blob"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "tenants.json"


async def test_a_data_key_unwraps_to_itself_and_differs_each_time(path: Path) -> None:
    keys, tenant = KeyFile(path), uuid4()
    one = await keys.generate_data_key(tenant, CONTEXT)
    other = await keys.generate_data_key(tenant, CONTEXT)
    assert one.plaintext != other.plaintext
    assert one.plaintext not in one.wrapped
    assert await KeyFile(path).unwrap(tenant, one.wrapped, CONTEXT) == one.plaintext


async def test_another_context_tenant_or_a_change_does_not_unwrap(path: Path) -> None:
    keys, tenant, other_tenant = KeyFile(path), uuid4(), uuid4()
    wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
    await keys.generate_data_key(other_tenant, CONTEXT)
    with pytest.raises(SealBroken):
        await keys.unwrap(tenant, wrapped, b"another blob")
    with pytest.raises(SealBroken):
        await keys.unwrap(other_tenant, wrapped, CONTEXT)
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(SealBroken):
            await keys.unwrap(tenant, bytes(changed), CONTEXT)
    with pytest.raises(SealBroken):
        await keys.unwrap(tenant, wrapped[:-1], CONTEXT)


async def test_an_unknown_tenant_is_not_given_keys_by_unwrapping(path: Path) -> None:
    wrapped = (await KeyFile(path).generate_data_key(uuid4(), CONTEXT)).wrapped
    with pytest.raises(SealBroken, match="does not know"):
        await KeyFile(path).unwrap(uuid4(), wrapped, CONTEXT)


async def test_after_rotation_old_keys_unwrap_and_rewrapping_renews_them(path: Path) -> None:
    keys, tenant = KeyFile(path), uuid4()
    before = await keys.generate_data_key(tenant, CONTEXT)
    tag = await keys.dedup_tag(tenant, bytes(32))
    await keys.rotate_tenant_key(tenant)
    assert await keys.unwrap(tenant, before.wrapped, CONTEXT) == before.plaintext
    renewed = await keys.rewrap(tenant, before.wrapped, CONTEXT)
    assert renewed[1:5] == (2).to_bytes(4, "big")
    assert await keys.unwrap(tenant, renewed, CONTEXT) == before.plaintext
    assert await keys.dedup_tag(tenant, bytes(32)) == tag


async def test_a_destroyed_tenant_stays_destroyed_for_every_process(path: Path) -> None:
    keys, other_process, tenant, neighbour = KeyFile(path), KeyFile(path), uuid4(), uuid4()
    wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
    kept = await keys.generate_data_key(neighbour, CONTEXT)
    await other_process.unwrap(tenant, wrapped, CONTEXT)
    await keys.destroy_tenant_key(tenant)
    await keys.destroy_tenant_key(tenant)
    for user in (keys, other_process):
        with pytest.raises(KeyDestroyed):
            await user.unwrap(tenant, wrapped, CONTEXT)
        with pytest.raises(KeyDestroyed):
            await user.generate_data_key(tenant, CONTEXT)
        with pytest.raises(KeyDestroyed):
            await user.rotate_tenant_key(tenant)
        assert await user.unwrap(neighbour, kept.wrapped, CONTEXT) == kept.plaintext
    assert json.loads(path.read_text())["tenants"][str(tenant)]["wrapping_keys"] == {}


async def test_equal_content_has_equal_tags_within_a_tenant_only(path: Path) -> None:
    keys, tenant, other_tenant = KeyFile(path), uuid4(), uuid4()
    tag = await keys.dedup_tag(tenant, b"d" * 32)
    assert len(tag) == 32
    assert await KeyFile(path).dedup_tag(tenant, b"d" * 32) == tag
    assert await keys.dedup_tag(tenant, b"e" * 32) != tag
    assert await keys.dedup_tag(other_tenant, b"d" * 32) != tag


async def test_the_file_is_its_owners_alone(path: Path) -> None:
    keys, tenant = KeyFile(path), uuid4()
    await keys.generate_data_key(tenant, CONTEXT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="other users"):
        await KeyFile(path).generate_data_key(tenant, CONTEXT)


async def test_a_damaged_file_is_refused_without_showing_it(path: Path) -> None:
    await KeyFile(path).generate_data_key(uuid4(), CONTEXT)
    path.write_text(path.read_text().replace('"format"', '"secret-material"'))
    with pytest.raises(ConfigurationError) as refusal:
        await KeyFile(path).generate_data_key(uuid4(), CONTEXT)
    assert "secret-material" not in str(refusal.value)
    assert refusal.value.__cause__ is None


async def test_a_lock_that_is_not_given_up_ends_the_wait(path: Path) -> None:
    keys = KeyFile(path, lock_timeout_seconds=0.1)
    with (
        when_locked(path, timeout_seconds=1),
        pytest.raises(KeyManagementUnavailable, match="locked"),
    ):
        await keys.generate_data_key(uuid4(), CONTEXT)
    await keys.generate_data_key(uuid4(), CONTEXT)


def _tags_of(path: Path, tenants: list[UUID]) -> list[bytes]:
    async def tags() -> list[bytes]:
        keys = KeyFile(path)
        return [await keys.dedup_tag(tenant, bytes(32)) for tenant in tenants]

    return asyncio.run(tags())


def test_processes_that_start_together_agree_on_every_tenants_keys(path: Path) -> None:
    tenants = [uuid4() for _ in range(12)]
    orders = [tenants, tenants[::-1], tenants[6:] + tenants[:6]]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(_tags_of, [(path, order) for order in orders])
    by_process = [
        dict(zip(order, tags, strict=True)) for order, tags in zip(orders, results, strict=True)
    ]
    assert by_process[0] == by_process[1] == by_process[2]
    assert len(set(by_process[0].values())) == len(tenants)
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []

"""The key file: conformance, and what only a file can go wrong with."""

import asyncio
import json
import multiprocessing
import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from muniment.errors import ConfigurationError, KeyManagementUnavailable
from muniment.sealing import KeyFile, KeyManagement
from muniment.sealing.locked_file import when_locked
from tests.conformance.key_management import CONTEXT, KeyManagementConformance


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "tenants.json"


class TestKeyFile(KeyManagementConformance):
    @pytest.fixture
    def keys(self, path: Path) -> KeyManagement:
        return KeyFile(path)

    @pytest.fixture
    def elsewhere(self, path: Path) -> KeyManagement:
        return KeyFile(path)


async def test_what_is_retired_or_destroyed_is_in_the_file_no_more(path: Path) -> None:
    keys, tenant = KeyFile(path), uuid4()
    await keys.generate_data_key(tenant, CONTEXT)

    def versions() -> list[str]:
        return list(json.loads(path.read_text())["tenants"][str(tenant)]["wrapping_keys"])

    await keys.rotate_tenant_key(tenant, above=1)
    assert versions() == ["1", "2"]
    await keys.retire_versions(tenant, below=2)
    assert versions() == ["2"]
    await keys.destroy_tenant_key(tenant)
    assert versions() == []


async def test_what_a_killed_writer_left_beside_the_file_goes(path: Path) -> None:
    keys, tenant = KeyFile(path), uuid4()
    await keys.generate_data_key(tenant, CONTEXT)
    left = path.with_name(f".{path.name}.{uuid4().hex}")
    left.write_bytes(path.read_bytes())
    await keys.rotate_tenant_key(tenant, above=1)
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]


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

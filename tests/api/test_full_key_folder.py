"""A full disk under the folder of keys: 507 with a remedy, nothing half written, and on it goes."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from muniment.errors import KeyStorageFull
from muniment.sealing import KeyFile, TenantRecords
from muniment.sealing.tenant_records import TenantRecord
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.conftest import TenantFixture


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    with small_disk(tmp_path / "keys", 1) as disk:
        yield disk


@pytest.fixture
async def api(
    api_environment: dict[str, str], tmp_path: Path, keys: SmallDisk
) -> AsyncIterator[ApiProcess]:
    """Its folder of keys lies on the small disk."""
    environment = {**api_environment, "MUNIMENT_KEYS__ROOT": str(keys.root)}
    api = start_api(tmp_path / "home", environment)
    yield api
    assert stop_api(api) == 0


def files_of(disk: SmallDisk) -> dict[str, bytes]:
    """Locks aside, which hold nothing."""
    return {
        str(path.relative_to(disk.root)): path.read_bytes()
        for path in disk.root.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != ".filler"
    }


async def refused(client: httpx.AsyncClient, name: str) -> str:
    """The type of the problem that an upload is refused with."""
    answer = await client.post(f"/v1/files?name={name}", content=b"words")
    problem = answer.json()
    assert answer.status_code == 507, answer.text
    assert "Free space on the disk of the folder of keys" in problem["remedy"]
    assert int(answer.headers["Retry-After"]) > 0
    return str(problem["type"]).rpartition(":")[2]


async def test_an_upload_is_refused_where_its_key_has_no_room(
    api: ApiProcess, keys: SmallDisk, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    async with client_of(api, tenant.api_key) as client:
        assert (await client.post("/v1/files?name=a.txt", content=b"first")).status_code == 202
        objects = {path for path in api.objects.rglob("*") if path.is_file()}
        before = files_of(keys)
        keys.fill()
        async with client_of(api, other_tenant.api_key) as newcomer:
            assert await refused(newcomer, "b.txt") == "key-storage-full"
            assert await refused(client, "b.txt") == "key-storage-full"
            ready = (await client.get("/readyz")).json()
            (kept,) = [each for each in ready["dependencies"] if each["name"] == "objects"]
            assert "MUNIMENT_KEYS__ROOT" in kept["remedy"]
            assert files_of(keys) == before
            assert {path for path in api.objects.rglob("*") if path.is_file()} == objects
            content = await client.get("/v1/files?limit=1")
            file_id = content.json()["data"][0]["id"]
            assert (await client.get(f"/v1/files/{file_id}/content")).content == b"first"
            keys.free()
            for each in (client, newcomer):
                again = await each.post("/v1/files?name=b.txt", content=b"words")
                assert again.status_code == 202, again.text
                names = [file["name"] for file in (await each.get("/v1/files")).json()["data"]]
                assert names.count("b.txt") == 1


async def test_records_and_the_key_file_are_whole_or_as_they_were(
    keys: SmallDisk, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    file, records = KeyFile(keys.root / "tenants.json"), TenantRecords(keys.root / "records")
    made = TenantRecord(newest_version=1, dedup_key="wrapped")
    renewed = made.model_copy(update={"newest_version": 2})
    version = await file.newest_version(tenant.tenant_id)
    await records.change(tenant.tenant_id, lambda _: made)
    before = files_of(keys)
    keys.fill()
    for attempt in (
        file.rotate_tenant_key(tenant.tenant_id, version),
        file.newest_version(other_tenant.tenant_id),
        records.change(tenant.tenant_id, lambda _: renewed),
        records.change(other_tenant.tenant_id, lambda _: made),
    ):
        with pytest.raises(KeyStorageFull):
            await attempt
    assert files_of(keys) == before
    keys.free()
    assert await file.rotate_tenant_key(tenant.tenant_id, version) == version + 1
    assert (await records.change(tenant.tenant_id, lambda _: renewed)) == renewed

"""A tenant has so many jobs at work, and is asked to wait with more."""

from collections.abc import AsyncIterator, Iterator

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import create
from tests.conftest import TenantFixture


@pytest.fixture(scope="module")
def narrow(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """An API that takes two, of batches too."""
    two = {
        **api_environment,
        "MUNIMENT_API__MAX_OPEN_JOBS": "2",
        "MUNIMENT_API__MAX_OPEN_BATCHES": "2",
    }
    api = start_api(tmp_path_factory.mktemp("narrow"), two)
    yield api
    assert stop_api(api) == 0


@pytest.fixture
async def busy(narrow: ApiProcess, tenant: TenantFixture) -> AsyncIterator[httpx.AsyncClient]:
    """Of a tenant that has two."""
    async with client_of(narrow, tenant.api_key) as client:
        for name in ("a.txt", "b.txt"):
            assert (await upload(client, name)).status_code == 202
        yield client


async def upload(client: httpx.AsyncClient, name: str) -> httpx.Response:
    return await client.post("/v1/files", params={"name": name}, content=name.encode())


def end_jobs(postgres_dsn: str, tenant: TenantFixture) -> None:
    """As if they had ended by themselves."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )


def assert_told_to_wait(answer: httpx.Response, what: str = "jobs") -> None:
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert f"2 {what}" in answer.json()["detail"]


async def test_who_has_as_many_as_it_may_waits_at_every_door(
    busy: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    first = (await busy.get("/v1/files")).json()["data"][0]["id"]
    assert_told_to_wait(await upload(busy, "c.txt"))
    assert_told_to_wait(await busy.post("/v1/files", files={"file": ("c.txt", b"c")}))
    assert_told_to_wait(await busy.post(f"/v1/files/{first}/versions", content=b"another"))
    assert_told_to_wait(await create(busy, 1))
    assert_told_to_wait(await create(busy, 0))
    assert_told_to_wait(await busy.post("/v1/batches", json={"files": [first]}))
    assert len((await busy.get("/v1/files")).json()["data"]) == 2


async def test_jobs_that_ended_make_room_and_what_is_asked_for_anew_needs_it(
    busy: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    shown = (await busy.get("/v1/files")).json()["data"]
    former, file_id = shown[0]["job"]["id"], shown[0]["id"]
    end_jobs(postgres_dsn, tenant)
    for name in ("c.txt", "d.txt"):
        assert (await upload(busy, name)).status_code == 202
    assert_told_to_wait(await busy.post(f"/v1/jobs/{former}/retry"))
    assert_told_to_wait(await busy.post(f"/v1/files/{file_id}/reprocess"))
    assert len((await busy.get("/v1/jobs")).json()["data"]) == 4
    erasure = await busy.delete(f"/v1/files/{file_id}?permanent=true")
    assert erasure.status_code == 202, "what is to be erased waits for nothing"
    end_jobs(postgres_dsn, tenant)
    assert (await busy.post(f"/v1/files/{shown[1]['id']}/reprocess")).status_code == 202


async def test_a_batch_counts_although_it_is_no_job(
    busy: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    end_jobs(postgres_dsn, tenant)
    wanted = {"files": [(await busy.get("/v1/files")).json()["data"][0]["id"]]}
    made = [await busy.post("/v1/batches", json=wanted) for _ in range(2)]
    assert [each.status_code for each in made] == [202, 202]
    assert_told_to_wait(await busy.post("/v1/batches", json=wanted), "batches")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE batch SET state = 'cancelled', finished_at = now() WHERE id = %s",
            (made[0].json()["id"],),
        )
    assert (await busy.post("/v1/batches", json=wanted)).status_code == 202


async def test_what_another_tenant_has_does_not_count(
    busy: httpx.AsyncClient, narrow: ApiProcess, other_tenant: TenantFixture
) -> None:
    async with client_of(narrow, other_tenant.api_key) as other:
        assert (await upload(other, "a.txt")).status_code == 202


async def test_a_repeated_request_gets_its_first_answer(
    narrow: ApiProcess, tenant: TenantFixture
) -> None:
    async with client_of(narrow, tenant.api_key) as client:
        key = {"Idempotency-Key": "once"}
        wanted = {"params": {"name": "a.txt"}, "content": b"a", "headers": key}
        first = await client.post("/v1/files", **wanted)
        await upload(client, "b.txt")
        again = await client.post("/v1/files", **wanted)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])

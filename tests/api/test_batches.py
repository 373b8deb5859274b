"""`/v1/batches` over a real workflow: made once, told, counted, audited, and its maker's alone."""

import asyncio

import httpx
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant


async def upload(client: httpx.AsyncClient, name: str) -> str:
    answer = await client.post(f"/v1/files?name={name}", content=name.encode())
    return str(answer.json()["id"])


@pytest.mark.usefixtures("worker")
async def test_a_batch_is_paused_resumed_cancelled_and_audited(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    files = [await upload(client, f"{number}.txt") for number in range(3)]
    made = await client.post(
        "/v1/batches", json={"files": [*files, files[0]]}, headers={"Idempotency-Key": "one"}
    )
    assert (made.status_code, made.json()["files"]["total"]) == (202, 3)
    again = await client.post(
        "/v1/batches", json={"files": [*files, files[0]]}, headers={"Idempotency-Key": "one"}
    )
    assert again.json()["id"] == made.json()["id"]
    place = made.headers["Location"]
    async with asyncio.timeout(90):
        while (await client.get(place)).json()["files"]["running"] < 3:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)
    assert (await client.post(f"{place}/pause")).json()["state"] == "paused"
    assert (await client.post(f"{place}/resume")).json()["state"] == "running"
    assert (await client.post(f"{place}/cancel")).status_code == 200
    assert (await client.post(f"{place}/resume")).status_code == 409
    acts = [each for each in audit_actions(postgres_dsn, tenant.tenant_id) if "batch" in each]
    # The last one came too late, and is in the trail all the same.
    asked = ["pause", "resume", "cancel", "resume"]
    assert acts == ["batch.created", *(f"batch.{each}" for each in asked)]


async def test_files_of_others_cannot_be_named(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    mine, theirs = await upload(client, "mine.txt"), await upload(stranger, "theirs.txt")
    refused = await client.post("/v1/batches", json={"files": [mine, theirs]})
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == ["files.1"]
    assert (await client.get("/v1/batches")).json()["data"] == []


async def test_a_batch_is_shown_to_its_maker_and_administrators_alone(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await client.post("/v1/batches", json={"files": [await upload(client, "a.txt")]})
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as other:
        assert (await other.get(made.headers["Location"])).status_code == 404
        assert (await other.post(f"{made.headers['Location']}/cancel")).status_code == 404
        assert (await other.get("/v1/batches")).json()["data"] == []


async def test_a_source_is_named_and_shown_and_audited(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await client.post("/v1/batches", json={"source": {"name": "open", "prefix": "2024/0"}})
    assert made.status_code == 202
    assert made.json()["source"] == {
        "name": "open",
        "prefix": "2024/0",
        "collection_id": str(tenant.collection_id),
        "listed": False,
        "truncated": False,
        "problem": None,
        "problems": {},
        "left_out": None,
    }
    shown = (await client.get(made.headers["Location"])).json()
    assert (shown["percent"], shown["files"]["total"], shown["source"]["left_out"]) == (0, 0, [])
    assert audit_actions(postgres_dsn, tenant.tenant_id)[-1] == "batch.created"


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"name": "absent"}, "source.name"),
        ({"name": "foreign"}, "source.name"),
        ({"name": "/etc"}, "source.name"),
        ({"name": "open", "prefix": "../other"}, "source.prefix"),
        ({"name": "open", "prefix": "a/../../b/"}, "source.prefix"),
        ({"name": "open", "prefix": "/etc/"}, "source.prefix"),
        ({"name": "open", "prefix": "s3://bucket/key"}, "source.prefix"),
        ({"name": "open", "prefix": "a\0b"}, "source.prefix"),
        ({"name": "open", "endpoint": "http://169.254.169.254"}, "source.endpoint"),
        ({"name": "open", "collection": "absent"}, "source.collection"),
    ],
)
async def test_a_source_that_is_not_the_callers_is_refused(
    client: httpx.AsyncClient, source: dict[str, str], field: str
) -> None:
    refused = await client.post("/v1/batches", json={"source": source})
    assert refused.status_code == 422
    fields = [each["field"].removeprefix("body.") for each in refused.json()["errors"]]
    assert fields == [field]
    assert (await client.get("/v1/batches")).json()["data"] == []


async def test_a_batch_names_files_or_a_source_and_importing_needs_the_scope_of_uploads(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    for body in ({}, {"files": [str(tenant.tenant_id)], "source": {"name": "open"}}):
        assert (await client.post("/v1/batches", json=body)).status_code == 422
    reader = make_tenant(
        postgres_dsn, tenant.name, principal="reader", scopes=("jobs:read", "jobs:write")
    )
    async with client_of(api, reader.api_key) as other:
        refused = await other.post("/v1/batches", json={"source": {"name": "open"}})
    assert refused.status_code == 403


async def test_another_tenants_collection_cannot_be_imported_into(
    client: httpx.AsyncClient, other_tenant: TenantFixture
) -> None:
    source = {"name": "open", "collection": str(other_tenant.collection_id)}
    assert (await client.post("/v1/batches", json={"source": source})).status_code == 422

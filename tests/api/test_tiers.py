"""`/v1/files/{id}/tier`, and content that lies in the cold store."""

from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from muniment.contracts.move_tier import Tier
from muniment.objects import FilesystemObjectStore
from muniment.objects.marks import StoreMark
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.conftest import TenantFixture

CONTENT = bytes(range(256)) * 1_000


async def upload(client: httpx.AsyncClient, name: str = "a.bin") -> str:
    answer = await client.post(f"/v1/files?name={name}", content=CONTENT)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def freeze(api: ApiProcess, tenant: TenantFixture) -> int:
    """Moves the tenant's objects as they are into the cold store; how many those were."""
    hot = api.objects / str(tenant.tenant_id)
    objects = [path for path in hot.rglob("*") if path.is_file()]
    for path in objects:
        cold = api.home / "cold" / path.relative_to(api.objects)
        cold.parent.mkdir(parents=True, exist_ok=True)
        path.rename(cold)
    return len(objects)


async def marked(api: ApiProcess) -> None:
    """Marks the cold store, as the first mover does."""
    cold = api.home / "cold"
    store = FilesystemObjectStore(cold)
    await StoreMark(store, Tier.COLD, api.home / "keys" / "marks", str(cold)).make(may_be_new=True)


async def test_what_is_asked_for_is_noted_and_shown(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = await upload(client)
    path = f"/v1/files/{file_id}/tier"
    shown = {
        "file_id": file_id,
        "hot": 1,
        "cold": 0,
        "moving": 0,
        "retrieval": {"archived": 0, "in_progress": 0, "retrieved": 0},
        "rule": {"source": "installation", "after_days": None, "min_bytes": 0},
    }
    assert (await client.get(path)).json() == shown
    for moving, wanted in ((1, "cold"), (1, "cold"), (1, "hot")):
        answer = await client.post(path, json={"tier": wanted})
        assert answer.status_code == 202, answer.text
        assert answer.json() == {**shown, "moving": moving}
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("file.tier_requested") == 3


@pytest.mark.parametrize(
    "body", [{}, {"tier": "frozen"}, {"tier": "cold", "now": True}, [], "cold"]
)
async def test_what_is_no_tier_is_422(client: httpx.AsyncClient, body: object) -> None:
    file_id = await upload(client)
    assert (await client.post(f"/v1/files/{file_id}/tier", json=body)).status_code == 422


async def test_what_was_erased_is_410(client: httpx.AsyncClient) -> None:
    file_id = await upload(client)
    await client.delete(f"/v1/files/{file_id}?permanent=true")
    answer = await client.post(f"/v1/files/{file_id}/tier", json={"tier": "cold"})
    assert answer.status_code == 410, answer.text


async def test_cold_content_is_read_as_all_else_and_noted_as_asked_for(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = await upload(client)
    assert freeze(api, tenant) == 1
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE blob SET created_at = now() - interval '60 days' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    path = f"/v1/files/{file_id}/content"
    assert (await client.get(path)).content == CONTENT
    part = await client.get(path, headers={"Range": "bytes=100000-100009"})
    assert (part.status_code, part.content) == (206, CONTENT[100_000:100_010])
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT accessed_at > now() - interval '1 minute' FROM blob WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
    assert row == (True,)


async def test_what_is_uploaded_again_counts_as_asked_for(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await upload(client)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE blob SET created_at = now() - interval '60 days' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    await upload(client, "again.bin")
    with psycopg.connect(postgres_dsn) as connection:
        noted = connection.execute(
            "SELECT accessed_at > now() - interval '1 minute' FROM blob WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchall()
    assert noted == [(True,)]


async def test_without_a_cold_store_nothing_is_sent_there(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    alone = start_api(tmp_path / "home", api_environment, has_cold_store=False)
    try:
        async with client_of(alone, tenant.api_key) as client:
            file_id = await upload(client)
            answer = await client.post(f"/v1/files/{file_id}/tier", json={"tier": "cold"})
            assert answer.status_code == 409
            assert "MUNIMENT_COLD_STORE__BACKEND" in answer.json()["remedy"]
            names = [each["name"] for each in (await client.get("/readyz")).json()["dependencies"]]
            assert "cold_store" not in names
    finally:
        assert stop_api(alone) == 0


async def test_while_the_cold_store_is_away_all_else_is_served(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    api = start_api(tmp_path / "home", api_environment)
    try:
        async with client_of(api, tenant.api_key) as client:
            cold, hot = await upload(client, "cold.bin"), ""
            freeze(api, tenant)
            await marked(api)
            hot = (await client.post("/v1/files?name=hot.bin", content=b"hot")).json()["id"]
            (api.home / "cold").rename(api.home / "elsewhere")
            (api.home / "cold").write_bytes(b"no folder")
            assert (await client.get(f"/v1/files/{hot}/content")).content == b"hot"
            shown = (await client.get(f"/v1/files/{cold}")).json()
            assert shown["retrieval"] is None
            refused = await client.get(f"/v1/files/{cold}/content")
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["Retry-After"]) > 0
            (api.home / "cold").unlink()
            refused = await client.get(f"/v1/files/{cold}/content")
            assert refused.status_code == 503, "an empty mount point is a store that is away"
            ready = await client.get("/readyz")
            assert ready.status_code == 200
            states = {each["name"]: each["state"] for each in ready.json()["dependencies"]}
            assert (states["objects"], states["cold_store"]) == ("ok", "down")
    finally:
        assert stop_api(api) == 0


async def test_another_tenants_file_is_neither_shown_nor_moved(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await upload(client)
    assert (await stranger.get(f"/v1/files/{file_id}/tier")).status_code == 404
    answer = await stranger.post(f"/v1/files/{file_id}/tier", json={"tier": "cold"})
    assert answer.status_code == 404
    with psycopg.connect(postgres_dsn) as connection:
        moves = connection.execute(
            "SELECT count(*) FROM tier_move JOIN file_version USING (blob_id) WHERE file_id = %s",
            (UUID(file_id),),
        ).fetchone()
    assert moves == (0,)

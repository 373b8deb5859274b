"""`/v1/keys/rotations`: asked for once at a time, by administrators, and the tenant's own."""

import httpx
import psycopg
from typer.testing import CliRunner

from db.models import new_id
from muniment.api_keys import ALL_SCOPES
from muniment.cli.main import app
from muniment.client import AsyncMuniment
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant


async def test_a_rotation_that_is_open_answers_with_itself(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    first = await client.post("/v1/keys/rotations")
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert (await client.post("/v1/keys/rotations")).json() == first.json()
    rotation = first.json()
    assert (await client.get("/v1/keys/rotations")).json()["data"] == [rotation]
    path = f"/v1/keys/rotations/{rotation['id']}"
    assert (await client.get(path)).json() == rotation
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.get("/v1/keys/rotations")).json()["data"] == []
    assert (await stranger.post("/v1/keys/rotations")).json()["id"] != rotation["id"]
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("keys.rotation_requested") == 2


async def test_only_administrators_rotate(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    other = make_tenant(
        postgres_dsn, tenant.name, principal="reader", is_admin=False, scopes=ALL_SCOPES
    )
    async with client_of(api, other.api_key) as client:
        refused = await client.post("/v1/keys/rotations")
        assert (refused.status_code, "administrator" in refused.json()["detail"]) == (403, True)
        assert (await client.get("/v1/keys/rotations")).json()["data"] == []


async def test_rotations_are_listed_page_by_page(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        for number in range(3):
            connection.execute(
                "INSERT INTO key_rotation (id, tenant_id, state, created_at, finished_at,"
                " from_version, to_version, round, shards_done, keys_looked_at, keys_rewrapped,"
                " keys_unreadable) VALUES (%s, %s, 'completed', now() + %s * interval '1 s', now(),"
                " %s, %s, 2, 64, 10, 5, 0)",
                (new_id(), tenant.tenant_id, number, number + 1, number + 2),
            )
    versions, cursor = list[int](), ""
    while cursor is not None:
        page = (await client.get(f"/v1/keys/rotations?limit=2{cursor}")).json()
        versions += [rotation["to_version"] for rotation in page["data"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert versions == [4, 3, 2]
    assert page["data"][0]["percent"] == 25.0
    assert (await client.get("/v1/keys/rotations?cursor=garbage")).status_code == 400
    assert (await client.get("/v1/keys/rotations/garbage")).status_code == 422
    assert (await client.get(f"/v1/keys/rotations/{new_id()}")).status_code == 404


async def test_the_client_and_the_command_line_rotate(
    api: ApiProcess, tenant: TenantFixture
) -> None:
    client = AsyncMuniment(api.url, tenant.api_key)
    rotation = await client.keys.rotate()
    assert rotation.state == "queued"
    assert (await client.keys.rotations()).data == (rotation,)
    assert await client.keys.rotation(rotation.id) == rotation
    await client.close()
    environment = {"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": tenant.api_key}
    asked = CliRunner().invoke(app, ["keys", "rotate"], env=environment)
    assert (asked.exit_code, str(rotation.id) in asked.output) == (0, True)
    shown = CliRunner().invoke(app, ["keys", "rotations"], env=environment)
    assert (shown.exit_code, str(rotation.id) in shown.output) == (0, True)

"""Who there is: made, disabled, deleted, and never without an administrator."""

import asyncio

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant


async def make_principal(client: httpx.AsyncClient, name: str, **fields: object) -> dict[str, str]:
    answer = await client.post("/v1/principals", json={"kind": "user", "name": name, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def make_key(client: httpx.AsyncClient, principal_id: str, *scopes: str) -> str:
    body = {"name": "k", "scopes": scopes or ("files:read",), "principal_id": principal_id}
    answer = await client.post("/v1/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


@pytest.fixture
def clerk(tenant: TenantFixture, postgres_dsn: str) -> TenantFixture:
    """No administrator, and with a key for everything."""
    return make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)


async def test_a_principal_lives_from_creation_to_deletion(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await make_principal(client, " ada@example.org ")
    assert made["name"] == "ada@example.org"
    path = f"/v1/principals/{made['id']}"
    taken = await client.post("/v1/principals", json={"kind": "user", "name": made["name"]})
    assert taken.status_code == 409
    shown = await client.get(path)
    changed = await client.patch(
        path, json={"name": "ada"}, headers={"If-Match": shown.headers["ETag"]}
    )
    assert changed.json()["name"] == "ada"
    late = await client.patch(path, json={"name": "x"}, headers={"If-Match": shown.headers["ETag"]})
    assert late.status_code == 412
    found = (await client.get("/v1/principals", params={"name": "ada"})).json()["data"]
    assert [each["id"] for each in found] == [made["id"]]
    assert (await client.delete(path)).status_code == 204
    for gone in (await client.get(path), await client.delete(path)):
        assert gone.status_code == 404
    assert (await make_principal(client, "ada"))["id"] != made["id"], "the name is free"
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert [each for each in actions if each.startswith("principal.")] == [
        "principal.created",
        "principal.changed",
        "principal.deleted",
        "principal.created",
    ]


async def test_a_list_goes_page_by_page(client: httpx.AsyncClient) -> None:
    made = [(await make_principal(client, f"p{number}"))["id"] for number in range(3)]
    seen: list[str] = []
    parameters: dict[str, str] = {"limit": "2"}
    while parameters:
        page = (await client.get("/v1/principals", params=parameters)).json()
        seen += [each["id"] for each in page["data"]]
        following = page["next_cursor"]
        parameters = {"limit": "2", "cursor": following} if following else {}
    assert seen[:3] == made[::-1]
    assert len(seen) == 4, "and the administrator"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "robot", "name": "x"},
        {"kind": "user", "name": " "},
        {"kind": "user", "name": "a\x00b"},
        {"kind": "user", "name": "x" * 201},
        {"kind": "user", "name": "x", "tenant_id": "y"},
    ],
)
async def test_what_is_no_principal_is_refused(
    client: httpx.AsyncClient, body: dict[str, str]
) -> None:
    assert (await client.post("/v1/principals", json=body)).status_code == 422


async def test_a_key_of_a_disabled_principal_stops_at_once_and_rests(
    api: ApiProcess, client: httpx.AsyncClient
) -> None:
    made = await make_principal(client, "ada")
    path = f"/v1/principals/{made['id']}"
    async with client_of(api, await make_key(client, made["id"])) as ada:
        assert (await ada.get("/v1/files")).status_code == 200
        assert (await client.patch(path, json={"disabled": True})).json()["disabled_at"]
        assert (await ada.get("/v1/files")).status_code == 401
        again = await client.patch(path, json={"disabled": False})
        assert again.json()["disabled_at"] is None
        assert (await ada.get("/v1/files")).status_code == 200
        assert (await client.delete(path)).status_code == 204
        assert (await ada.get("/v1/files")).status_code == 401


async def test_only_an_administrator_makes_one(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, clerk: TenantFixture
) -> None:
    administrator = f"/v1/principals/{tenant.principal_id}"
    other = await make_principal(client, "other")
    async with client_of(api, clerk.api_key) as managing:
        for refused in (
            await managing.post(
                "/v1/principals", json={"kind": "user", "name": "x", "is_admin": True}
            ),
            await managing.patch(f"/v1/principals/{other['id']}", json={"is_admin": True}),
            await managing.patch(f"/v1/principals/{clerk.principal_id}", json={"is_admin": True}),
            await managing.patch(administrator, json={"disabled": True}),
            await managing.patch(administrator, json={"is_admin": False}),
            await managing.delete(administrator),
        ):
            assert refused.status_code == 403, refused.text
        assert (
            await managing.post("/v1/principals", json={"kind": "user", "name": "y"})
        ).is_success
        renamed = await managing.patch(f"/v1/principals/{other['id']}", json={"name": "z"})
        assert renamed.status_code == 200


async def test_nobody_makes_an_administrator_of_more_scopes_than_it_has(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    narrow = await make_key(client, str(tenant.principal_id), "principals:manage")
    async with client_of(api, narrow) as managing:
        made = await make_principal(managing, "ada")
        refused = await managing.patch(f"/v1/principals/{made['id']}", json={"is_admin": True})
        assert refused.status_code == 403
        assert "scope" in refused.json()["detail"]
        second = await make_principal(client, "second", is_admin=True)
        path = f"/v1/principals/{second['id']}"
        for narrowed in (
            await managing.patch(path, json={"is_admin": False}),
            await managing.patch(path, json={"disabled": True}),
            await managing.patch(path, json={"disabled": False}),
            await managing.patch(path, json={"name": "third"}),
            await managing.delete(path),
        ):
            assert narrowed.status_code == 403, narrowed.text
            assert "scope" in narrowed.json()["detail"]
        shown = (await client.get(path)).json()
        assert (shown["is_admin"], shown["disabled_at"], shown["name"]) == (True, None, "second")
    raised = await client.patch(f"/v1/principals/{made['id']}", json={"is_admin": True})
    assert raised.json()["is_admin"] is True


async def test_the_last_administrator_stays(
    client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    path = f"/v1/principals/{tenant.principal_id}"
    ways = ({"disabled": True}, {"is_admin": False})
    for change in ways:
        assert (await client.patch(path, json=change)).status_code == 409
    assert (await client.delete(path)).status_code == 409
    second = await make_principal(client, "second", is_admin=True)
    await client.patch(f"/v1/principals/{second['id']}", json={"disabled": True})
    for change in ways:
        assert (await client.patch(path, json=change)).status_code == 409, "one who cannot come in"
    await client.patch(f"/v1/principals/{second['id']}", json={"disabled": False})
    assert (await client.patch(path, json={"is_admin": False})).status_code == 200


async def test_two_administrators_who_end_each_other_at_once_leave_one(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    for turn in range(5):
        second = make_tenant(postgres_dsn, tenant.name, principal=f"second{turn}")
        async with client_of(api, second.api_key) as other:
            answers = await asyncio.gather(
                client.patch(f"/v1/principals/{second.principal_id}", json={"is_admin": False}),
                other.patch(f"/v1/principals/{tenant.principal_id}", json={"disabled": True}),
            )
        assert sorted(each.status_code for each in answers)[0] == 200
        with psycopg.connect(postgres_dsn) as connection:
            row = connection.execute(
                "SELECT count(*) FROM principal WHERE tenant_id = %s AND is_admin"
                " AND disabled_at IS NULL",
                (tenant.tenant_id,),
            ).fetchone()
            connection.execute(
                "UPDATE principal SET disabled_at = NULL, is_admin = (id = %s)"
                " WHERE tenant_id = %s",
                (tenant.principal_id, tenant.tenant_id),
            )
        assert row == (1,)


async def test_who_owns_something_is_deleted_with_a_successor(
    api: ApiProcess,
    client: httpx.AsyncClient,
    clerk: TenantFixture,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    path = f"/v1/principals/{clerk.principal_id}"
    async with client_of(api, clerk.api_key) as owner:
        await owner.post("/v1/collections", json={"name": "own", "visibility": "private"})
        file = (await owner.post("/v1/files?name=a&collection=own", content=b"a")).json()
    refused = await client.delete(path)
    assert refused.status_code == 409
    assert "1 files, 1 collections" in refused.json()["detail"]
    idle = await make_principal(client, "idle")
    await client.patch(f"/v1/principals/{idle['id']}", json={"disabled": True})
    for successor in (clerk.principal_id, idle["id"], "01920000-0000-7000-8000-000000000000"):
        wrong = await client.delete(path, params={"successor": str(successor)})
        assert wrong.status_code == 422
    heir = make_tenant(postgres_dsn, tenant.name, principal="heir", is_admin=False)
    async with client_of(api, heir.api_key) as inheriting:
        taken = await inheriting.delete(path, params={"successor": str(heir.principal_id)})
        assert taken.status_code == 403, "nobody takes what is not given"
        deleted = await client.delete(path, params={"successor": str(heir.principal_id)})
        assert deleted.status_code == 204, deleted.text
        renamed = await inheriting.patch(f"/v1/files/{file['id']}", json={"name": "b"})
        assert renamed.status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        audited = connection.execute(
            "SELECT count(*) FROM audit_event WHERE actor_id = %s", (clerk.principal_id,)
        ).fetchone()
        left = connection.execute(
            "SELECT name, is_admin FROM principal WHERE id = %s", (clerk.principal_id,)
        ).fetchone()
    assert audited is not None
    assert audited[0] >= 2, "what it did stays known by its id"
    assert left == (str(clerk.principal_id), False), "its name does not"


async def test_deleting_one_who_is_no_administrator_waits_for_none(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await make_principal(client, "ada")
    with psycopg.connect(postgres_dsn) as other:
        other.execute("SELECT FROM principal WHERE is_admin FOR NO KEY UPDATE")
        assert (await client.delete(f"/v1/principals/{made['id']}")).status_code == 204


async def test_a_key_for_another_is_made_by_an_administrator_alone(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    clerk: TenantFixture,
) -> None:
    made = await make_principal(client, "ada")
    body = {"name": "k", "scopes": ["files:read"], "principal_id": made["id"]}
    async with client_of(api, clerk.api_key) as other:
        assert (await other.post("/v1/api-keys", json=body)).status_code == 403
    assert (await stranger.post("/v1/api-keys", json=body)).status_code == 404
    narrow = await make_key(client, str(tenant.principal_id), "keys:manage", "files:read")
    async with client_of(api, narrow) as administrator:
        wide = await administrator.post("/v1/api-keys", json={**body, "scopes": ["search"]})
        assert wide.status_code == 403
        assert (await administrator.post("/v1/api-keys", json=body)).status_code == 201

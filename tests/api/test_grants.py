"""Grants and groups: in force with the next request, given by whoever manages, one for each pair."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.test_principals import make_principal
from tests.conftest import TenantFixture, make_tenant


@dataclass(frozen=True)
class Guest:
    """A principal without any right of its own."""

    id: str
    client: httpx.AsyncClient


@pytest.fixture
async def guest(api: ApiProcess, tenant: TenantFixture, postgres_dsn: str) -> AsyncIterator[Guest]:
    made = make_tenant(postgres_dsn, tenant.name, principal="guest", is_admin=False)
    async with client_of(api, made.api_key) as client:
        yield Guest(str(made.principal_id), client)


@pytest.fixture
async def collection(client: httpx.AsyncClient) -> str:
    """The id of a private collection of the administrator's."""
    body = {"name": "drawer", "visibility": "private"}
    return str((await client.post("/v1/collections", json=body)).json()["id"])


async def add_file(client: httpx.AsyncClient, name: str = "a.txt") -> str:
    answer = await client.post(f"/v1/files?name={name}&collection=drawer", content=name.encode())
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def give(client: httpx.AsyncClient, **body: str) -> httpx.Response:
    return await client.post("/v1/grants", json=body)


async def test_a_grant_is_in_force_with_the_next_request_and_ends_so(
    client: httpx.AsyncClient, guest: Guest, collection: str
) -> None:
    path = f"/v1/files/{await add_file(client)}"
    assert (await guest.client.get(path)).status_code == 404
    made = await give(client, principal_id=guest.id, collection_id=collection, level="read")
    assert made.status_code == 201
    assert (await guest.client.get(path)).status_code == 200
    assert (await guest.client.patch(path, json={"name": "b"})).status_code == 403
    raised = await give(client, principal_id=guest.id, collection_id=collection, level="write")
    assert (raised.status_code, raised.json()["id"]) == (200, made.json()["id"])
    assert (await guest.client.patch(path, json={"name": "b"})).status_code == 200
    lowered = await give(client, principal_id=guest.id, collection_id=collection, level="read")
    assert lowered.json()["level"] == "read"
    assert (await guest.client.patch(path, json={"name": "c"})).status_code == 403
    assert (await client.delete(made.headers["Location"])).status_code == 204
    assert (await guest.client.get(path)).status_code == 404
    assert (await client.delete(made.headers["Location"])).status_code == 404


async def test_the_same_grant_again_changes_nothing(
    client: httpx.AsyncClient,
    guest: Guest,
    collection: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    body = {"principal_id": guest.id, "collection_id": collection, "level": "write"}
    answers = await asyncio.gather(*(give(client, **body) for _ in range(8)))
    assert {each.json()["id"] for each in answers} == {answers[0].json()["id"]}
    assert {each.status_code for each in answers} <= {200, 201}
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM access_grant WHERE principal_id = %s", (guest.id,)
        ).fetchone()
    assert rows == (1,)
    await give(client, **body)
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert "grant.changed" not in actions
    before = actions.count("grant.created")
    await give(client, **body)
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("grant.created") == before


async def test_granting_waits_for_the_grantees_own_work_and_does_not_hold_it_up(
    client: httpx.AsyncClient, guest: Guest, collection: str, postgres_dsn: str
) -> None:
    file_id = await add_file(client)
    body = {"principal_id": guest.id, "file_id": file_id, "level": "read"}
    with psycopg.connect(postgres_dsn) as working:
        working.execute("SET lock_timeout = '5s'")
        working.execute("SELECT FROM file WHERE id = %s FOR UPDATE", (file_id,))
        giving = asyncio.create_task(give(client, **body))
        await _until_one_waits(postgres_dsn)
        # As the insert of a row that names the principal.
        working.execute("SELECT FROM principal WHERE id = %s FOR KEY SHARE", (guest.id,))
        working.commit()
        assert (await giving).status_code == 201


async def _until_one_waits(postgres_dsn: str) -> None:
    """Until somebody waits for a lock."""
    with psycopg.connect(postgres_dsn, autocommit=True) as watching:
        for _ in range(600):
            waiting = watching.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if waiting is not None:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("nobody waits")


async def test_a_group_has_what_is_granted_to_it_while_one_belongs_to_it(
    client: httpx.AsyncClient, guest: Guest, collection: str
) -> None:
    path = f"/v1/files/{await add_file(client)}"
    group = (await client.post("/v1/groups", json={"name": "clerks"})).json()
    assert (await client.post("/v1/groups", json={"name": "clerks"})).status_code == 409
    member = f"/v1/groups/{group['id']}/members/{guest.id}"
    await give(client, group_id=group["id"], collection_id=collection, level="read")
    assert (await guest.client.get(path)).status_code == 404
    for _ in range(2):
        assert (await client.put(member)).status_code == 204
    assert (await guest.client.get(path)).status_code == 200
    members = (await client.get(f"/v1/groups/{group['id']}/members")).json()["data"]
    assert [each["id"] for each in members] == [guest.id]
    shown = (await guest.client.get("/v1/grants")).json()["data"]
    assert [each["group_id"] for each in shown] == [group["id"]], "one's own are shown"
    assert (await client.delete(member)).status_code == 204
    assert (await client.delete(member)).status_code == 404
    assert (await guest.client.get(path)).status_code == 404
    await client.put(member)
    assert (await guest.client.get(path)).status_code == 200
    assert (await client.delete(f"/v1/groups/{group['id']}")).status_code == 204
    assert (await guest.client.get(path)).status_code == 404
    assert (await client.get("/v1/grants")).json()["data"] == []


async def test_of_many_who_take_one_grant_back_one_does(
    client: httpx.AsyncClient,
    guest: Guest,
    collection: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    made = await give(client, principal_id=guest.id, collection_id=collection, level="read")
    path = made.headers["Location"]
    answers = await asyncio.gather(*(client.delete(path) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [204] + [404] * 7
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("grant.deleted") == 1


async def test_who_was_granted_manage_grants_in_turn(
    client: httpx.AsyncClient, guest: Guest, collection: str
) -> None:
    third = await make_principal(client, "third")
    file_id = await add_file(client)
    wanted = {"principal_id": third["id"], "file_id": file_id, "level": "read"}
    assert (await give(guest.client, **wanted)).status_code == 404
    for level, status in (("read", 403), ("write", 403), ("manage", 201)):
        await give(client, principal_id=guest.id, collection_id=collection, level=level)
        given = await give(guest.client, **wanted)
        assert given.status_code == status, level
    listed = (await guest.client.get("/v1/grants", params={"file": file_id})).json()["data"]
    assert [each["id"] for each in listed] == [given.json()["id"]]
    await give(client, principal_id=guest.id, collection_id=collection, level="read")
    own = (await guest.client.get("/v1/grants")).json()["data"]
    assert [each["principal_id"] for each in own] == [guest.id], "what it no longer manages is not"
    assert (await guest.client.delete(given.headers["Location"])).status_code == 404
    assert (await guest.client.delete(f"/v1/grants/{own[0]['id']}")).status_code == 403
    assert (await client.delete(given.headers["Location"])).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {"level": "read"},
        {"principal_id": "{a}", "level": "read"},
        {"principal_id": "{a}", "group_id": "{a}", "file_id": "{a}", "level": "read"},
        {"principal_id": "{a}", "file_id": "{a}", "collection_id": "{a}", "level": "read"},
        {"principal_id": "{a}", "file_id": "{a}", "level": "own"},
    ],
)
async def test_a_grant_names_one_of_each(client: httpx.AsyncClient, body: dict[str, str]) -> None:
    some_id = "01920000-0000-7000-8000-000000000000"
    wanted = {name: value.replace("{a}", some_id) for name, value in body.items()}
    assert (await give(client, **wanted)).status_code == 422


async def test_what_is_another_tenants_is_not_found(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, guest: Guest, collection: str
) -> None:
    foreign = await make_principal(stranger, "foreign")
    foreign_group = (await stranger.post("/v1/groups", json={"name": "g"})).json()
    own_group = (await client.post("/v1/groups", json={"name": "g"})).json()
    for grantee in ({"principal_id": foreign["id"]}, {"group_id": foreign_group["id"]}):
        refused = await give(client, **grantee, collection_id=collection, level="read")
        assert refused.status_code == 404
    taken = await give(stranger, principal_id=foreign["id"], collection_id=collection, level="read")
    assert taken.status_code == 404
    member = await client.put(f"/v1/groups/{own_group['id']}/members/{foreign['id']}")
    assert member.status_code == 404
    heir = await client.delete(f"/v1/principals/{guest.id}", params={"successor": foreign["id"]})
    assert heir.status_code == 422


async def test_nothing_is_granted_on_what_is_trashed_or_erased(
    client: httpx.AsyncClient, guest: Guest, collection: str, postgres_dsn: str
) -> None:
    file_id = await add_file(client)
    wanted = {"principal_id": guest.id, "file_id": file_id, "level": "read"}
    made = await give(client, **wanted)
    await client.delete(f"/v1/files/{file_id}")
    assert (await give(client, **{**wanted, "level": "write"})).status_code == 409
    for state in ("erasing", "erased"):
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute("UPDATE file SET state = %s WHERE id = %s", (state, file_id))
        assert (await give(client, **wanted)).status_code == 410
    assert (await client.delete(made.headers["Location"])).status_code == 204


async def test_grants_go_with_their_collection_and_their_principal(
    client: httpx.AsyncClient, guest: Guest, collection: str
) -> None:
    await give(client, principal_id=guest.id, collection_id=collection, level="read")
    assert (await client.delete(f"/v1/collections/{collection}")).status_code == 204
    assert (await client.get("/v1/grants")).json()["data"] == []
    body = {"name": "drawer", "visibility": "private"}
    again = (await client.post("/v1/collections", json=body)).json()["id"]
    await give(client, principal_id=guest.id, collection_id=again, level="read")
    assert (await client.delete(f"/v1/principals/{guest.id}")).status_code == 204
    assert (await client.get("/v1/grants", params={"collection": again})).json()["data"] == []
    late = await give(client, principal_id=guest.id, collection_id=again, level="read")
    assert late.status_code == 404

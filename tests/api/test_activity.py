"""The activity feed: what was done, to those who may see what it was done to now."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant

People = dict[str, httpx.AsyncClient]
NAMES = ("owner", "reader", "nobody")


@pytest.fixture
async def people(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> AsyncIterator[People]:
    """Of the same tenant, none of them an administrator."""
    async with AsyncExitStack() as stack:
        made = {}
        for name in NAMES:
            key = make_tenant(postgres_dsn, tenant.name, principal=name, is_admin=False)
            made[name] = await stack.enter_async_context(client_of(api, key.api_key))
            made[name].headers["X-Principal"] = str(key.principal_id)
        yield made


def id_of(person: httpx.AsyncClient) -> str:
    return person.headers["X-Principal"]


@pytest.fixture
async def file_id(people: People) -> str:
    """In a private collection of the owner's, granted to the reader."""
    owner = people["owner"]
    await owner.post("/v1/collections", json={"name": "drawer", "visibility": "private"})
    made = await owner.post("/v1/files?name=secret.txt&collection=drawer", content=b"mine")
    found: str = made.json()["id"]
    granted = {"principal_id": id_of(people["reader"]), "file_id": found, "level": "read"}
    assert (await owner.post("/v1/grants", json=granted)).status_code == 201
    return found


async def feed(
    person: httpx.AsyncClient, path: str = "/v1/activity", **wanted: object
) -> list[dict[str, object]]:
    answer = await person.get(path, params=wanted)  # type: ignore[arg-type] # httpx encodes lists
    assert answer.status_code == 200, answer.text
    data: list[dict[str, object]] = answer.json()["data"]
    return data


def kinds(entries: list[dict[str, object]]) -> list[object]:
    return [each["kind"] for each in entries]


async def test_what_users_do_stands_in_it_newest_first(people: People, file_id: str) -> None:
    owner, reader = people["owner"], people["reader"]
    path = f"/v1/files/{file_id}"
    annotation = await reader.post("/v1/annotations", json={"file_id": file_id, "body": "why?"})
    noted = f"/v1/annotations/{annotation.json()['id']}"
    await owner.post(f"{noted}/comments", json={"body": "because"})
    await owner.patch(noted, json={"state": "resolved"})
    await owner.patch(noted, json={"state": "resolved"})
    await owner.patch(path, json={"name": "renamed.txt", "labels": ["x"]})
    await owner.patch(path, json={"name": "renamed.txt", "collection": "drawer"})
    await owner.post(f"{path}/versions", content=b"second")
    await owner.delete(path)
    await owner.post(f"{path}/restore")
    found = await feed(reader, f"{path}/activity")
    assert kinds(found) == [
        "file.restored",
        "file.trashed",
        "file.version_added",
        "file.renamed",
        "file.changed",
        "annotation.resolved",
        "comment.created",
        "annotation.created",
        "file.uploaded",
    ]
    assert {each["name"] for each in found} == {"renamed.txt"}
    assert found[2]["version"] == 2
    assert found[-2]["actor"] == {"id": id_of(reader), "name": "reader"}
    assert found[-2]["subject_id"] == annotation.json()["id"]
    assert kinds(await feed(reader)) == kinds(found)


async def test_grants_are_for_managers_and_links_for_their_makers(
    people: People, file_id: str, client: httpx.AsyncClient
) -> None:
    owner, reader = people["owner"], people["reader"]
    shared = await reader.post("/v1/shares", json={"file_id": file_id})
    assert shared.status_code == 201, shared.text
    await reader.delete(f"/v1/shares/{shared.json()['id']}")
    path = f"/v1/files/{file_id}/activity"
    assert kinds(await feed(owner, path)) == ["grant.created", "file.uploaded"]
    assert kinds(await feed(reader, path)) == ["share.revoked", "share.created", "file.uploaded"]
    assert kinds(await feed(client, path)) == [
        "share.revoked", "share.created", "grant.created", "file.uploaded",
    ]  # fmt: skip


async def test_it_follows_the_rights_of_the_moment(people: People, file_id: str) -> None:
    owner, reader, nobody = (people[name] for name in NAMES)
    path = f"/v1/files/{file_id}/activity"
    assert await feed(nobody) == []
    assert (await nobody.get(path)).status_code == 404
    assert kinds(await feed(reader)) == ["file.uploaded"]
    grants = (await owner.get("/v1/grants", params={"file": file_id})).json()["data"]
    assert (await owner.delete(f"/v1/grants/{grants[0]['id']}")).status_code == 204
    assert await feed(reader) == []
    assert (await reader.get(path)).status_code == 404
    await owner.patch(f"/v1/files/{file_id}", json={"collection": "default"})
    assert kinds(await feed(nobody)) == ["file.moved", "file.uploaded"]


async def test_it_is_filtered_and_cut_into_pages(people: People, file_id: str) -> None:
    owner, reader = people["owner"], people["reader"]
    for number in range(5):
        await reader.post("/v1/annotations", json={"file_id": file_id, "body": str(number)})
    everything = await feed(owner)
    assert len(everything) == 7
    assert await feed(owner, actor=id_of(reader)) == everything[:5]
    wanted = ["grant.created", "file.uploaded"]
    assert await feed(owner, kind=wanted) == everything[5:]
    seen: list[object] = []
    cursor = None
    while True:
        given = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = (await owner.get("/v1/activity", params=given)).json()
        seen += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == everything
    assert (await owner.get("/v1/activity?kind=file.read")).status_code == 422
    assert (await owner.get("/v1/activity?cursor=x")).status_code == 400


async def test_who_sees_few_of_many_entries_passes_over_some_at_a_time(
    people: People, file_id: str, postgres_dsn: str
) -> None:
    reader = people["reader"]
    hidden = await people["owner"].post("/v1/files?name=b.txt&collection=drawer", content=b"b")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO activity (id, tenant_id, file_id, kind, at)"
            " SELECT gen_random_uuid(), tenant_id, id, 'file.changed', now() FROM file,"
            " generate_series(1, 10000) WHERE id = %s",
            (hidden.json()["id"],),
        )
    first = (await reader.get("/v1/activity")).json()
    assert first["data"] == []
    then = (await reader.get("/v1/activity", params={"cursor": first["next_cursor"]})).json()
    assert kinds(then["data"]) == ["file.uploaded"]
    assert then["next_cursor"] is None

"""Collections that are deleted while something else wants them."""

import asyncio
from uuid import UUID

import httpx
import psycopg
import pytest
import sqlalchemy
from psycopg import Connection

from api.authentication import Caller
from api.collections import service
from db.models import new_id
from db.queries import collections, files
from db.session import Database
from muniment.errors import Conflict
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant
from tests.db.test_members import until_waiting

ERASED = 5


async def make_collection(client: httpx.AsyncClient, **fields: str) -> str:
    answer = await client.post("/v1/collections", json={"name": f"c-{new_id()}", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def add_file(client: httpx.AsyncClient, collection: str) -> httpx.Response:
    return await client.post(
        "/v1/files",
        content=b"text",
        params={"name": "a.txt", "collection": collection},
        headers={"Content-Type": "text/plain"},
    )


def add_row(connection: Connection, tenant_id: UUID, collection: str, *, state: str) -> UUID:
    """A file without content."""
    file_id = new_id()
    connection.execute(
        "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version,"
        " media_type, degraded, revision, created_at, updated_at)"
        " VALUES (%s, %s, %s, 'a', %s, 1, 'text/plain', false, 1, now(), now())",
        (file_id, tenant_id, collection, state),
    )
    return file_id


async def test_an_import_does_not_keep_its_collection_from_being_deleted(
    client: httpx.AsyncClient,
) -> None:
    collection = await make_collection(client)
    source = {"name": "open", "prefix": "a/", "collection": collection}
    batch = await client.post("/v1/batches", json={"source": source})
    assert batch.status_code == 202, batch.text
    assert (await client.delete(f"/v1/collections/{collection}")).status_code == 204
    shown = (await client.get(f"/v1/batches/{batch.json()['id']}")).json()
    assert shown["source"]["collection_id"] is None


async def test_a_collection_is_not_deleted_under_a_file_that_is_put_into_it(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    collection = await make_collection(client)
    async with database.transaction(tenant.access) as session:
        assert await collections.find_collection(session, collection, level="write") is not None
        deletion = asyncio.create_task(client.delete(f"/v1/collections/{collection}"))
        await until_waiting(postgres_dsn)
        with psycopg.connect(postgres_dsn) as connection:
            add_row(connection, tenant.tenant_id, collection, state="ready")
    assert (await deletion).status_code == 409


async def test_erased_files_do_not_keep_their_collection_from_being_deleted(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    name = f"c{new_id().hex}"
    path = f"/v1/collections/{(await client.post('/v1/collections', json={'name': name})).json()['id']}"
    uploads = [
        await client.post("/v1/files", params={"name": each, "collection": name}, content=b"text")
        for each in ("a.txt", "b.txt")
    ]
    first, second = [f"/v1/files/{answer.json()['id']}" for answer in uploads]

    def become(file: str, state: str) -> None:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE file SET state = %s WHERE id = %s", (state, file.rpartition("/")[2])
            )

    become(first, "erased")
    assert (await client.get(first)).json()["collection"] == name
    for state in ("ready", "trashed", "erasing"):
        become(second, state)
        refused = await client.delete(path)
        assert refused.status_code == 409, state
        assert (await client.get(first)).json()["collection"] == name, "nothing was done by halves"
    become(second, "erased")
    tag = (await client.get(first)).headers["ETag"]
    assert (await stranger.delete(path)).status_code == 404
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    shown = await client.get(first)
    assert (shown.json()["collection"], shown.json()["collection_id"]) == (None, None)
    assert shown.headers["ETag"] != tag
    listed = (await client.get("/v1/files?state=erased")).json()["data"]
    assert [file["collection"] for file in listed] == [None, None]
    assert (await client.get(f"{second}/tier")).json()["rule"] is None
    assert (await client.post("/v1/collections", json={"name": name})).status_code == 201
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("collection.deleted") == 1


def add_erased_files(connection: Connection, tenant: TenantFixture, collection: str) -> list[UUID]:
    """What remains of some files."""
    return [
        add_row(connection, tenant.tenant_id, collection, state="erased") for _ in range(ERASED)
    ]


async def test_what_remains_of_many_files_is_let_go_of_in_steps(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each a transaction of its own, so that none takes longer than a statement may."""
    monkeypatch.setattr(service, "LET_GO_AT_ONCE", 2)
    collection = await make_collection(client)
    with psycopg.connect(postgres_dsn) as connection:
        erased = add_erased_files(connection, tenant, collection)
        kept = add_row(connection, tenant.tenant_id, collection, state="trashed")
    caller = Caller(tenant.tenant_id, tenant.principal_id, None, frozenset(), is_admin=True)
    with pytest.raises(Conflict):
        await service.delete(database, caller, UUID(collection))

    def written_by() -> list[int]:
        """How many of them are in no collection any more, by the transaction that wrote them."""
        with psycopg.connect(postgres_dsn) as connection:
            rows = connection.execute(
                "SELECT count(*) FROM file WHERE id = ANY(%s) AND collection_id IS NULL"
                " GROUP BY xmin::text ORDER BY 1",
                (erased,),
            )
            return [row[0] for row in rows]

    assert written_by() == [], "it is not empty"
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file SET state = 'erased' WHERE id = %s", (kept,))
    erased.append(kept)
    await service.delete(database, caller, UUID(collection))
    assert written_by() == [2, 2, 2]
    assert (await client.get(f"/v1/collections/{collection}")).status_code == 404
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("collection.deleted") == 1


async def test_a_file_is_shown_whose_collection_is_deleted_in_the_moment(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    collection = await make_collection(client)
    with psycopg.connect(postgres_dsn) as connection:
        erased = add_erased_files(connection, tenant, collection)[0]

    async with database.transaction(tenant.access) as session:
        reading = (await session.connection()).sync_connection

        def delete_collection(*_: object) -> None:
            with psycopg.connect(postgres_dsn) as connection:
                connection.execute(
                    "UPDATE file SET collection_id = NULL WHERE collection_id = %s", (collection,)
                )
                connection.execute("DELETE FROM collection WHERE id = %s", (collection,))

        sqlalchemy.event.listen(reading, "after_cursor_execute", delete_collection, once=True)
        details = [await files.get_file(session, erased) for _ in range(2)]
    # As it was when it was read, and as it was left.
    names = [each.collection_name for each in details if each is not None]
    assert [name is None for name in names] == [False, True]


async def test_a_file_for_a_collection_that_is_being_deleted_is_refused(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    collection = await make_collection(client)
    with psycopg.connect(postgres_dsn) as deleting:
        deleting.execute("DELETE FROM collection WHERE id = %s", (collection,))
        upload = asyncio.create_task(add_file(client, collection))
        await until_waiting(postgres_dsn)
    answer = await upload
    assert answer.status_code == 422, answer.text


async def test_who_owns_a_private_collection_reads_what_an_administrator_put_there(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    owner = make_tenant(postgres_dsn, tenant.name, principal="owner", is_admin=False)
    other = make_tenant(postgres_dsn, tenant.name, principal="other", is_admin=False)
    async with client_of(api, owner.api_key) as owning, client_of(api, other.api_key) as foreign:
        collection = await make_collection(owning, visibility="private")
        file_id = (await add_file(client, collection)).json()["id"]
        assert (await owning.get(f"/v1/files/{file_id}")).status_code == 200
        assert (await foreign.get(f"/v1/files/{file_id}")).status_code == 404
        listed = (await owning.get("/v1/files", params={"collection": collection})).json()
        assert [each["id"] for each in listed["data"]] == [file_id]

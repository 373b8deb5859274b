"""Collections that have their documents' text sealed: who makes one is told what that costs, and a file
never comes from one mode to another."""

import asyncio
import errno
import os
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from api.annotations import service as annotating
from api.annotations.schemas import NewAnnotation
from api.annotations.service import Wanted
from api.authentication import Caller
from db.models import Annotation, FileVersion, new_id
from db.queries import collections
from db.session import Database
from muniment.contracts.text_modes import QuotedWords
from muniment.objects import NewTextKey, SealedTexts
from muniment.objects.sealed_texts import LONGEST_FETCH_SECONDS
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from retrieval.anchors.words import write_quoted_words
from tests.api.annotated import publish_pages
from tests.api.conftest import ApiProcess, client_of
from tests.api.test_collections import add_file
from tests.conftest import TenantFixture, make_tenant
from tests.db.test_members import until_waiting

CANARY = "quillonwhelk"


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


async def make_collection(client: httpx.AsyncClient, text_mode: str) -> dict[str, object]:
    body = {"name": f"c-{new_id()}", "text_mode": text_mode}
    answer = await client.post("/v1/collections", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def test_whoever_makes_or_looks_at_one_is_told_what_it_costs(
    client: httpx.AsyncClient,
) -> None:
    sealed = await make_collection(client, "encrypted_text")
    assert sealed["text_mode"] == "encrypted_text"
    told = " ".join(sealed["limitations"])  # type: ignore[arg-type] # JSON of a list of texts
    for word in ("words", "highlights", "title", "Vectors", "annotations", "move"):
        assert word in told, word
    shown = await client.get(f"/v1/collections/{sealed['id']}")
    assert shown.json() == sealed
    listed = (await client.get("/v1/collections")).json()["data"]
    assert sealed in listed
    plain = await client.post("/v1/collections", json={"name": f"c-{new_id()}"})
    assert (plain.json()["text_mode"], plain.json()["limitations"]) == ("full", [])


@pytest.mark.parametrize("mode", ["sealed", "", None, 1, ["full"]])
async def test_no_other_mode_is_taken(client: httpx.AsyncClient, mode: object) -> None:
    body = {"name": f"c-{new_id()}", "text_mode": mode}
    answer = await client.post("/v1/collections", json=body)
    assert answer.status_code == 422, answer.text


async def test_the_mode_changes_while_there_are_no_files_and_not_after(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    made = await make_collection(client, "full")
    path = f"/v1/collections/{made['id']}"
    changed = await client.patch(path, json={"text_mode": "encrypted_text"})
    assert (changed.status_code, changed.json()["text_mode"]) == (200, "encrypted_text")
    assert changed.json()["limitations"]
    with psycopg.connect(postgres_dsn) as connection:
        audited = connection.execute(
            "SELECT payload FROM audit_event"
            " WHERE action = 'collection.changed' AND object_id = %s",
            (made["id"],),
        ).fetchall()
    assert audited == [({"fields": ["text_mode"], "text_mode": "encrypted_text"},)]
    file = (await add_file(client, str(made["id"]))).json()
    for _ in range(2):
        refused = await client.patch(path, json={"text_mode": "full"})
        assert refused.status_code == 409, refused.text
        assert "upload" in refused.json()["remedy"]
        # From the trash it may be restored.
        await client.delete(f"/v1/files/{file['id']}")
    assert (await client.patch(path, json={"text_mode": "encrypted_text"})).status_code == 200
    assert (await client.get(path)).json()["text_mode"] == "encrypted_text"


async def test_the_mode_of_another_tenants_collection_is_nobodys(
    client: httpx.AsyncClient, api: ApiProcess, postgres_dsn: str
) -> None:
    made = await make_collection(client, "full")
    stranger = make_tenant(postgres_dsn)
    async with client_of(api, stranger.api_key) as other:
        answer = await other.patch(
            f"/v1/collections/{made['id']}", json={"text_mode": "encrypted_text"}
        )
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("origin", "goal"), [("full", "encrypted_text"), ("encrypted_text", "full")]
)
async def test_a_file_does_not_move_from_one_mode_to_the_other(
    client: httpx.AsyncClient, origin: str, goal: str
) -> None:
    source, destination = [await make_collection(client, mode) for mode in (origin, goal)]
    same = await make_collection(client, origin)
    path = f"/v1/files/{(await add_file(client, str(source['id']))).json()['id']}"
    refused = await client.patch(path, json={"collection": destination["id"]})
    assert refused.status_code == 409, refused.text
    assert goal in refused.json()["detail"]
    assert "Upload" in refused.json()["remedy"]
    assert (await client.get(path)).json()["collection"] == source["name"]
    moved = await client.patch(path, json={"collection": same["id"]})
    assert moved.status_code == 200, moved.text


async def test_a_mode_does_not_change_under_a_file_that_is_put_into_the_collection(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await make_collection(client, "full")
    path = f"/v1/collections/{made['id']}"
    async with database.transaction(tenant.access) as session:
        assert await collections.find_collection(session, str(made["id"]), level="write")
        change = asyncio.create_task(client.patch(path, json={"text_mode": "encrypted_text"}))
        await until_waiting(postgres_dsn)
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version,"
                " media_type, degraded, revision, created_at, updated_at)"
                " VALUES (%s, %s, %s, 'a', 'ready', 1, 'text/plain', false, 1, now(), now())",
                (new_id(), tenant.tenant_id, made["id"]),
            )
    assert (await change).status_code == 409


async def publish_sealed(
    database: Database, tenant: TenantFixture, stores: Stores, file_id: UUID
) -> tuple[FileVersion, NewTextKey]:
    """The newest version, published with a text key as a worker does; the API never asked for it."""
    lines = [f"The lease of {CANARY} runs for twelve years."]
    version = await publish_pages(database, tenant, stores, file_id, [lines])
    key = await SealedTexts(stores.blobs).make_key(tenant.tenant_id)
    async with database.transaction(tenant.system) as session:
        published = await session.get_one(FileVersion, version.id)
        published.text_key_id = key.blob.blob_id
    return published, key


async def add_sealed_quote(
    database: Database, tenant: TenantFixture, version: FileVersion, key: NewTextKey
) -> UUID:
    """An annotation that the API has not seen yet."""
    made = Annotation(
        tenant_id=tenant.tenant_id,
        file_id=version.file_id,
        version_id=version.id,
        reading_id=version.document_blob_id,
        author_id=tenant.principal_id,
        body="Since when?",
        page=1,
        page_digest=b"",
        start_offset=4,
        end_offset=9,
    )
    write_quoted_words(made, QuotedWords(quote=f"lease of {CANARY}"), key.key, key.blob.blob_id)
    async with database.transaction(tenant.system) as session:
        session.add(made)
    return made.id


async def test_annotations_whose_key_is_lost_are_shown_without_what_they_quote(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> None:
    made = await make_collection(client, "encrypted_text")
    (dead_file, dead_key), (file, key) = [
        await publish_sealed(
            database, tenant, stores, UUID((await add_file(client, str(made["id"]))).json()["id"])
        )
        for _ in range(2)
    ]
    legible = await add_sealed_quote(database, tenant, file, key)
    dead = await add_sealed_quote(database, tenant, dead_file, dead_key)
    await stores.blobs.destroy_key(tenant.tenant_id, dead_key.blob.blob_id)
    listed = (await client.get("/v1/annotations", params={"limit": 1})).json()
    assert [each["id"] for each in listed["data"]] == [str(dead)]
    assert listed["data"][0]["text_missing"]
    following = {"cursor": listed["next_cursor"]}
    (shown,) = (await client.get("/v1/annotations", params=following)).json()["data"]
    assert (shown["id"], shown["text_missing"]) == (str(legible), False)
    assert shown["target"]["quote"]["exact"] == f"lease of {CANARY}"
    path = f"/v1/annotations/{dead}"
    found = await client.get(path)
    assert found.status_code == 200, found.text
    assert (found.json()["target"]["quote"], found.json()["anchor"]["quote"]) == (None, None)
    resolved = await client.patch(
        path, json={"state": "resolved"}, headers={"If-Match": found.headers["ETag"]}
    )
    assert (resolved.status_code, resolved.json()["state"]) == (200, "resolved")
    assert resolved.json()["text_missing"]


async def test_nothing_is_quoted_while_keys_are_away(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    api: ApiProcess,
) -> None:
    made = await make_collection(client, "encrypted_text")
    file_id = (await add_file(client, str(made["id"]))).json()["id"]
    version, key = await publish_sealed(database, tenant, stores, UUID(file_id))
    annotation_id = await add_sealed_quote(database, tenant, version, key)
    body = {
        "file_id": file_id,
        "target": {"page": 1, "quote": {"exact": f"lease of {CANARY}"}},
    }
    key_id = str(key.blob.blob_id)
    (wrapped,) = (api.home / "keys" / "wrapped").rglob(key_id)
    away = wrapped.rename(wrapped.with_name(f"{key_id}-away"))
    wrapped.symlink_to(wrapped.name)  # an error of the disk, whoever asks
    refused = await client.post("/v1/annotations", json=body)
    assert refused.status_code == 503, refused.text
    assert refused.json()["remedy"]
    (shown,) = (await client.get("/v1/annotations", params={"file_id": file_id})).json()["data"]
    assert (shown["id"], shown["text_missing"]) == (str(annotation_id), True)
    assert shown["target"]["quote"] is None
    wrapped.unlink()
    away.rename(wrapped)
    (shown,) = (await client.get("/v1/annotations", params={"file_id": file_id})).json()["data"]
    assert shown["target"]["quote"]["exact"] == f"lease of {CANARY}"


async def test_a_key_that_does_not_come_holds_no_lock(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    api: ApiProcess,
    postgres_dsn: str,
) -> None:
    made = await make_collection(client, "encrypted_text")
    file_id = (await add_file(client, str(made["id"]))).json()["id"]
    version, key = await publish_sealed(database, tenant, stores, UUID(file_id))
    annotation_id = await add_sealed_quote(database, tenant, version, key)
    (wrapped,) = (api.home / "keys" / "wrapped").rglob(str(key.blob.blob_id))
    wrapped.unlink()
    os.mkfifo(wrapped)  # whoever reads it waits for a writer
    change = asyncio.create_task(
        client.patch(f"/v1/annotations/{annotation_id}", json={"state": "resolved"})
    )
    try:
        async with asyncio.timeout(LONGEST_FETCH_SECONDS / 2):
            while not is_resolved_and_free(postgres_dsn, annotation_id):  # noqa: ASYNC110 - a row
                await asyncio.sleep(0.05)
        assert not change.done()
    finally:
        writer = await until_read(wrapped)
        wrapped.unlink()  # nobody waits at it again
        os.close(writer)
        answer = await change
    assert (answer.status_code, answer.json()["text_missing"]) == (200, True)


def is_resolved_and_free(postgres_dsn: str, annotation_id: UUID) -> bool:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT annotation.resolved_at IS NOT NULL FROM annotation"
            " JOIN file ON file.id = annotation.file_id"
            " WHERE annotation.id = %s FOR UPDATE SKIP LOCKED",
            (annotation_id,),
        ).fetchone()
    return row == (True,)


async def until_read(pipe: Path) -> int:
    """The open end for writing, once somebody waits at the other."""
    async with asyncio.timeout(LONGEST_FETCH_SECONDS):
        while True:
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await asyncio.sleep(0.02)


async def test_an_annotation_of_the_whole_file_is_on_the_version_that_it_has_by_then(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> None:
    made = await make_collection(client, "full")
    file_id = UUID((await add_file(client, str(made["id"]))).json()["id"])
    first = await publish_pages(database, tenant, stores, file_id, [["The lease."]])
    caller = Caller(
        tenant.tenant_id,
        tenant.principal_id,
        new_id(),
        frozenset({"files:read", "annotations:write"}),
        is_admin=True,
    )
    await client.post(f"/v1/files/{file_id}/versions", content=b"second")
    second = await publish_pages(database, tenant, stores, file_id, [["The lease, again."]])
    body = NewAnnotation(file_id=file_id)
    async with database.transaction(caller.access) as session:
        made_on = await annotating.create(session, caller, body, Wanted(first, None))
    assert made_on.annotation.version_id == second.id
    assert made_on.annotation.reading_id == second.document_blob_id


async def test_what_is_quoted_is_shown_and_kept_sealed_in_first_answers_too(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    postgres_dsn: str,
) -> None:
    made = await make_collection(client, "encrypted_text")
    file_id = (await add_file(client, str(made["id"]))).json()["id"]
    await publish_sealed(database, tenant, stores, UUID(file_id))
    body = {
        "file_id": file_id,
        "target": {"page": 1, "quote": {"exact": f"lease of {CANARY}"}},
        "body": "Since when?",
    }
    headers = {"Idempotency-Key": str(new_id())}
    first = await client.post("/v1/annotations", json=body, headers=headers)
    assert first.status_code == 201, first.text
    assert first.json()["target"]["quote"]["exact"] == f"lease of {CANARY}"
    assert first.json()["anchor"]["quote"]["exact"] == f"lease of {CANARY}"
    repeated = await client.post("/v1/annotations", json=body, headers=headers)
    assert (repeated.status_code, repeated.json()["id"]) == (201, first.json()["id"])
    assert repeated.json()["target"]["quote"] is None
    path = f"/v1/annotations/{first.json()['id']}"
    shown = (await client.get(path)).json()
    assert shown == first.json()
    changed = await client.patch(path, json={"state": "resolved"})
    assert changed.json()["target"] == first.json()["target"]
    (listed,) = (await client.get("/v1/annotations", params={"file_id": file_id})).json()["data"]
    assert listed["target"] == first.json()["target"]
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT (SELECT count(*) FROM annotation WHERE annotation::text LIKE %(canary)s),"
            " (SELECT count(*) FROM idempotency_key WHERE response::text LIKE %(canary)s),"
            " (SELECT count(*) FROM annotation"
            "  WHERE file_id = %(file_id)s AND sealed_words IS NOT NULL)",
            {"canary": f"%{CANARY}%", "file_id": file_id},
        ).fetchone()
    assert rows == (0, 0, 1)

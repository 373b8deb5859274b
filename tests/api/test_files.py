"""Files: listing, changing, trash, erasure; collections and keys."""

import asyncio
from uuid import UUID

import httpx
import psycopg
import pytest

from api.files.listing import created_range
from api.files.service import merged
from muniment.client import AsyncMuniment
from muniment.errors import InvalidRequest
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant


async def add(client: httpx.AsyncClient, name: str, **fields: str) -> dict[str, object]:
    answer = await client.post(
        "/v1/files",
        content=name.encode(),
        params={"name": name, **fields},
        headers={"Content-Type": fields.pop("type", "text/plain")},
    )
    assert answer.status_code == 202, answer.text
    body: dict[str, object] = answer.json()
    return body


async def names(client: httpx.AsyncClient, **parameters: str) -> list[str]:
    answer = await client.get("/v1/files", params=parameters)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["data"]]


async def test_pages_of_the_list_hold_every_file_once_newest_first(
    client: httpx.AsyncClient,
) -> None:
    for number in range(7):
        await add(client, f"{number}.txt")
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        parameters = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/files", params=parameters)).json()
        seen += [each["name"] for each in page["data"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == [f"{number}.txt" for number in reversed(range(7))]
    assert pages == 3


async def test_filters_and_orders(client: httpx.AsyncClient) -> None:
    await client.post("/v1/collections", json={"name": "tax"})
    await add(client, "Report_1%.txt", metadata='{"year": 2026, "kind": "tax"}')
    await add(client, "note.txt", collection="tax")
    await add(client, "alpha.txt", metadata='{"year": 2025}')
    assert await names(client, **{"name~": "REPORT_1%"}) == ["Report_1%.txt"]
    assert await names(client, **{"name~": "%"}) == ["Report_1%.txt"]
    assert await names(client, **{"metadata.year": "2026"}) == ["Report_1%.txt"]
    assert await names(client, year="2026") == ["Report_1%.txt"]
    assert await names(client, mediatype="text/plain") == []
    assert await names(client, collection="tax") == ["note.txt"]
    assert await names(client, collection="unknown") == []
    assert await names(client, state="ready") == []
    assert len(await names(client, state="received", media_type="text/plain")) == 3
    assert await names(client, sort="name") == ["Report_1%.txt", "alpha.txt", "note.txt"]
    assert await names(client, created="2000-01-01..2001-01-01") == []
    assert len(await names(client, created="2000-01-01..")) == 3
    first = (await client.get("/v1/files", params={"sort": "name", "limit": "1"})).json()
    wrong = await client.get("/v1/files", params={"sort": "-name", "cursor": first["next_cursor"]})
    assert wrong.status_code == 400


async def test_what_a_file_has_is_not_taken_for_a_field_of_its_metadata(
    client: httpx.AsyncClient,
) -> None:
    await add(client, "note.txt", metadata='{"name": "a"}')
    for field in ("name", "size", "sha256", "id"):
        refused = await client.get("/v1/files", params={field: "a"})
        assert refused.status_code == 400, field
        assert f"metadata.{field}" in refused.json()["remedy"]
    assert await names(client, **{"metadata.name": "a"}) == ["note.txt"]


def test_created_takes_days_times_and_open_ranges() -> None:
    start, end = created_range("2026-01-31")
    assert start is not None
    assert end is not None
    assert (start.isoformat(), end.isoformat()) == (
        "2026-01-31T00:00:00+00:00",
        "2026-02-01T00:00:00+00:00",
    )
    assert created_range("..2026-01-31T10:00:00Z")[0] is None
    with pytest.raises(InvalidRequest):
        created_range("yesterday")


def test_metadata_is_merged_as_rfc_7396_says() -> None:
    assert merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}, "e": []}) == {
        "b": {"c": 4, "d": 3},
        "e": [],
    }


async def test_a_change_needs_the_present_etag(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt", metadata='{"a": 1, "b": 2}')
    path = f"/v1/files/{file['id']}"
    tag = (await client.get(path)).headers["ETag"]
    changed = await client.patch(
        path,
        json={"name": "b.txt", "metadata": {"a": None}, "labels": ["x", "x"]},
        headers={"If-Match": tag},
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["metadata"]) == ("b.txt", {"b": 2})
    assert changed.json()["labels"] == ["x"]
    late = await client.patch(path, json={"name": "c.txt"}, headers={"If-Match": tag})
    assert late.status_code == 412
    unknown = await client.patch(path, json={"nam": "c.txt"})
    assert unknown.status_code == 422


async def test_the_trash_hides_and_gives_back(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt")
    path = f"/v1/files/{file['id']}"
    trashed = await client.delete(path)
    assert (trashed.status_code, trashed.json()["state"]) == (200, "trashed")
    assert await names(client) == []
    assert await names(client, state="trashed") == ["a.txt"]
    assert (await client.get(f"{path}/content")).status_code == 409
    restored = await client.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["state"]) == (200, "received")
    assert (await client.post(f"{path}/restore")).status_code == 409
    assert (await client.get(f"{path}/content")).content == b"a.txt"


async def test_permanent_deletion_is_a_job(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt")
    path = f"/v1/files/{file['id']}"
    answer = await client.delete(path, params={"permanent": "true"})
    assert answer.status_code == 202
    assert answer.json()["kind"] == "erase_file"
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    assert (await client.get(path)).json()["state"] == "erasing"
    assert (await client.get(f"{path}/content")).status_code == 410
    assert (await client.delete(path, params={"permanent": "true"})).status_code == 409
    assert (await client.delete(path)).status_code == 410


async def test_a_failed_file_can_be_trashed_restored_and_deleted_for_good(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file = await add(client, "broken.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE file_id = %s", (file["id"],)
        )
    _set_state(postgres_dsn, UUID(str(file["id"])), "failed")
    path = f"/v1/files/{file['id']}"
    trashed = await client.delete(path)
    assert (trashed.status_code, trashed.json()["state"]) == (200, "trashed")
    assert await names(client) == []
    restored = await client.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["state"]) == (200, "failed")
    assert (await client.delete(path)).status_code == 200
    erasure = await client.delete(path, params={"permanent": "true"})
    assert (erasure.status_code, erasure.json()["kind"]) == (202, "erase_file")
    assert (await client.get(path)).json()["state"] == "erasing"


async def test_what_was_not_read_yet_is_a_conflict(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt")
    for part in (
        *("pages", "pages/1", "pages/1/image", "thumbnail"),
        *("document", "markdown", "text", "chunks"),
    ):
        answer = await client.get(f"/v1/files/{file['id']}/{part}")
        assert answer.status_code == 409, part


async def test_settings_of_a_reprocessing_are_checked(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt")
    path = f"/v1/files/{file['id']}/reprocess"
    for wrong in (
        {"chunk_tokens": 31},
        {"chunk_tokens": 257},
        {"chunk_tokens": "x"},
        {"no": 1},
        {"ocr_engine": "x"},
        {"pdf_pipeline": "x"},
    ):
        assert (await client.post(path, json={"settings": wrong})).status_code == 422, wrong
    assert (await client.post(path, json={"settings": {"chunk_tokens": 64}})).status_code == 409


async def test_settings_of_a_reprocessing_are_its_job_s(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await add(client, "a.pdf")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE file_id = %s", (file["id"],)
        )
    chosen = {"ocr_engine": "tesseract", "pdf_pipeline": "docling"}
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        job = await muniment.files.reprocess(str(file["id"]), **chosen)
    with psycopg.connect(postgres_dsn) as connection:
        kept = connection.execute("SELECT settings FROM job WHERE id = %s", (job.id,)).fetchone()
    assert kept == (chosen,)


async def test_a_reprocessing_takes_the_password_anew(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await add(client, "a.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE file_id = %s", (file["id"],)
        )
    path, headers = f"/v1/files/{file['id']}/reprocess", {"Idempotency-Key": "once"}
    body = {"password": "horse battery"}
    first = await client.post(path, json=body, headers=headers)
    assert first.status_code == 202, first.text
    assert "battery" not in first.text
    again = await client.post(path, json=body, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    other = await client.post(path, json={"password": "another"}, headers=headers)
    assert other.status_code == 422, "one key for two requests"
    assert (await client.post(path, json={"password": "x" * 1025})).status_code == 422
    with psycopg.connect(postgres_dsn) as connection:
        kept = connection.execute(
            "SELECT job_id FROM job_password WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert kept == [(UUID(first.json()["id"]),)]


async def test_quarantined_content_is_for_those_who_decide(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await add(client, "a.txt")
    _set_state(postgres_dsn, UUID(str(file["id"])), "quarantined")
    path = f"/v1/files/{file['id']}/content"
    assert (await client.get(path)).status_code == 200
    reader = make_tenant(postgres_dsn, tenant.name, principal="r", scopes=("files:read",))
    async with client_of(api, reader.api_key) as limited:
        assert (await limited.get(path)).status_code == 409


async def test_an_infected_version_is_withheld_while_its_file_shows_another(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await add(client, "a.txt")
    _set_state(postgres_dsn, UUID(str(file["id"])), "ready")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file_version SET scan_state = 'infected' WHERE file_id = %s", (file["id"],)
        )
    path = f"/v1/files/{file['id']}/content?version=1"
    assert (await client.get(path)).status_code == 200
    reader = make_tenant(postgres_dsn, tenant.name, principal="r", scopes=("files:read",))
    async with client_of(api, reader.api_key) as limited:
        assert (await limited.get(path)).status_code == 409
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE file_version SET published_at = now() WHERE file_id = %s", (file["id"],)
            )
        assert (await limited.get(path)).status_code == 200, "it was released and published"


async def test_an_upload_is_not_answered_with_a_file_that_is_being_trashed(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    former = await add(client, "a.txt")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file SET trashed_from = state, state = 'trashed' WHERE id = %s",
            (former["id"],),
        )
        again = asyncio.create_task(client.post("/v1/files?name=a.txt", content=b"a.txt"))
        await asyncio.sleep(1)
        assert not again.done(), "it must wait for what becomes of the file"
        connection.commit()
        answer = await again
    assert answer.status_code == 202
    assert answer.json()["id"] != former["id"]


def _set_state(postgres_dsn: str, file_id: UUID, state: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file SET state = %s WHERE id = %s", (state, file_id))


async def test_others_of_the_tenant_read_but_do_not_change(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file = await add(client, "a.txt")
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as other:
        path = f"/v1/files/{file['id']}"
        assert (await other.get(path)).status_code == 200
        assert (await other.patch(path, json={"name": "b"})).status_code == 403
        assert (await other.delete(path)).status_code == 403
        assert (await other.post(f"{path}/versions", content=b"x")).status_code == 403
        job = f"/v1/jobs/{file['job']['id']}"  # type: ignore[index] # JSON
        assert (await other.get(job)).status_code == 200
        assert (await other.post(f"{job}/cancel")).status_code == 403


# ── collections ─────────────────────────────────────────────────────────────────────────────────


async def test_a_collection_lives_from_creation_to_deletion(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/collections", json={"name": "papers"})
    assert made.status_code == 201
    path = made.headers["Location"]
    taken = await client.post("/v1/collections", json={"name": "papers"})
    assert taken.status_code == 409
    shown = await client.get(path)
    assert shown.json()["visibility"] == "tenant"
    tag = shown.headers["ETag"]
    changed = await client.patch(path, json={"name": "essays"}, headers={"If-Match": tag})
    assert changed.json()["name"] == "essays"
    late = await client.patch(path, json={"name": "x"}, headers={"If-Match": tag})
    assert late.status_code == 412
    file = await add(client, "a.txt", collection="essays")
    assert file["collection"] == "essays"
    assert (await client.delete(path)).status_code == 409
    assert await client.patch(f"/v1/files/{file['id']}", json={"collection": "default"})
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_a_private_collection_is_unseen_by_others(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as other:
        listed = (await other.get("/v1/collections")).json()["data"]
        assert [each["name"] for each in listed] == ["default"]
        assert (await other.get(made.headers["Location"])).status_code == 404


# ── API keys ────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_shown_once_works_and_dies(
    client: httpx.AsyncClient, api: ApiProcess
) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = {"name": "reader", "scopes": ["files:read", "keys:manage"]}
    made = await client.post("/v1/api-keys", json=body, headers=headers)
    secret = made.json()["secret"]
    again = await client.post("/v1/api-keys", json=body, headers=headers)
    assert (again.json()["id"], again.json()["secret"]) == (made.json()["id"], None)
    assert secret not in (await client.get("/v1/api-keys")).text
    async with client_of(api, secret) as reader:
        assert (await reader.get("/v1/files")).status_code == 200
        more = await reader.post("/v1/api-keys", json={"name": "x", "scopes": ["files:delete"]})
        assert more.status_code == 403
        assert (await client.delete(f"/v1/api-keys/{made.json()['id']}")).status_code == 200
        assert (await reader.get("/v1/files")).status_code == 401


async def test_an_expired_key_is_refused(client: httpx.AsyncClient, api: ApiProcess) -> None:
    past = {"name": "x", "scopes": ["search"], "expires_at": "2020-01-01T00:00:00Z"}
    assert (await client.post("/v1/api-keys", json=past)).status_code == 422
    unknown = {"name": "x", "scopes": ["everything"]}
    assert (await client.post("/v1/api-keys", json=unknown)).status_code == 422


async def test_concurrent_changes_of_one_file_do_not_lose_any(client: httpx.AsyncClient) -> None:
    file = await add(client, "a.txt")
    await asyncio.gather(
        *(
            client.patch(f"/v1/files/{file['id']}", json={"metadata": {f"k{number}": number}})
            for number in range(5)
        )
    )
    metadata = (await client.get(f"/v1/files/{file['id']}")).json()["metadata"]
    assert metadata == {f"k{number}": number for number in range(5)}

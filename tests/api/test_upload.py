"""POST /v1/files against a real server: streaming, digests, deduplication, idempotency."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from api.files.schemas import MAX_METADATA_FIELDS
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.conftest import TenantFixture, make_tenant

MEBIBYTE = 1024 * 1024


def digest_field(content: bytes, algorithm: str = "sha-256") -> str:
    hashed = hashlib.new(algorithm.replace("-", ""), content).digest()
    return f"{algorithm}=:{base64.b64encode(hashed).decode()}:"


async def upload(
    client: httpx.AsyncClient,
    content: bytes,
    name: str = "a.txt",
    headers: dict[str, str] | None = None,
    **fields: str,
) -> httpx.Response:
    return await client.post(
        "/v1/files",
        content=content,
        params={"name": name, **fields},
        headers={"Content-Type": "text/plain", **(headers or {})},
    )


async def test_a_raw_upload_answers_with_the_file_and_its_job(client: httpx.AsyncClient) -> None:
    answer = await upload(client, b"hello", metadata='{"year": 2026}', priority="2")
    assert answer.status_code == 202, answer.text
    file = answer.json()
    assert answer.headers["Location"] == f"/v1/files/{file['id']}"
    assert (file["name"], file["size"], file["media_type"]) == ("a.txt", 5, "text/plain")
    assert file["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert (file["state"], file["version"], file["collection"]) == ("received", 1, "default")
    assert file["metadata"] == {"year": 2026}
    assert "deduplicated" not in file
    job = file["job"]
    assert (job["state"], job["priority"], job["kind"]) == ("queued", 2, "ingest_file")
    assert job["version"] == 1
    assert [stage["name"] for stage in job["stages"]][:3] == ["scan", "inspect", "read"]
    shown = await client.get(answer.headers["Location"])
    assert shown.json()["id"] == file["id"]


async def test_fields_of_a_form_may_come_before_and_after_the_file(
    client: httpx.AsyncClient,
) -> None:
    boundary = "x" * 20
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="priority"\r\n\r\n1\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="C:\\x\\б.md"\r\n'
        f"Content-Type: text/markdown\r\n\r\n# Title\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{{"a": "b"}}\r\n'
        f"--{boundary}--\r\n"
    ).encode()
    answer = await client.post(
        "/v1/files",
        content=body,
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Digest": digest_field(body),
        },
    )
    assert answer.status_code == 202, answer.text
    file = answer.json()
    assert (file["name"], file["size"]) == ("б.md", 7)
    assert (file["media_type"], file["metadata"]) == ("text/markdown", {"a": "b"})
    assert file["job"]["priority"] == 1


async def test_a_client_librarys_form_is_understood(client: httpx.AsyncClient) -> None:
    content = os.urandom(300_000)
    answer = await client.post(
        "/v1/files",
        files={"file": ("scan é.pdf", content, "application/pdf")},
        data={"collection": "default"},
        headers={"Repr-Digest": digest_field(content, "sha-512")},
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert answer.json()["name"] == "scan é.pdf"
    got = await client.get(f"/v1/files/{answer.json()['id']}/content")
    assert got.content == content


async def test_a_digest_that_does_not_fit_keeps_nothing(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    answer = await upload(client, b"hello", headers={"Content-Digest": digest_field(b"other")})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:muniment:problem:digest-mismatch"
    assert api.stored_objects(tenant.tenant_id) == []
    assert (await client.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize("field", ["sha-256=:!!:", "sha-256=abc", "sha-512=:aGk=:"])
async def test_a_malformed_digest_field_is_refused(client: httpx.AsyncClient, field: str) -> None:
    assert (await upload(client, b"x", headers={"Content-Digest": field})).status_code == 400


async def test_a_wrong_field_behind_the_file_keeps_nothing(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    answer = await client.post(
        "/v1/files", files=[("file", ("a.txt", b"abc")), ("metadata", (None, b"{not json"))]
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "metadata"
    assert api.stored_objects(tenant.tenant_id) == []


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"priority": "9"}, "priority"),
        ({"collection": "no such"}, "collection"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": '{"a": "\\u0000"}'}, "metadata"),
        ({"unheard_of": "1"}, "unheard_of"),
        ({"password": "secret" * 200}, "password"),
    ],
)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, fields: dict[str, str], wrong: str
) -> None:
    answer = await upload(client, b"x", **fields)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == wrong
    assert "secret" not in answer.text


async def test_a_truncated_form_is_refused(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    answer = await client.post(
        "/v1/files", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 400
    assert api.stored_objects(tenant.tenant_id) == []


async def test_more_than_the_limit_is_refused_before_and_while_it_comes(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/files?name=a HTTP/1.1\r\nHost: {host}\r\nContent-Length: {10**12}\r\n"
        f"Authorization: Bearer {tenant.api_key}\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(420):
            yield bytes(MEBIBYTE)

    try:
        streamed = await client.post("/v1/files?name=a", content=endless())
        assert streamed.status_code == 413
    except httpx.TransportError:
        pass  # the server closed the connection while the client still wrote
    await _until(lambda: api.stored_objects(tenant.tenant_id) == [])


async def test_an_interrupted_upload_leaves_nothing_behind(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield os.urandom(MEBIBYTE)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await client.post("/v1/files?name=a.bin", content=broken())
    await _until(lambda: api.stored_objects(tenant.tenant_id) == [])
    assert (await client.get("/v1/files")).json()["data"] == []


async def test_a_killed_api_leaves_no_unfinished_upload_to_the_next(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    doomed = start_api(tmp_path / "home", api_environment)
    try:
        async with _half_an_upload(doomed, tenant):
            doomed.process.kill()
    finally:
        doomed.process.kill()
        doomed.process.wait(timeout=60)
    assert doomed.stored_objects(tenant.tenant_id)
    successor = start_api(tmp_path / "home", api_environment)
    try:
        async with asyncio.timeout(60):
            while successor.stored_objects(tenant.tenant_id):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
    finally:
        assert await asyncio.to_thread(stop_api, successor) == 0


@asynccontextmanager
async def _half_an_upload(api: ApiProcess, tenant: TenantFixture) -> AsyncIterator[None]:
    """An upload in progress, of which some has reached the store."""
    address = httpx.URL(api.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        b"POST /v1/files?name=half.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
        b"Authorization: Bearer " + tenant.api_key.encode() + b"\r\n\r\n" + bytes(4_000_000)
    )
    try:
        async with asyncio.timeout(60):
            while not api.stored_objects(tenant.tenant_id):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        assert not reader.at_eof(), "the upload is in progress"
        yield
    finally:
        writer.close()


async def test_an_empty_file_is_taken_in(client: httpx.AsyncClient) -> None:
    answer = await upload(client, b"", name="empty.pdf")
    assert (answer.status_code, answer.json()["size"]) == (202, 0)
    content = await client.get(f"/v1/files/{answer.json()['id']}/content")
    assert (content.status_code, content.content) == (200, b"")


async def test_the_same_again_is_the_same_file(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    first = await upload(client, b"same")
    stored = len(api.stored_objects(tenant.tenant_id))
    again = await upload(client, b"same")
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["job"]["id"] == first.json()["job"]["id"]
    assert len(api.stored_objects(tenant.tenant_id)) == stored


async def test_another_name_shares_the_blob(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    first = await upload(client, b"shared")
    other = await upload(client, b"shared", name="b.txt")
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]
    assert len(api.stored_objects(tenant.tenant_id)) == 2  # one ciphertext, one key


async def test_twin_uploads_at_once_make_one_file(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    content = os.urandom(200_000)
    answers = await asyncio.gather(*(upload(client, content) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(api.stored_objects(tenant.tenant_id)) == 2


async def test_content_that_the_caller_may_not_read_is_never_told(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await client.post("/v1/collections", json={"name": "drawer", "visibility": "private"})
    first = await upload(client, b"hidden", collection="drawer")
    other = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, other.api_key) as clerk:
        refused = await upload(clerk, b"hidden", collection="drawer")
        assert refused.status_code == 422  # as for a collection that is not there
        own = await upload(clerk, b"hidden")
        assert own.status_code == 202
        assert own.json()["id"] != first.json()["id"]
        assert (await clerk.get(f"/v1/files/{first.json()['id']}")).status_code == 404


async def test_a_taken_name_makes_a_second_file_or_a_version(client: httpx.AsyncClient) -> None:
    first = await upload(client, b"one")
    second = await upload(client, b"two")
    assert second.json()["id"] != first.json()["id"]
    third = await upload(client, b"three", on_conflict="version")
    assert third.json()["id"] == second.json()["id"]
    assert third.json()["job"]["version"] == 2
    versions = await client.get(f"/v1/files/{second.json()['id']}/versions")
    assert [each["version"] for each in versions.json()["data"]] == [2, 1]


async def test_a_version_can_be_added_to_a_file(client: httpx.AsyncClient) -> None:
    file = (await upload(client, b"one")).json()
    answer = await client.post(f"/v1/files/{file['id']}/versions", content=b"two")
    assert answer.status_code == 202, answer.text
    assert answer.json()["job"]["version"] == 2
    again = await client.post(f"/v1/files/{file['id']}/versions", content=b"two")
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    former = await client.get(f"/v1/files/{file['id']}/content", params={"version": 1})
    assert former.content == b"one"


async def test_the_metadata_of_a_version_are_merged_into_the_files(
    client: httpx.AsyncClient,
) -> None:
    file = (await upload(client, b"one", metadata='{"case": "A-1", "seen": true}')).json()
    answer = await client.post(
        f"/v1/files/{file['id']}/versions",
        params={"metadata": '{"seen": null, "year": 1999}'},
        content=b"two",
    )
    assert answer.json()["metadata"] == {"case": "A-1", "year": 1999}
    by_name = await upload(client, b"three", on_conflict="version", metadata='{"year": 2000}')
    assert by_name.json()["metadata"] == {"case": "A-1", "year": 2000}
    silent = await client.post(f"/v1/files/{file['id']}/versions", content=b"four")
    assert silent.json()["metadata"] == {"case": "A-1", "year": 2000}
    # As many as one request may bring, and the two that are there: refused, and nothing is made.
    more = json.dumps({f"field-{n}": n for n in range(MAX_METADATA_FIELDS)})
    refused = await upload(client, b"five", on_conflict="version", metadata=more)
    assert refused.status_code == 422
    shown = (await client.get(f"/v1/files/{file['id']}")).json()
    assert (shown["version"], shown["metadata"]) == (4, {"case": "A-1", "year": 2000})


async def test_an_idempotency_key_gives_the_first_answer_again(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await upload(client, b"idem", headers=headers)
    again = await upload(client, b"idem", headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    other = await upload(client, b"other", headers=headers)
    assert other.status_code == 422
    assert len((await client.get("/v1/files")).json()["data"]) == 1


async def test_a_key_in_flight_is_a_conflict_and_a_failure_frees_it(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    headers = {"Idempotency-Key": "k-2", "Content-Type": "text/plain"}
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"part"
        begun.set()
        await go_on.wait()
        yield b"rest"

    running = asyncio.create_task(
        client.post("/v1/files?name=s.txt&priority=1", content=slow(), headers=headers)
    )
    await begun.wait()
    await _until(lambda: _key_is_taken(postgres_dsn, tenant, "k-2"))
    meanwhile = await upload(client, b"partrest", name="s.txt", headers=headers)
    assert meanwhile.status_code == 409
    go_on.set()
    assert (await running).status_code == 202
    failed = await upload(client, b"x", headers={"Idempotency-Key": "k-3"}, priority="9")
    assert failed.status_code == 422
    repeated = await upload(client, b"x", headers={"Idempotency-Key": "k-3"})
    assert repeated.status_code == 202


async def test_an_upload_is_audited_in_its_transaction(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await upload(client, b"audited")
    await upload(client, b"audited")
    assert audit_actions(postgres_dsn, tenant.tenant_id) == ["file.created", "file.uploaded_again"]


async def test_memory_stays_flat_while_256_mebibytes_come_and_go(
    client: httpx.AsyncClient, api: ApiProcess
) -> None:
    block = os.urandom(MEBIBYTE)
    idle = api.resident_bytes
    highest = idle

    async def body() -> AsyncIterator[bytes]:
        nonlocal highest
        for number in range(256):
            yield number.to_bytes(8, "big") + block[8:]
            highest = max(highest, api.resident_bytes)

    answer = await client.post("/v1/files?name=big.bin", content=body())
    assert answer.status_code == 202, answer.text
    received = 0
    async with client.stream("GET", f"/v1/files/{answer.json()['id']}/content") as download:
        async for chunk in download.aiter_bytes():
            received += len(chunk)
            highest = max(highest, api.resident_bytes)
    assert received == 256 * MEBIBYTE
    assert highest - idle < 150 * MEBIBYTE
    print(json.dumps({"upload_peak_mebibytes": round((highest - idle) / MEBIBYTE, 1)}))


def _key_is_taken(postgres_dsn: str, tenant: TenantFixture, key: str) -> bool:
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT 1 FROM idempotency_key WHERE tenant_id = %s AND key = %s",
            (tenant.tenant_id, key),
        )
        return found.fetchone() is not None


async def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    for _ in range(int(seconds * 10)):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come true in time")

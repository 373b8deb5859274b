"""Quotas at every door that the API has, and what a tenant is told of its own."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from db.queries.quotas import Quota
from db.quotas import set_quota
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import PIECE, address, create, head, metadata, offset_of, opened, patch
from tests.conftest import TenantFixture

MIB = 1024 * 1024
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="b.txt"\r\n\r\n'
PROBLEM = "urn:muniment:problem:quota-exceeded"


async def upload(client: httpx.AsyncClient, content: bytes, name: str = "a.txt") -> httpx.Response:
    return await client.post("/v1/files", params={"name": name}, content=content)


async def used(client: httpx.AsyncClient) -> tuple[int, int, int]:
    answer = await client.get("/v1/quotas")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    return tuple(shown[name]["used"] for name in ("bytes", "files", "pages"))


def assert_refused(answer: httpx.Response, detail: str) -> None:
    assert answer.status_code == 403, answer.text
    problem = answer.json()
    assert (problem["type"], problem["detail"]) == (PROBLEM, detail)
    assert "ask the operator" in problem["remedy"]


async def test_a_tenant_sees_what_it_keeps_and_may_keep(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    nothing = {"used": 0, "limit": None}
    shown = (await client.get("/v1/quotas")).json()
    assert shown == {"bytes": nothing, "files": nothing, "pages": nothing}
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=100, max_pages=7))
    file = (await upload(client, b"0123456789")).json()
    await client.post(f"/v1/files/{file['id']}/versions", content=b"another")
    # Content that is stored once counts for each that has it: nobody learns that it was there.
    await upload(client, b"0123456789", "b.txt")
    # The same under the same name makes nothing, and counts for nothing.
    assert (await upload(client, b"0123456789", "b.txt")).status_code == 200
    shown = (await client.get("/v1/quotas")).json()
    assert shown == {
        "bytes": {"used": 27, "limit": 100},
        "files": {"used": 2, "limit": None},
        "pages": {"used": 0, "limit": 7},
    }
    await client.delete(f"/v1/files/{file['id']}")
    assert await used(client) == (27, 2, 0), "what lies in the trash is kept"


async def test_uploads_beyond_it_are_refused_with_what_is_there(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=10, max_files=2))
    file = (await upload(client, b"12345678")).json()
    before = len(api.stored_objects(tenant.tenant_id))
    detail = "the tenant keeps 8 of 10 bytes, and this needs 3 more"
    assert_refused(await upload(client, b"abc", "b.txt"), detail)
    form = {"file": ("b.txt", b"abc")}
    assert_refused(await client.post("/v1/files", files=form), detail)
    versions = f"/v1/files/{file['id']}/versions"
    assert_refused(await client.post(versions, content=b"abc"), detail)

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"abc"

    answer = await client.post("/v1/files?name=b.txt", content=unannounced())
    assert_refused(answer, detail)
    assert await used(client) == (8, 1, 0)
    assert len(api.stored_objects(tenant.tenant_id)) == before, "nothing of them stays"
    assert (await client.post(versions, content=b"x")).status_code == 202
    assert (await upload(client, b"y", "b.txt")).status_code == 202
    assert_refused(
        await upload(client, b"", "c.txt"),
        "the tenant keeps 2 of 2 files, and this needs 1 more",
    )


@pytest.mark.parametrize("door", ["raw", "form", "version", "resumable", "partial"])
async def test_what_comes_without_a_length_is_read_no_further_than_there_is_room(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
    door: str,
) -> None:
    file = (await upload(client, b"12345678")).json()
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=MIB))
    before = len(api.stored_objects(tenant.tenant_id))
    path, method, headers, beginning = {
        "raw": ("/v1/files?name=b.txt", "POST", {}, b""),
        "form": ("/v1/files", "POST", {"Content-Type": "multipart/form-data; boundary=b"}, FORM),
        "version": (f"/v1/files/{file['id']}/versions", "POST", {}, b""),
        "resumable": ("", "PATCH", {**PIECE, "Upload-Offset": "0"}, b""),
        "partial": ("", "PATCH", {**PIECE, "Upload-Offset": "0"}, b""),
    }[door]
    if method == "PATCH":
        concatenation = {"Upload-Concat": "partial"} if door == "partial" else {}
        deferred = {"Upload-Defer-Length": "1", **concatenation}
        path = address(await create(client, None, deferred, filename="b.txt"))
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = {
        "Host": parts.netloc,
        "Authorization": f"Bearer {tenant.api_key}",
        "Transfer-Encoding": "chunked",
        **headers,
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    body = beginning + bytes(MIB)
    writer.write("\r\n".join([*lines, "", ""]).encode() + b"%x\r\n" % len(body) + body + b"\r\n")
    async with asyncio.timeout(30):
        # More is to come, and the API does not wait for it.
        status = await reader.readline()
    writer.close()
    assert status.startswith(b"HTTP/1.1 403"), status
    assert await used(client) == (8, 1, 0)
    for _ in range(100):
        if len(api.stored_objects(tenant.tenant_id)) == before:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("something of it stays")


async def test_what_is_there_already_may_come_again_without_a_length(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    first = (await upload(client, b"12345678")).json()
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=8, max_files=1))

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"1234"
        yield b"5678"

    for path in ("/v1/files?name=a.txt", f"/v1/files/{first['id']}/versions"):
        answer = await client.post(path, content=unannounced())
        assert (answer.status_code, answer.json()["id"]) == (200, first["id"]), answer.text


async def test_a_form_is_compared_with_files_of_its_name_alone(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """Not with everything that the caller may read, which may be a million."""
    first = (await upload(client, b"12345678")).json()
    await upload(client, b"1", "b.txt")
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=9))
    detail = "the tenant keeps 9 of 9 bytes, and this needs 8 more"
    for name in ("b.txt", "c.txt"):
        answer = await client.post("/v1/files", files={"file": (name, b"12345678")})
        assert_refused(answer, detail)
    named = {"data": {"name": "a.txt"}, "files": {"file": ("b.txt", b"12345678")}}
    answer = await client.post("/v1/files", **named)  # type: ignore[arg-type] # two keywords
    assert (answer.status_code, answer.json()["id"]) == (200, first["id"]), answer.text


async def test_what_is_there_already_needs_no_room(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    first = (await upload(client, b"12345678")).json()
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=8, max_files=1))
    again = [
        await upload(client, b"12345678"),
        await client.post("/v1/files", files={"file": ("a.txt", b"12345678")}),
        await client.post(f"/v1/files/{first['id']}/versions", content=b"12345678"),
    ]
    for answer in again:
        assert (answer.status_code, answer.json()["id"]) == (200, first["id"]), answer.text
    path = await opened(client, 8, filename="a.txt")
    assert (await patch(client, path, 0, b"12345678")).status_code == 204
    assert await used(client) == (8, 1, 0)
    detail = "the tenant keeps 8 of 8 bytes, and this needs 8 more"
    assert_refused(await upload(client, b"87654321"), detail)


async def test_a_version_of_a_file_that_is_there_needs_no_place_of_a_file(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await upload(client, b"1")
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=100, max_files=1))
    wanted = {"name": "a.txt", "on_conflict": "version"}
    raw = await client.post("/v1/files", params=wanted, content=b"22")
    assert raw.status_code == 202, raw.text
    form = {"file": ("a.txt", b"333")}
    answer = await client.post("/v1/files", data={"on_conflict": "version"}, files=form)
    assert answer.status_code == 202, answer.text
    resumed = await create(client, 4, filename="a.txt", on_conflict="version")
    assert resumed.status_code == 201, resumed.text
    assert (await patch(client, address(resumed), 0, b"4444")).status_code == 204
    assert await used(client) == (10, 1, 0)
    detail = "the tenant keeps 1 of 1 files, and this needs 1 more"
    other = {**wanted, "name": "b.txt"}
    assert_refused(await client.post("/v1/files", params=other, content=b"1"), detail)
    detail = "the tenant keeps 10 of 100 bytes, and this needs 91 more"
    assert_refused(await client.post("/v1/files", params=wanted, content=b"x" * 91), detail)


async def test_another_tenants_file_is_not_found_at_a_full_quota(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    other_tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    file = (await upload(client, b"mine")).json()
    set_quota(postgres_dsn, other_tenant.name, Quota(max_bytes=0, max_files=0))
    answer = await stranger.post(f"/v1/files/{file['id']}/versions", content=b"theirs")
    assert answer.status_code == 404, answer.text
    elsewhere = {"name": "a.txt", "collection": "nowhere"}
    answer = await stranger.post("/v1/files", params=elsewhere, content=b"theirs")
    assert answer.status_code == 422, answer.text


async def test_unfinished_uploads_have_their_room(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=10))
    path = await opened(client, 6)
    assert_refused(
        await create(client, 5, filename="b.txt"),
        "the tenant keeps 0 of 10 bytes, 6 are those of unfinished uploads, and this needs 5 more",
    )
    assert (await create(client, 4, filename="b.txt")).status_code == 201
    assert (await patch(client, path, 0, b"sixsix")).status_code == 204, "its own room is not taken"


async def test_pages_that_are_used_up_refuse_uploads(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_pages=3))
    await upload(client, b"three pages")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file_version SET counted_pages = 3 WHERE tenant_id = %s", (tenant.tenant_id,)
        )
    assert_refused(
        await upload(client, b"one more", "b.txt"),
        "the tenant keeps 3 of 3 pages, and this needs 1 more",
    )


async def test_the_last_place_is_given_once(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=25))
    answers = await asyncio.gather(
        *(upload(client, f"{number:010}".encode(), f"{number}.txt") for number in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [202, 202] + [403] * 6
    assert await used(client) == (20, 2, 0)


async def test_what_is_announced_is_refused_before_it_is_sent(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=10))
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"POST /v1/files?name=a.txt HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {tenant.api_key}\r\nContent-Length: 11\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(30):
        status = await reader.readline()
    writer.close()
    assert status.startswith(b"HTTP/1.1 403"), status


async def test_resumable_uploads_are_refused_at_their_creation(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=10, max_files=1))
    detail = "the tenant keeps 0 of 10 bytes, and this needs 11 more"
    assert_refused(await create(client, 11), detail)
    assert_refused(await create(client, 11, content=b"first"), detail)
    assert_refused(await create(client, 11, {"Upload-Concat": "partial"}), detail)
    assert (await create(client, 0)).status_code == 201
    files = "the tenant keeps 1 of 1 files, and this needs 1 more"
    assert_refused(await create(client, 1), files)
    assert_refused(await create(client, 0, filename="b.txt"), files)


async def test_a_resumable_upload_without_room_waits_for_it(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = await opened(client, 10)
    deferred = address(await create(client, None, {"Upload-Defer-Length": "1"}, filename="b.txt"))
    await patch(client, path, 0, b"01234")
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=5))
    detail = "the tenant keeps 0 of 5 bytes, and this needs 10 more"
    assert_refused(await patch(client, path, 5, b"56789"), detail)
    assert await offset_of(client, path) == 5, "what came is kept"
    answer = await patch(client, deferred, 0, b"0123456789", {"Upload-Length": "10"})
    assert_refused(answer, detail)
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=20))
    assert (await patch(client, path, 5, b"56789")).status_code == 204
    assert "Muniment-File" in (await head(client, path)).headers
    assert await used(client) == (10, 1, 0)


async def test_joined_uploads_are_counted_together(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    partial = {"Upload-Concat": "partial"}
    paths = [await opened(client, 6, headers=partial, content=b"sixsix") for _ in range(2)]
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=10))
    joined = {
        "Tus-Resumable": "1.0.0",
        "Upload-Concat": f"final;{' '.join(paths)}",
        "Upload-Metadata": metadata(filename="a.txt"),
    }
    answer = await client.post("/v1/uploads", headers=joined)
    assert_refused(answer, "the tenant keeps 0 of 10 bytes, and this needs 12 more")
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=12))
    answer = await client.post("/v1/uploads", headers=joined)
    assert answer.status_code == 201, answer.text
    assert await used(client) == (12, 1, 0)


async def test_a_refused_upload_can_be_repeated_with_its_key(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_quota(postgres_dsn, tenant.name, Quota(max_files=0))
    key = {"Idempotency-Key": "once"}
    refused = await client.post("/v1/files?name=a.txt", content=b"x", headers=key)
    assert refused.status_code == 403
    set_quota(postgres_dsn, tenant.name, Quota(max_files=1))
    for _ in range(2):
        # The second one finds the quota used up, and its answer given.
        answer = await client.post("/v1/files?name=a.txt", content=b"x", headers=key)
        assert answer.status_code == 202, answer.text
    assert await used(client) == (1, 1, 0)


async def test_another_tenants_quota_is_its_own(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    other_tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    set_quota(postgres_dsn, other_tenant.name, Quota(max_bytes=0))
    assert (await upload(client, b"mine")).status_code == 202
    assert await used(stranger) == (0, 0, 0)
    assert (await upload(stranger, b"theirs")).status_code == 403


@pytest.fixture
async def narrow(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ApiProcess]:
    """An API whose settings allow little."""
    limits = {"MUNIMENT_QUOTAS__MAX_BYTES": "4", "MUNIMENT_QUOTAS__MAX_FILES": "9"}
    api = start_api(tmp_path_factory.mktemp("narrow"), {**api_environment, **limits})
    yield api
    assert stop_api(api) == 0


async def test_the_settings_hold_for_tenants_without_a_quota(
    narrow: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with client_of(narrow, tenant.api_key) as client:
        assert_refused(
            await upload(client, b"hello"), "the tenant keeps 0 of 4 bytes, and this needs 5 more"
        )
        assert (await client.get("/v1/quotas")).json()["files"] == {"used": 0, "limit": 9}
        set_quota(postgres_dsn, tenant.name, Quota())
        assert (await upload(client, b"hello")).status_code == 202

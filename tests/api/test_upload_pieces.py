"""What of an upload survives: cut connections, kill -9, two who send at once; and what it costs."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg import sql

from db.queries.resumable_uploads import OVERDUE
from db.session import Database
from muniment.objects import (
    BlobStore,
    FilesystemObjectStore,
    ObjectStore,
    S3ObjectStore,
    connect_s3,
)
from muniment.sealing import KeyFile
from muniment.stores import S3_PREFIX
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import (
    VERSION,
    address,
    checksum,
    content_of,
    create,
    head,
    offset_of,
    opened,
    patch,
)
from tests.conformance.s3_server import S3Server
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine
from worker.spent_uploads import SpentUploads
from worker.sweep import Sweep

MEBIBYTE = 1024 * 1024
PART = 8 * MEBIBYTE


@pytest.fixture(params=["folder_api", "s3_api"], ids=["folder", "s3"])
def api(request: pytest.FixtureRequest) -> ApiProcess:
    """Over either kind of store."""
    found: ApiProcess = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def blob_store(api: ApiProcess) -> AsyncIterator[BlobStore]:
    """Over the stores of that API."""
    objects: ObjectStore = FilesystemObjectStore(api.objects)
    if api.bucket is not None:
        server = api.bucket.server
        client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
        objects = S3ObjectStore(client, api.bucket.name, S3_PREFIX)
    yield BlobStore(
        objects,
        KeyFile(api.home / "keys" / "tenants.json"),
        FilesystemObjectStore(api.home / "keys" / "wrapped"),
    )
    await objects.close()


@asynccontextmanager
async def _cut_off(
    api: ApiProcess, key: str, path: str, content: bytes, more: str = ""
) -> AsyncIterator[asyncio.StreamWriter]:
    """A PATCH that announces a byte more than it sends."""
    url = httpx.URL(api.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {len(content) + 1}\r\n"
        f"Content-Type: application/offset+octet-stream\r\n{more}\r\n".encode()
    )
    writer.write(content)
    await writer.drain()
    try:
        yield writer
    finally:
        writer.close()


async def _until_offset(client: httpx.AsyncClient, path: str, least: int) -> int:
    async with asyncio.timeout(on_a_busy_machine(80)):
        while (offset := await offset_of(client, path)) < least:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    return offset


async def test_what_came_before_the_connection_broke_is_kept_to_the_byte(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    content = os.urandom(PART + 1_234_567)
    path = await opened(client, len(content))
    async with _cut_off(api, tenant.api_key, path, content[:-1000]):
        pass
    offset = await _until_offset(client, path, len(content) - 1000)
    last = await patch(client, path, offset, content[offset:])
    assert await content_of(client, last.headers["Muniment-File"]) == content


@pytest.mark.slow
async def test_what_came_from_a_client_that_fell_silent_is_kept(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    path = await opened(client, 5000)
    async with _cut_off(api, tenant.api_key, path, bytes(1000)):
        await _until_offset(client, path, 1000)


async def test_of_a_piece_with_a_checksum_that_was_cut_off_nothing_is_kept(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    content = os.urandom(PART + 1000)
    path = await opened(client, 2 * PART)
    header = f"Upload-Checksum: {checksum(content)}\r\n"
    async with _cut_off(api, tenant.api_key, path, content, header):
        async with asyncio.timeout(on_a_busy_machine(60)):
            while len(api.stored_objects(tenant.tenant_id)) < 2:  # noqa: ASYNC110 - files
                await asyncio.sleep(0.05)
        assert await offset_of(client, path) == 0
    async with asyncio.timeout(on_a_busy_machine(60)):
        while api.stored_objects(tenant.tenant_id):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.05)
    assert await offset_of(client, path) == 0


@pytest.mark.parametrize("on_s3", [False, True], ids=["folder", "s3"])
async def test_an_acknowledged_offset_survives_kill_9_in_the_middle_of_a_piece(
    api_environment: dict[str, str],
    tmp_path: Path,
    tenant: TenantFixture,
    s3: S3Server,
    on_s3: bool,
) -> None:
    bucket = s3.new_bucket() if on_s3 else None
    marker = b"nobody reads this on disk "
    content = (marker * (3 * PART // len(marker) + 1))[: 3 * PART - 5]
    doomed = start_api(tmp_path / "home", api_environment, bucket)
    try:
        async with client_of(doomed, tenant.api_key) as client:
            path = await opened(client, len(content))
            async with _cut_off(doomed, tenant.api_key, path, content[: 2 * PART + 100_000]):
                acknowledged = await _until_offset(client, path, 2 * PART)
                doomed.process.kill()
    finally:
        doomed.process.kill()
        doomed.process.wait(timeout=60)
    for stored in doomed.stored_objects(tenant.tenant_id):
        assert marker not in stored.read_bytes()
    successor = start_api(tmp_path / "home", api_environment, bucket)
    try:
        async with client_of(successor, tenant.api_key) as client:
            assert await offset_of(client, path) >= acknowledged
            offset = await offset_of(client, path)
            last = await patch(client, path, offset, content[offset:])
            assert await content_of(client, last.headers["Muniment-File"]) == content
    finally:
        assert await asyncio.to_thread(stop_api, successor) == 0


async def test_of_two_that_send_at_once_one_wins_and_nothing_mixes(
    client: httpx.AsyncClient,
) -> None:
    size = 2 * PART + 500_000
    for _ in range(2):
        contents = [os.urandom(size) for _ in range(2)]
        path = await opened(client, size)
        answers = await asyncio.gather(*(patch(client, path, 0, each) for each in contents))
        assert sorted(answer.status_code for answer in answers) == [204, 409]
        won = contents[0 if answers[0].status_code == 204 else 1]
        file_id = (await head(client, path)).headers["Muniment-File"]
        assert await content_of(client, file_id) == won


async def test_who_goes_on_elsewhere_overtakes_a_connection_that_hangs(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    content = os.urandom(2 * PART)
    path = await opened(client, len(content))
    async with _cut_off(api, tenant.api_key, path, content[: PART + 1000]):
        offset = await _until_offset(client, path, PART)
        last = await patch(client, path, offset, content[offset:])
        assert last.status_code == 204
    assert await content_of(client, last.headers["Muniment-File"]) == content


async def test_whoever_still_sends_learns_that_the_upload_was_terminated(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    path = await opened(client, 2 * PART)
    terminated = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(PART + 1)
        await terminated.wait()
        yield bytes(PART - 1)

    sending = asyncio.create_task(patch(client, path, 0, body()))
    await _until_offset(client, path, PART)
    assert (await client.delete(path, headers=VERSION)).status_code == 204
    terminated.set()
    assert (await sending).status_code == 410
    assert len(api.stored_objects(tenant.tenant_id)) == 2, "the first part, which a worker clears"


async def test_a_length_that_another_request_says_ends_who_still_sends(
    client: httpx.AsyncClient,
) -> None:
    """Else more would come than the length, or all of it without becoming a file."""
    path = await opened(client, None, headers={"Upload-Defer-Length": "1"})
    said = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(PART)
        await said.wait()
        yield b"ab"

    sending = asyncio.create_task(patch(client, path, 0, body()))
    await _until_offset(client, path, PART)
    length = {"Upload-Length": str(PART + 1)}
    assert (await patch(client, path, PART, b"", length)).status_code == 204
    said.set()
    assert (await sending).status_code == 409
    last = await patch(client, path, PART, b"a")
    assert await content_of(client, last.headers["Muniment-File"]) == bytes(PART) + b"a"


async def test_a_creation_whose_first_piece_is_refused_leaves_no_upload_that_nobody_knows(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    def still_open() -> int:
        with psycopg.connect(postgres_dsn) as connection:
            found = connection.execute(
                "SELECT count(*) FROM upload WHERE tenant_id = %s AND closed_at IS NULL",
                (tenant.tenant_id,),
            ).fetchone()
        assert found is not None
        return int(found[0])

    another = {"Upload-Checksum": checksum(b"xyz")}
    assert (await create(client, 6, another, content=b"abc")).status_code == 460
    assert (
        await create(client, 6, {"Upload-Checksum": "md5 x"}, content=b"abc")
    ).status_code == 400
    assert (await create(client, 2, content=b"abc")).status_code == 413
    assert still_open() == 0
    key = {"Idempotency-Key": "again"}
    assert (await create(client, 6, {**another, **key}, content=b"abc")).status_code == 460
    assert still_open() == 1
    assert (await create(client, 6, key, content=b"abc")).headers["Location"]


async def test_a_last_piece_that_makes_no_file_is_not_acknowledged(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    collection = (await client.post("/v1/collections", json={"name": "brief"})).json()
    path = await opened(client, 6, collection="brief")
    await patch(client, path, 0, b"abc")
    await client.delete(f"/v1/collections/{collection['id']}")
    assert (await patch(client, path, 3, b"def")).status_code == 422
    assert await offset_of(client, path) == 3
    assert len(api.stored_objects(tenant.tenant_id)) == 2, "the first part with its key"
    await client.post("/v1/collections", json={"name": "brief"})
    last = await patch(client, path, 3, b"def")
    assert await content_of(client, last.headers["Muniment-File"]) == b"abcdef"


async def test_parts_are_joined_that_were_sent_side_by_side(client: httpx.AsyncClient) -> None:
    pieces = [os.urandom(PART + number) for number in range(4)]

    async def send(piece: bytes) -> str:
        partial = {"Upload-Concat": "partial", "Upload-Metadata": ""}
        path = await opened(client, len(piece), headers=partial)
        assert (await patch(client, path, 0, piece)).status_code == 204
        return path

    paths = await asyncio.gather(*map(send, pieces))
    final = {"Upload-Concat": f"final;{' '.join(paths)}"}
    answers = await asyncio.gather(*(create(client, None, final) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    won = next(answer for answer in answers if answer.status_code == 201)
    assert await content_of(client, won.headers["Muniment-File"]) == b"".join(pieces)


async def test_what_ended_leaves_no_part_and_in_the_end_no_row(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    database: Database,
    postgres_dsn: str,
) -> None:
    expired, terminated, waiting = [await opened(client, 6) for _ in range(3)]
    for path in (expired, terminated, waiting):
        await patch(client, path, 0, b"abc")
    finished = address(await create(client, 3, content=b"xyz"))
    file_id = (await head(client, finished)).headers["Muniment-File"]
    await client.delete(terminated, headers=VERSION)
    _move(postgres_dsn, "expires_at", expired, 2 * OVERDUE)
    async with blob_store(api) as blobs:
        rounds = SpentUploads(database, blobs)
        await rounds.round()
        # One blob and its key of the upload that waits, and of the file.
        assert len(api.stored_objects(tenant.tenant_id)) == 4
        # Of tests over the other store: rounds look at all tenants, and this one's store is another.
        await Sweep(database, blobs, timedelta(0), timedelta(0)).round()
        assert len(api.stored_objects(tenant.tenant_id)) == 4
        gone = [(await head(client, path)).status_code for path in (expired, terminated)]
        assert gone == [410] * 2
        assert await content_of(client, file_id) == b"xyz"
        assert (await patch(client, waiting, 3, b"def")).status_code == 204
        for path in (expired, terminated, finished, waiting):
            _move(postgres_dsn, "closed_at", path, timedelta(days=2))
        await rounds.round()
    assert _rows(postgres_dsn, tenant.tenant_id) == 0
    assert (await head(client, expired)).status_code == 404


def _move(postgres_dsn: str, column: str, path: str, ago: timedelta) -> None:
    """Sets the time of what happens to the upload to so long ago."""
    statement = sql.SQL("UPDATE upload SET {} = now() - %s WHERE id = %s")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(statement.format(sql.Identifier(column)), (ago, path.rpartition("/")[2]))


def _rows(postgres_dsn: str, tenant_id: UUID) -> int:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM upload WHERE tenant_id = %(t)s)"
            " + (SELECT count(*) FROM upload_part WHERE tenant_id = %(t)s)",
            {"t": tenant_id},
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_unfinished_uploads_are_bounded(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    environment = {**api_environment, "MUNIMENT_API__MAX_OPEN_UPLOADS": "2"}
    bounded = start_api(tmp_path / "home", environment)
    try:
        async with client_of(bounded, tenant.api_key) as client:
            answers = await asyncio.gather(*(create(client, 3) for _ in range(4)))
            assert sorted(answer.status_code for answer in answers) == [201, 201, 429, 429]
            path = address(next(each for each in answers if each.status_code == 201))
            await client.delete(path, headers=VERSION)
            assert (await create(client, 3)).status_code == 201
    finally:
        assert await asyncio.to_thread(stop_api, bounded) == 0


async def test_the_bytes_of_unfinished_uploads_are_bounded_together(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    environment = {**api_environment, "MUNIMENT_API__MAX_OPEN_UPLOAD_BYTES": "1000"}
    bounded = start_api(tmp_path / "home", environment)
    deferred = {"Upload-Defer-Length": "1"}
    try:
        async with client_of(bounded, tenant.api_key) as client:
            answers = await asyncio.gather(*(create(client, 400) for _ in range(3)))
            assert sorted(answer.status_code for answer in answers) == [201, 201, 429]
            first, second = (address(each) for each in answers if each.status_code == 201)
            unknown = address(await create(client, None, deferred))
            assert (await patch(client, unknown, 0, bytes(200))).status_code == 204
            assert (await patch(client, unknown, 200, bytes(1))).status_code == 429
            assert (await head(client, unknown)).headers["Upload-Offset"] == "200"
            assert "Muniment-File" in (await patch(client, first, 0, bytes(400))).headers
            too_long = await patch(client, unknown, 200, bytes(1), {"Upload-Length": "601"})
            assert too_long.status_code == 429
            await client.delete(second, headers=VERSION)
            ended = await patch(client, unknown, 200, bytes(400), {"Upload-Length": "600"})
            assert "Muniment-File" in ended.headers
    finally:
        assert await asyncio.to_thread(stop_api, bounded) == 0


async def test_memory_stays_flat_while_384_mebibytes_come_and_are_joined(
    client: httpx.AsyncClient, api: ApiProcess
) -> None:
    block = os.urandom(MEBIBYTE)
    idle = highest = api.resident_bytes
    ended = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.05):
            highest = max(highest, api.resident_bytes)

    async def body(first: int, stop: int) -> AsyncIterator[bytes]:
        for number in range(first, stop):
            yield number.to_bytes(8, "big") + block[8:]

    clock = asyncio.get_running_loop().time
    path = await opened(client, 384 * MEBIBYTE)
    watching = asyncio.create_task(asyncio.to_thread(watch))
    began = clock()
    try:
        await patch(client, path, 0, body(0, 380))
        sent = clock()
        async with httpx.AsyncClient(
            base_url=api.url, headers=client.headers, timeout=300, trust_env=False
        ) as patient:
            last = await patch(patient, path, 380 * MEBIBYTE, body(380, 384))
        joined = clock()
    finally:
        ended.set()
        await watching
    assert last.status_code == 204, last.text
    assert highest - idle < 150 * MEBIBYTE
    print(
        json.dumps(
            {
                "tus_peak_mebibytes": round((highest - idle) / MEBIBYTE, 1),
                "tus_send_seconds": round(sent - began, 1),
                "tus_join_seconds": round(joined - sent, 1),
            }
        )
    )

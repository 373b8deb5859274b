"""The S3 store on a real S3 server: conformance, and servers that are away, mute or empty."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from minio import Minio

from muniment.errors import ObjectStoreUnavailable, StorageFull
from muniment.objects import ObjectStore, S3Limits, S3ObjectStore, connect_s3
from tests.chaos.line import line_to
from tests.conformance.object_store import (
    ObjectStoreConformance,
    content_of,
    in_chunks,
    keys_of,
)
from tests.conformance.s3_server import S3Server, serving_s3

IMPATIENT = S3Limits(connect_timeout_seconds=0.3, read_timeout_seconds=0.3, retries=0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def connected(server: S3Server) -> Minio:
    return connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)


@pytest.fixture
def bucket(server: S3Server) -> str:
    name = f"bucket-{uuid4().hex}"
    client = connected(server)
    client.make_bucket(name)
    client._http.clear()
    return name


class TestS3ObjectStore(ObjectStoreConformance):
    client: Minio
    bucket: str

    @pytest.fixture
    async def store(self, server: S3Server, bucket: str) -> AsyncIterator[ObjectStore]:
        self.client, self.bucket = connected(server), bucket
        store = S3ObjectStore(self.client, bucket, "below/")
        yield store
        await store.close()

    def leftovers(self) -> list[str]:
        found = self.client._list_multipart_uploads(self.bucket)
        return [upload.object_name for upload in found.uploads]

    async def abandon_upload(self, store: ObjectStore) -> None:
        name = "below/half"
        upload_id = self.client._create_multipart_upload(self.bucket, name, {})
        self.client._upload_part(self.bucket, name, bytes(5 << 20), {}, upload_id, 1)


async def test_stores_with_prefixes_of_their_own_share_a_bucket(
    server: S3Server, bucket: str
) -> None:
    one = S3ObjectStore(connected(server), bucket, "one/")
    other = S3ObjectStore(connected(server), bucket, "other/")
    await one.put("key", in_chunks(b"of one"))
    await other.put("key", in_chunks(b"of other"))
    assert await content_of(one, "key") == b"of one"
    await one.delete("key")
    assert await keys_of(one) == []
    assert await keys_of(other) == ["key"]
    await one.close()
    await other.close()


async def test_a_missing_bucket_is_unavailable_not_missing_content(server: S3Server) -> None:
    store = S3ObjectStore(connected(server), "no-such-bucket")
    with pytest.raises(ObjectStoreUnavailable, match="NoSuchBucket"):
        await store.probe()
    with pytest.raises(ObjectStoreUnavailable, match="NoSuchBucket"):
        await content_of(store, "key")
    await store.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = connect_s3(f"127.0.0.1:{port}", "a", "b" * 8, secure=False, limits=IMPATIENT)
    store = S3ObjectStore(client, "bucket")
    with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
        await store.put("key", in_chunks(b"x"))
    await store.close()


async def test_a_server_that_does_not_answer_times_out() -> None:
    with closing(socket.socket()) as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
        client = connect_s3(endpoint, "a", "b" * 8, secure=False, limits=IMPATIENT)
        store = S3ObjectStore(client, "bucket")
        started = time.monotonic()
        with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
            await content_of(store, "key")
        assert time.monotonic() - started < 30
        await store.close()


async def test_an_object_cut_short_on_the_way_is_not_taken_for_whole() -> None:
    async def hang_up_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up_half_way, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        client = connect_s3(f"{host}:{port}", "a", "b" * 8, secure=False, limits=IMPATIENT)
        store = S3ObjectStore(client, "bucket")
        with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
            await content_of(store, "key")
        await store.close()


async def test_a_line_that_is_slow_carries_what_takes_longer_than_a_time_out(
    server: S3Server, bucket: str
) -> None:
    content = bytes(9 * 1024 * 1024)
    limits = S3Limits(connect_timeout_seconds=0.5, retries=0)
    with line_to(server.endpoint) as line:
        line.bytes_per_second = 4 * 1024 * 1024
        endpoint = f"127.0.0.1:{line.port}"
        client = connect_s3(
            endpoint, server.access_key, server.secret_key, secure=False, limits=limits
        )
        store = S3ObjectStore(client, bucket, limits=limits)
        await store.put("key", in_chunks(content))
        line.bytes_per_second = None
        assert await content_of(store, "key") == content
        await store.close()


async def test_a_silent_server_is_asked_once_and_keeps_nobody_waiting_for_long() -> None:
    visits = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        while await reader.read(1024):
            pass
        writer.close()

    limits = S3Limits(read_timeout_seconds=2, concurrent_requests=1, turn_timeout_seconds=0.5)
    server = await asyncio.start_server(say_nothing, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        client = connect_s3(f"{host}:{port}", "a", "b" * 8, secure=False, limits=limits)
        store = S3ObjectStore(client, "bucket", limits=limits)
        first = asyncio.create_task(content_of(store, "first"))
        await asyncio.sleep(0)
        with pytest.raises(ObjectStoreUnavailable, match="too slow"):
            await content_of(store, "second")
        with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
            await first
        assert visits == 1
        with pytest.raises(ObjectStoreUnavailable, match="cannot be reached"):
            await content_of(store, "third")
        await store.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (507, "InsufficientStorage"),
        (403, "QuotaExceeded"),
        (507, "XMinioStorageFull"),
        (507, "Another"),
    ],
)
async def test_a_server_without_space_is_told_as_such(status: int, code: str) -> None:
    """In the words of the Versity gateway, Ceph and MinIO, of which only the first is here."""
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nx")
        head = f"HTTP/1.1 {status} Full\r\nContent-Type: application/xml\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        client = connect_s3(f"{host}:{port}", "a", "b" * 8, secure=False, limits=IMPATIENT)
        store = S3ObjectStore(client, "bucket")
        with pytest.raises(StorageFull, match=code):
            await store.put("key", in_chunks(b"x"))
        await store.close()


async def test_a_part_is_sent_whole_to_where_the_server_redirects() -> None:
    content, received = bytes(1024 * 1024), bytearray()
    limits = S3Limits(read_timeout_seconds=2, retries=2)

    async def take_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(content))
        if b"/elsewhere" in asked:
            received.extend(body)
            writer.write(
                b'HTTP/1.1 200 OK\r\nETag: "e"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
            )
        else:
            head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {address}/elsewhere"
            writer.write(f"{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take_the_second, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        address = f"http://{host}:{port}"
        client = connect_s3(f"{host}:{port}", "a", "b" * 8, secure=False, limits=limits)
        store = S3ObjectStore(client, "bucket")
        await store.put("key", in_chunks(content))
        await store.close()
    assert received == content


async def test_a_queue_before_a_slow_server_may_be_longer_than_a_silence() -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        await writer.drain()
        writer.close()

    limits = S3Limits(concurrent_requests=1, turn_timeout_seconds=1)
    server = await asyncio.start_server(answer_slowly, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        client = connect_s3(f"{host}:{port}", "a", "b" * 8, secure=False, limits=limits)
        store = S3ObjectStore(client, "bucket", limits=limits)
        found = await asyncio.gather(*(content_of(store, f"key-{number}") for number in range(8)))
        await store.close()
    assert found == [b"x"] * 8


async def test_connections_ask_after_a_server_that_vanished(server: S3Server, bucket: str) -> None:
    client = connected(server)
    assert client.bucket_exists(bucket)
    base = urlsplit(client._base_url._url.geturl())
    pool = client._http.connection_from_host(base.hostname, base.port, base.scheme)
    connection = pool.pool.get()
    try:
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        waited = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 0 < waited < S3Limits().read_timeout_seconds * 1000
    finally:
        pool.pool.put(connection)

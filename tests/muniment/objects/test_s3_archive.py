"""Storage classes of an S3 store: what is put where, and what has to be retrieved before it is read."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from muniment.errors import (
    ConfigurationError,
    ContentInRetrieval,
    KeyDestroyed,
    ObjectMissing,
    ObjectStoreUnavailable,
)
from muniment.objects import (
    BlobStore,
    FilesystemObjectStore,
    ObjectStore,
    Retrieval,
    S3ObjectStore,
    S3Placement,
    StorageClass,
    TieredObjectStore,
    connect_s3,
    s3,
)
from muniment.objects.blobs import object_key
from muniment.sealing import KeyFile
from muniment.settings import ColdStoreSettings, Settings
from muniment.stores import open_stores
from tests.conformance.archiving_server import AN_HOUR, ArchivingServer, serving_archive
from tests.conformance.object_store import content_of, in_chunks
from tests.conformance.s3_server import S3Bucket, serving_s3

LARGE = 9 * 1024 * 1024
"""Put in parts."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchivingServer]:
    with serving_archive(tmp_path_factory.mktemp("archive")) as server:
        yield server


@pytest.fixture
def bucket(server: ArchivingServer) -> S3Bucket:
    server.retrieve_within(AN_HOUR)
    return server.new_bucket()


@asynccontextmanager
async def opened(bucket: S3Bucket, placement: S3Placement) -> AsyncIterator[S3ObjectStore]:
    server = bucket.server
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    store = S3ObjectStore(client, bucket.name, "below/", placement=placement)
    yield store
    await store.close()


@pytest.fixture
async def glacier(bucket: S3Bucket) -> AsyncIterator[S3ObjectStore]:
    async with opened(bucket, S3Placement(StorageClass.GLACIER)) as store:
        yield store


def class_of(bucket: S3Bucket, key: str) -> str:
    server = bucket.server
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    found = client.stat_object(bucket.name, f"below/{key}").metadata or {}
    client._http.clear()
    return str(found.get("x-amz-storage-class", "STANDARD"))


@pytest.mark.parametrize("size", [5, LARGE], ids=["whole", "in parts"])
@pytest.mark.parametrize("name", ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"])
async def test_what_is_read_at_once_is_put_into_its_class(
    bucket: S3Bucket, name: str, size: int
) -> None:
    content = os.urandom(size)
    async with opened(bucket, S3Placement(StorageClass(name))) as store:
        await store.put("a/b", in_chunks(content))
        assert class_of(bucket, "a/b") == name
        await store.archive("a/b")
        assert await content_of(store, "a/b") == content
        assert (await store.stat("a/b")).retrieval is Retrieval.READABLE


@pytest.mark.parametrize("size", [5, LARGE], ids=["whole", "in parts"])
async def test_what_was_compared_is_archived_and_comes_back_as_it_was(
    server: ArchivingServer, bucket: S3Bucket, glacier: S3ObjectStore, size: int
) -> None:
    content = os.urandom(size)
    await glacier.put("a/b", in_chunks(content))
    assert class_of(bucket, "a/b") == "STANDARD"
    assert await content_of(glacier, "a/b") == content, "compared before it is archived"
    await glacier.archive("a/b")
    await glacier.archive("a/b")
    assert class_of(bucket, "a/b") == "GLACIER"
    found = await glacier.stat("a/b")
    assert (found.retrieval, found.size_bytes) == (Retrieval.ARCHIVED, size)
    with pytest.raises(ContentInRetrieval):
        await content_of(glacier, "a/b", 1, 2)
    assert (await glacier.stat("a/b")).retrieval is Retrieval.ARCHIVED, "reading asks for nothing"
    await asyncio.gather(glacier.retrieve("a/b"), glacier.retrieve("a/b"))
    assert (await glacier.stat("a/b")).retrieval is Retrieval.IN_PROGRESS
    with pytest.raises(ContentInRetrieval):
        await content_of(glacier, "a/b")
    server.retrieve_within(0)
    await glacier.retrieve("a/b")
    assert (await glacier.stat("a/b")).retrieval is Retrieval.RETRIEVED
    assert await content_of(glacier, "a/b") == content
    await glacier.delete("a/b")
    with pytest.raises(ObjectMissing):
        await glacier.retrieve("a/b")


async def test_what_is_larger_than_one_request_copies_is_archived_in_pieces(
    server: ArchivingServer,
    bucket: S3Bucket,
    glacier: S3ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "COPIED_BYTES", 5 * 1024 * 1024)
    content = os.urandom(LARGE)
    await glacier.put("a/b", in_chunks(content))
    await glacier.archive("a/b")
    assert class_of(bucket, "a/b") == "GLACIER"
    await glacier.retrieve("a/b")
    assert (await glacier.stat("a/b")).retrieval is Retrieval.IN_PROGRESS
    server.retrieve_within(0)
    assert await content_of(glacier, "a/b") == content


async def test_retrieving_what_can_be_read_does_nothing(
    bucket: S3Bucket, glacier: S3ObjectStore, tmp_path: Path
) -> None:
    await glacier.put("a/b", in_chunks(b"content"))
    await glacier.retrieve("a/b")
    assert (await glacier.stat("a/b")).retrieval is Retrieval.READABLE
    await glacier._call(glacier._restore, "a/b")  # as if it had been archived when it was looked at
    folder = FilesystemObjectStore(tmp_path)
    await folder.put("a/b", in_chunks(b"content"))
    await folder.archive("a/b")
    await folder.retrieve("a/b")
    assert await content_of(folder, "a/b") == b"content"
    with pytest.raises(ObjectMissing):
        await folder.retrieve("a/c")


async def test_a_reader_asks_for_what_is_archived_and_a_verifier_does_not(
    server: ArchivingServer, glacier: S3ObjectStore, tmp_path: Path
) -> None:
    hot = FilesystemObjectStore(tmp_path / "hot")
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    wrapped = FilesystemObjectStore(tmp_path / "wrapped")
    tenant_id, content = uuid4(), os.urandom(200_000)
    sealed = await BlobStore(glacier, keys, wrapped).put_bytes(tenant_id, content)
    await glacier.archive(object_key(tenant_id, sealed.blob_id))
    blobs = BlobStore(TieredObjectStore(hot, glacier), keys, wrapped)
    with pytest.raises(ContentInRetrieval):
        [_ async for _ in blobs.reread(tenant_id, sealed.blob_id, sealed.size)]
    assert await blobs.retrieval(tenant_id, sealed.blob_id) is Retrieval.ARCHIVED
    with pytest.raises(ContentInRetrieval) as refusal:
        await blobs.read_all(tenant_id, sealed.blob_id, sealed.size)
    assert refusal.value.retry_after_seconds
    assert await blobs.retrieval(tenant_id, sealed.blob_id) is Retrieval.IN_PROGRESS
    with pytest.raises(ContentInRetrieval):
        await blobs.require_readable(tenant_id, sealed.blob_id)
    server.retrieve_within(0)
    await blobs.require_readable(tenant_id, sealed.blob_id)
    assert await blobs.read_all(tenant_id, sealed.blob_id, sealed.size) == content


class SlowKeys(FilesystemObjectStore):
    """Of which the object store is always faster."""

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.2)
        async with aclosing(super().read(key, offset, length)) as chunks:
            async for chunk in chunks:
                yield chunk


class Returning(TieredObjectStore):
    """Whose archived objects come back the moment somebody asks for them."""

    async def retrieve(self, key: str) -> None:
        await self._hot.put(key, in_chunks(await sealed_in(self._cold, key)))
        await self._cold.delete(key)
        await super().retrieve(key)


async def sealed_in(store: ObjectStore, key: str) -> bytes:
    """As a mover has it, who waited for the retrieval."""
    await store.retrieve(key)
    async with asyncio.timeout(30):
        while (await store.stat(key)).retrieval is not Retrieval.RETRIEVED:  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.1)
    return await content_of(store, key)


async def test_a_destroyed_key_is_told_however_much_faster_the_archive_answers(
    glacier: S3ObjectStore, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    hot = FilesystemObjectStore(tmp_path / "hot")
    wrapped = SlowKeys(tmp_path / "wrapped")
    blobs = BlobStore(TieredObjectStore(hot, glacier), keys, wrapped)
    tenant_id = uuid4()
    sealed = await BlobStore(glacier, keys, wrapped).put_bytes(tenant_id, b"content")
    blob_id = sealed.blob_id
    await glacier.archive(object_key(tenant_id, blob_id))
    await blobs.destroy_key(tenant_id, blob_id)
    with pytest.raises(KeyDestroyed):
        [_ async for _ in blobs.reread(tenant_id, blob_id, sealed.size)]
    with pytest.raises(KeyDestroyed):
        await blobs.read_all(tenant_id, blob_id, sealed.size)
    with pytest.raises(KeyDestroyed):
        await blobs.require_readable(tenant_id, blob_id)
    assert await blobs.retrieval(tenant_id, blob_id) is Retrieval.ARCHIVED, "nobody pays for it"


async def test_what_comes_back_while_it_is_asked_for_is_no_loss(
    server: ArchivingServer, glacier: S3ObjectStore, tmp_path: Path
) -> None:
    server.retrieve_within(0)
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    wrapped = FilesystemObjectStore(tmp_path / "wrapped")
    tenant_id = uuid4()
    sealed = await BlobStore(glacier, keys, wrapped).put_bytes(tenant_id, b"content")
    await glacier.archive(object_key(tenant_id, sealed.blob_id))
    returning = Returning(FilesystemObjectStore(tmp_path / "hot"), glacier)
    blobs = BlobStore(returning, keys, wrapped)
    with pytest.raises(ContentInRetrieval):
        await blobs.read_all(tenant_id, sealed.blob_id, sealed.size)
    assert await blobs.read_all(tenant_id, sealed.blob_id, sealed.size) == b"content"


async def test_a_server_that_has_no_archive_is_told_apart_and_loses_nothing(tmp_path: Path) -> None:
    with serving_s3(tmp_path) as server:
        bucket = server.new_bucket()
        async with opened(bucket, S3Placement(StorageClass.GLACIER)) as store:
            await store.put("a/b", in_chunks(b"content"))
            with pytest.raises(ObjectStoreUnavailable):
                await store.archive("a/b")
            assert await content_of(store, "a/b") == b"content"


async def test_a_server_that_takes_no_notice_of_the_class_is_found_out(
    glacier: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPIED_BYTES", 5 * 1024 * 1024)
    monkeypatch.setattr(s3, "CLASS_HEADER", "x-amz-meta-unknown")
    content = os.urandom(LARGE)
    await glacier.put("a/b", in_chunks(content))
    with pytest.raises(ObjectStoreUnavailable, match="into its archive"):
        await glacier.archive("a/b")
    assert await content_of(glacier, "a/b") == content


async def test_who_is_cancelled_waits_for_one_piece_and_leaves_no_upload(
    glacier: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPIED_BYTES", 5 * 1024 * 1024)
    await glacier.put("a/b", in_chunks(os.urandom(LARGE)))
    copy, copied = glacier._client._upload_part_copy, threading.Event()

    def slowly(*arguments: Any) -> tuple[str, datetime | None]:
        copied.set()
        time.sleep(0.3)
        return copy(*arguments)

    monkeypatch.setattr(glacier._client, "_upload_part_copy", slowly)
    archiving = asyncio.create_task(glacier.archive("a/b"))
    await asyncio.to_thread(copied.wait, 30)
    copied.clear()
    archiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await archiving
    assert not copied.is_set(), "the second piece"
    assert await glacier.sweep_abandoned(datetime.now(UTC) + timedelta(days=1)) == 0
    assert (await glacier.stat("a/b")).retrieval is Retrieval.READABLE


def test_what_no_archive_offers_is_refused(tmp_path: Path) -> None:
    cold = ColdStoreSettings(
        backend="s3",
        endpoint="127.0.0.1:1",
        access_key=SecretStr("a"),
        secret_key=SecretStr("b"),
        secure=False,
        storage_class="DEEP_ARCHIVE",
        retrieval_tier="Expedited",
    )
    with pytest.raises(ConfigurationError, match="Expedited"):
        open_stores(Settings(cold_store=cold))

"""Blobs: sealed on the way in, opened in any range, and gone when their key is gone."""

import asyncio
import hashlib
import os
import threading
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.errors import (
    KeyDestroyed,
    KeyManagementUnavailable,
    ObjectMissing,
    ObjectStoreUnavailable,
    SealBroken,
)
from muniment.objects import BlobStore, FilesystemObjectStore, SealedBlob
from muniment.objects.interface import StoredObject
from muniment.sealing import KeyFile, Opener, Sealer

TENANT = UUID("0198f000-0000-7000-8000-000000000001")
MEBIBYTE = 1024 * 1024


class Home:
    """A home folder with everything that blobs need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyFile(folder / "keys" / "tenants.json")

    def store(self) -> BlobStore:
        """As a process of its own has it: nothing remembered."""
        return BlobStore(
            FilesystemObjectStore(self.folder / "objects"),
            self.keys,
            FilesystemObjectStore(self.folder / "keys" / "wrapped"),
        )

    def ciphertext(self, blob_id: UUID, tenant: UUID = TENANT) -> Path:
        name = str(blob_id)
        return self.folder / "objects" / str(tenant) / name[-2:] / name

    def wrapped(self, blob_id: UUID, tenant: UUID = TENANT) -> Path:
        name = str(blob_id)
        return self.folder / "keys" / "wrapped" / str(tenant) / name[-2:] / name

    def files(self) -> list[Path]:
        """All that lies in the two stores."""
        stores = (self.folder / "objects", self.folder / "keys" / "wrapped")
        return [path for store in stores for path in store.rglob("*") if path.is_file()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(
    store: BlobStore, blob: SealedBlob, offset: int = 0, length: int | None = None
) -> bytes:
    chunks = store.read(TENANT, blob.blob_id, blob.size, offset, length)
    return b"".join([chunk async for chunk in chunks])


SIZES = [0, 1, 65_535, 65_536, 65_537, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE + 77]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1_000, 65_536, 10 * MEBIBYTE])
async def test_what_was_sealed_is_read(home: Home, size: int, piece: int) -> None:
    content = os.urandom(size)
    blob = await home.store().put(TENANT, pieces(content, piece))
    assert blob.blob_id.version == 7
    assert blob.size == size
    assert blob.sha256 == hashlib.sha256(content).digest()
    assert blob.dedup_tag == await home.keys.dedup_tag(TENANT, blob.sha256)
    assert await read(home.store(), blob) == content
    assert await home.store().read_all(TENANT, blob.blob_id) == content


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, SealedBlob, bytes]:
    """A blob of 40 segments, so that ranges cross several slices."""
    home = Home(tmp_path_factory.mktemp("large"))
    content = os.urandom(40 * 65_536 - 1234)
    return home, asyncio.run(home.store().put_bytes(TENANT, content)), content


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_range_is_the_slice_of_the_plaintext(
    large: tuple[Home, SealedBlob, bytes], data: st.DataObject
) -> None:
    home, blob, content = large
    near_border = st.integers(0, 40).map(lambda segment: segment * 65_536)
    offset = data.draw(st.integers(0, blob.size + 10) | near_border)
    length = data.draw(st.none() | st.integers(0, 200_000) | near_border)
    end = None if length is None else offset + length
    assert asyncio.run(read(home.store(), blob, offset, length)) == content[offset:end]


async def test_a_range_fetches_only_its_segments(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, bytes(8 * MEBIBYTE))
    ciphertext = home.ciphertext(blob.blob_id)
    broken = bytearray(ciphertext.read_bytes())
    broken[74 + 65_568 * 3 + 100] ^= 1
    ciphertext.write_bytes(broken)
    store = home.store()
    assert await read(store, blob, 65_536 * 2, 65_536) == bytes(65_536)
    assert await read(store, blob, 65_536 * 4) == bytes(blob.size - 65_536 * 4)
    with pytest.raises(SealBroken):
        await read(store, blob, 65_536 * 3 - 1, 2)


async def test_nothing_of_the_plaintext_lies_on_disk(home: Home) -> None:
    await home.store().put_bytes(TENANT, b"a sentence that nobody may find" * 50)
    assert len(home.files()) == 2
    assert not any(b"nobody may find" in path.read_bytes() for path in home.files())


async def test_the_layout_on_disk_is_the_documented_one(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, bytes(65_537))
    assert home.ciphertext(blob.blob_id).stat().st_size == 74 + 65_568 + 33
    assert home.wrapped(blob.blob_id).stat().st_size == 65


async def test_equal_content_is_sealed_apart_and_tagged_alike(home: Home) -> None:
    store, neighbour = home.store(), uuid4()
    one = await store.put_bytes(TENANT, b"the same")
    other = await store.put_bytes(TENANT, b"the same")
    foreign = await store.put_bytes(neighbour, b"the same")
    assert one.dedup_tag == other.dedup_tag != foreign.dedup_tag
    ciphertexts = [home.ciphertext(blob.blob_id).read_bytes() for blob in (one, other)]
    assert ciphertexts[0][10:] != ciphertexts[1][10:]


async def test_a_destroyed_blob_is_gone_at_once_for_its_destroyer(home: Home) -> None:
    store = home.store()
    blob = await store.put_bytes(TENANT, b"content")
    kept = await store.put_bytes(TENANT, b"kept")
    assert await read(store, blob) == b"content"
    await store.destroy(TENANT, blob.blob_id)
    await store.destroy(TENANT, blob.blob_id)
    for reader in (store, home.store()):
        with pytest.raises(KeyDestroyed):
            await read(reader, blob)
        with pytest.raises(KeyDestroyed):
            await reader.read_all(TENANT, blob.blob_id)
    assert not home.ciphertext(blob.blob_id).exists()
    assert await read(store, kept) == b"kept"


async def test_a_destroyed_blob_is_gone_for_a_process_that_remembers_its_key(home: Home) -> None:
    store, other_process = home.store(), home.store()
    blob = await store.put_bytes(TENANT, b"content")
    assert await read(other_process, blob) == b"content"
    ciphertext = home.ciphertext(blob.blob_id).read_bytes()
    await store.destroy(TENANT, blob.blob_id)
    with pytest.raises(KeyDestroyed):
        await read(other_process, blob)
    home.ciphertext(blob.blob_id).write_bytes(ciphertext)
    with pytest.raises(KeyDestroyed):
        await read(other_process, blob)


async def test_the_key_goes_before_the_ciphertext(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, b"content")

    class Undeletable(FilesystemObjectStore):
        async def delete(self, key: str) -> None:
            raise ObjectStoreUnavailable("the store is away")

    wrapped_keys = FilesystemObjectStore(home.folder / "keys" / "wrapped")
    store = BlobStore(Undeletable(home.folder / "objects"), home.keys, wrapped_keys)
    with pytest.raises(ObjectStoreUnavailable):
        await store.destroy(TENANT, blob.blob_id)
    assert home.ciphertext(blob.blob_id).exists()
    with pytest.raises(KeyDestroyed):
        await read(store, blob)


async def test_a_lost_ciphertext_is_missing_not_erased(home: Home) -> None:
    store = home.store()
    blob = await store.put_bytes(TENANT, b"content")
    home.ciphertext(blob.blob_id).unlink()
    with pytest.raises(ObjectMissing):
        await read(store, blob)


async def test_another_tenants_blob_cannot_be_read(home: Home) -> None:
    store, neighbour = home.store(), uuid4()
    blob = await store.put_bytes(TENANT, b"content")
    await store.put_bytes(neighbour, b"theirs")
    with pytest.raises(KeyDestroyed):
        await store.read_all(neighbour, blob.blob_id)
    for path in (home.ciphertext, home.wrapped):
        stolen = path(blob.blob_id, neighbour)
        stolen.parent.mkdir(parents=True, exist_ok=True)
        stolen.write_bytes(path(blob.blob_id).read_bytes())
    with pytest.raises(SealBroken):
        await store.read_all(neighbour, blob.blob_id)


async def test_one_blobs_ciphertext_does_not_pass_for_anothers(home: Home) -> None:
    store = home.store()
    one = await store.put_bytes(TENANT, b"of one")
    other = await store.put_bytes(TENANT, b"others")
    home.ciphertext(one.blob_id).write_bytes(home.ciphertext(other.blob_id).read_bytes())
    with pytest.raises(SealBroken):
        await read(store, one)


@pytest.mark.parametrize("kept", [0, 50, 74, 74 + 65_568, 74 + 2 * 65_568, 74 + 2 * 65_568 + 40])
async def test_a_truncated_object_is_noticed(home: Home, kept: int) -> None:
    blob = await home.store().put_bytes(TENANT, bytes(2 * 65_536 + 100))
    path = home.ciphertext(blob.blob_id)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SealBroken):
        await read(home.store(), blob)
    with pytest.raises(SealBroken):
        await home.store().read_all(TENANT, blob.blob_id)


async def test_an_object_truncated_while_it_is_remembered_is_noticed(home: Home) -> None:
    store = home.store()
    blob = await store.put_bytes(TENANT, bytes(3 * 65_536))
    assert len(await read(store, blob)) == blob.size
    path = home.ciphertext(blob.blob_id)
    path.write_bytes(path.read_bytes()[: 74 + 2 * 65_568])
    with pytest.raises(SealBroken):
        await read(store, blob)


async def test_a_size_that_the_database_has_otherwise_is_noticed(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, b"content")
    with pytest.raises(SealBroken):
        await home.store().read_all(TENANT, blob.blob_id, blob.size - 1)


async def test_an_upload_that_breaks_leaves_nothing(home: Home) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(3 * MEBIBYTE)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await home.store().put(TENANT, breaking())
    assert home.files() == []


async def test_an_upload_that_is_cancelled_leaves_nothing(home: Home) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(3 * MEBIBYTE)
        await asyncio.sleep(60)

    upload = asyncio.create_task(home.store().put(TENANT, stalling()))
    await asyncio.sleep(0.2)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert home.files() == []


async def test_a_key_store_that_fails_takes_the_ciphertext_with_it(home: Home) -> None:
    class Refusing(FilesystemObjectStore):
        async def put(self, key: str, chunks: object) -> None:
            raise ObjectStoreUnavailable("the key store is away")

    refusing = Refusing(home.folder / "keys" / "wrapped")
    store = BlobStore(FilesystemObjectStore(home.folder / "objects"), home.keys, refusing)
    with pytest.raises(ObjectStoreUnavailable, match="key store"):
        await store.put_bytes(TENANT, b"content")
    assert home.files() == []


async def test_rewrapping_changes_the_wrapped_key_alone(home: Home) -> None:
    store = home.store()
    blob = await store.put_bytes(TENANT, b"content")
    before = home.wrapped(blob.blob_id).read_bytes(), home.ciphertext(blob.blob_id).read_bytes()
    assert await store.renewed_key(TENANT, blob.blob_id) is None
    await home.keys.rotate_tenant_key(TENANT, above=1)
    renewed = await store.renewed_key(TENANT, blob.blob_id)
    assert renewed is not None
    assert await store.keep_renewed_key(TENANT, blob.blob_id, renewed)
    await home.keys.retire_versions(TENANT, below=2)
    assert home.wrapped(blob.blob_id).read_bytes()[1:5] == (2).to_bytes(4, "big")
    assert home.ciphertext(blob.blob_id).read_bytes() == before[1]
    assert await read(home.store(), blob) == b"content"
    assert await store.renewed_key(TENANT, blob.blob_id) is None
    found = [
        each async for page in store.wrapped_keys(TENANT, blob.blob_id.bytes[-1]) for each in page
    ]
    assert found == [blob.blob_id]


async def test_a_renewed_key_does_not_bring_back_a_destroyed_one(home: Home) -> None:
    store = home.store()
    blob = await store.put_bytes(TENANT, b"content")
    await home.keys.rotate_tenant_key(TENANT, above=1)
    renewed = await store.renewed_key(TENANT, blob.blob_id)
    assert renewed is not None
    await store.destroy(TENANT, blob.blob_id)
    assert not await store.keep_renewed_key(TENANT, blob.blob_id, renewed)
    assert await store.renewed_key(TENANT, blob.blob_id) is None
    assert home.files() == []


async def test_an_upload_outlasts_the_rotation_that_began_meanwhile(home: Home) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"before"
        await home.keys.rotate_tenant_key(TENANT, above=1)
        yield b" and after"

    blob = await home.store().put(TENANT, slow())
    await home.keys.retire_versions(TENANT, below=2)
    assert await read(home.store(), blob) == b"before and after"


async def test_an_upload_that_outlasts_its_key_is_refused_and_leaves_nothing(home: Home) -> None:
    async def too_slow() -> AsyncIterator[bytes]:
        yield b"before"
        await home.keys.rotate_tenant_key(TENANT, above=1)
        await home.keys.retire_versions(TENANT, below=2)
        yield b" and after"

    with pytest.raises(KeyManagementUnavailable, match="retired"):
        await home.store().put(TENANT, too_slow())
    assert home.files() == []


class SlowStore(FilesystemObjectStore):
    """Stores something only after what the test does meanwhile."""

    def __init__(self, folder: Path, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        await self._meanwhile()
        await super().put(key, chunks)


@pytest.mark.parametrize("slow", ["ciphertext", "wrapped key"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("retired", [True, False])
async def test_what_a_rotation_overtakes_while_it_is_stored_is_readable_or_refused(
    home: Home, slow: str, whole: bool, retired: bool
) -> None:
    async def rotate() -> None:
        await home.keys.rotate_tenant_key(TENANT, above=1)
        if retired:
            await home.keys.retire_versions(TENANT, below=2)

    objects = FilesystemObjectStore(home.folder / "objects")
    wrapped = FilesystemObjectStore(home.folder / "keys" / "wrapped")
    if slow == "ciphertext":
        objects = SlowStore(home.folder / "objects", rotate)
    else:
        wrapped = SlowStore(home.folder / "keys" / "wrapped", rotate)
    store = BlobStore(objects, home.keys, wrapped)
    content = b"content"
    putting = store.put_bytes(TENANT, content) if whole else store.put(TENANT, pieces(content, 3))
    if retired:
        with pytest.raises(KeyManagementUnavailable, match="retired"):
            await putting
        assert home.files() == []
        return
    blob = await putting
    await home.keys.retire_versions(TENANT, below=2)
    assert await read(home.store(), blob) == content


async def test_destroying_the_tenants_key_closes_every_blob(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, b"content")
    await home.keys.destroy_tenant_key(TENANT)
    with pytest.raises(KeyDestroyed):
        await read(home.store(), blob)


async def test_memory_does_not_grow_with_the_blob(home: Home) -> None:
    chunk = os.urandom(256 * 1024)

    async def long() -> AsyncIterator[bytes]:
        for _ in range(4 * 96):
            yield chunk

    store = home.store()
    tracemalloc.start()
    try:
        blob = await store.put(TENANT, long())
        async with aclosing(store.read(TENANT, blob.blob_id, blob.size)) as plaintext:
            async for _ in plaintext:
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert blob.size == 96 * MEBIBYTE
    assert peak < 16 * MEBIBYTE


async def test_large_content_is_sealed_and_opened_off_the_event_loop(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()

    def noting(method: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object, **named: object) -> object:
            threads.add(threading.get_ident())
            return method(*arguments, **named)

        return noted

    monkeypatch.setattr(Sealer, "seal", noting(Sealer.seal))
    monkeypatch.setattr(Opener, "open_segments", noting(Opener.open_segments))
    blob = await home.store().put_bytes(TENANT, bytes(4 * MEBIBYTE))
    await read(home.store(), blob)
    assert threads
    assert threading.get_ident() not in threads


async def test_what_was_handed_out_stays_while_others_read_the_same_blob(home: Home) -> None:
    content = os.urandom(4 * MEBIBYTE + 1)
    store = home.store()
    blob = await store.put_bytes(TENANT, content)

    async def kept(offset: int) -> list[bytes]:
        reading = store.read(TENANT, blob.blob_id, blob.size, offset)
        async with aclosing(reading) as plaintext:
            return [piece async for piece in plaintext]

    reads = await asyncio.gather(*(kept(offset) for offset in range(4)))
    for offset, held in enumerate(reads):
        assert b"".join(held) == content[offset:]


class WatchedStore(FilesystemObjectStore):
    """Tells what is being read of it; a stat takes its time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = 0

    async def stat(self, key: str) -> StoredObject:
        self.asked += 1
        try:
            await asyncio.sleep(5)
            return await super().stat(key)
        finally:
            self.asked -= 1


async def test_no_read_goes_on_after_another_failed(home: Home) -> None:
    blob = await home.store().put_bytes(TENANT, b"text")
    home.wrapped(blob.blob_id).unlink()
    objects = WatchedStore(home.folder / "objects")
    store = BlobStore(objects, home.keys, FilesystemObjectStore(home.folder / "keys" / "wrapped"))
    with pytest.raises(KeyDestroyed):
        await read(store, blob)
    assert objects.asked == 0

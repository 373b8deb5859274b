"""The filesystem store: conformance, and what only a file system can go wrong with."""

import asyncio
import errno
import os
import stat
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muniment.errors import ObjectMissing, ObjectStoreUnavailable
from muniment.objects import FilesystemObjectStore, ObjectStore
from muniment.objects.filesystem import UPLOADS
from tests.conformance.object_store import ObjectStoreConformance, in_chunks, keys_of


class TestFilesystemObjectStore(ObjectStoreConformance):
    root: Path

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ObjectStore]:
        self.root = tmp_path / "objects"
        store = FilesystemObjectStore(self.root)
        yield store
        await store.close()

    def leftovers(self) -> list[str]:
        uploads = self.root / UPLOADS
        return sorted(os.listdir(uploads)) if uploads.exists() else []

    knows_the_dead = True

    async def abandon_upload(self, store: ObjectStore) -> None:
        (self.root / UPLOADS / "0123456789abcdef").write_bytes(b"half an object")


async def test_a_full_disk_is_said_plainly_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemObjectStore(tmp_path)
    write = os.write
    room = 500_000

    def write_until_full(descriptor: int, content: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, content[:room])
        room -= written
        return written

    monkeypatch.setattr("muniment.objects.filesystem.os.write", write_until_full)
    with pytest.raises(ObjectStoreUnavailable, match="disk is full"):
        await store.put("key", in_chunks(bytes(1_000_000)))
    with pytest.raises(ObjectStoreUnavailable, match="disk is full"):
        await store.probe()
    assert await keys_of(store) == []
    assert os.listdir(tmp_path / UPLOADS) == []


async def test_a_root_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FilesystemObjectStore(tmp_path / "file" / "objects")
    with pytest.raises(ObjectStoreUnavailable):
        await store.put("key", in_chunks(b"x"))
    with pytest.raises(ObjectStoreUnavailable):
        await store.probe()


async def test_objects_and_folders_are_their_owners_alone(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path / "objects")
    await store.put("a/b", in_chunks(b"x"))
    assert stat.S_IMODE((tmp_path / "objects" / "a" / "b").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "objects" / "a").stat().st_mode) == 0o700


async def test_content_and_folder_entries_are_synced_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", noted)
    store = FilesystemObjectStore(tmp_path)
    await store.put("a/b", in_chunks(b"x"))
    assert Path(synced[1]).parent == tmp_path / UPLOADS
    assert synced[-2:] == [str(tmp_path), str(tmp_path / "a")]
    synced.clear()
    await store.delete("a/b")
    assert synced == [str(tmp_path / "a")]


async def test_a_running_upload_is_never_swept_however_old(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path)

    async def swept_meanwhile() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000
            assert await store.sweep_abandoned(datetime.now(UTC) + timedelta(days=1)) == 0

    await store.put("kept", swept_meanwhile())
    assert (await store.stat("kept")).size_bytes == 3000


async def test_a_reader_that_leaves_a_slow_disk_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is closed when its disk has answered at last."""
    store = FilesystemObjectStore(tmp_path)
    await store.put("slow", in_chunks(b"content"))
    begun, answered = threading.Event(), threading.Event()
    closed: list[int] = []
    read, close = os.pread, os.close

    def read_slowly(descriptor: int, length: int, offset: int) -> bytes:
        begun.set()
        answered.wait(30)
        return read(descriptor, length, offset)

    def note_closed(descriptor: int) -> None:
        close(descriptor)
        closed.append(descriptor)

    monkeypatch.setattr(os, "pread", read_slowly)
    monkeypatch.setattr(os, "close", note_closed)
    chunks = store.read("slow")
    reading = asyncio.create_task(anext(chunks))
    try:
        await asyncio.to_thread(begun.wait, 30)
        reading.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await chunks.aclose()
        assert time.monotonic() - started < 10
        assert not closed
    finally:
        answered.set()
    async with asyncio.timeout(30):
        while not closed:  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("place", ["objects", "objects/below"])
async def test_a_file_in_the_place_of_the_folder_is_a_store_that_is_away(
    tmp_path: Path, place: str
) -> None:
    """Nothing is missing there, and nothing was deleted."""
    (tmp_path / "objects").write_bytes(b"no folder")
    store = FilesystemObjectStore(tmp_path / place)
    for asked in (
        store.stat("a/b"),
        anext(store.read("a/b")),
        store.delete("a/b"),
        store.retrieve("a/b"),
        store.put("a/b", in_chunks(b"content")),
        store.probe(),
        keys_of(store),
        store.sweep_abandoned(datetime.now(UTC)),
    ):
        with pytest.raises(ObjectStoreUnavailable, match="Not a directory") as refused:
            await asked
        assert "is mounted" in refused.value.remedy
    assert (tmp_path / "objects").read_bytes() == b"no folder"


async def test_a_folder_that_is_not_there_yet_is_an_empty_store(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path / "objects")
    with pytest.raises(ObjectMissing):
        await store.stat("a/b")
    await store.delete("a/b")
    assert await keys_of(store) == []

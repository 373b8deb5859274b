"""Objects as files below a folder.

An upload is written to `<root>/.uploads/`, synced, and renamed to its place, and every folder
whose entries changed is synced: an object that was reported stored survives a power failure.
"""

import asyncio
import fcntl
import os
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import EDQUOT, ENOSPC, ENOTDIR
from itertools import islice
from pathlib import Path
from uuid import uuid4

from muniment.errors import ObjectMissing, ObjectStoreUnavailable, StorageFull
from muniment.objects.interface import PAGE_KEYS, READ_CHUNK_BYTES, StoredObject, require_key
from muniment.sealing.locked_file import sync_folder

UPLOADS = ".uploads"
"""The folder of unfinished uploads; no key can name it, since names do not start with a dot."""


class FilesystemObjectStore:
    """`ObjectStore` on one file system; any number of processes may share the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        upload = _Upload(self._root, self._root / require_key(key))
        waiting = b""
        try:
            # Each chunk waits for the next, so that a small object takes one trip to a thread.
            async for chunk in chunks:
                if waiting:
                    await asyncio.to_thread(upload.write, waiting)
                waiting = chunk
            await asyncio.to_thread(upload.commit, waiting)
        except BaseException:
            # Shielded: a second cancellation must not keep the file from being removed. If it
            # cannot be removed now, the sweep does it; the first error is the one to report.
            with suppress(ObjectStoreUnavailable):
                await asyncio.shield(asyncio.to_thread(upload.abort))
            raise

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        file = _OpenObject(self._root, require_key(key), offset, length)
        try:
            while not file.ended and (chunk := await asyncio.to_thread(file.next_chunk)):
                yield chunk
        finally:
            file.close()

    async def stat(self, key: str) -> StoredObject:
        return await asyncio.to_thread(_stat, self._root, require_key(key))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(_delete, self._root, require_key(key))

    async def archive(self, key: str) -> None:
        """A folder has no archive."""

    async def retrieve(self, key: str) -> None:
        """What lies in a folder can be read."""
        await self.stat(key)

    async def probe(self) -> None:
        probe = _Upload(self._root, self._root / UPLOADS / "probe")
        try:
            await asyncio.to_thread(probe.write, b"probe")
        finally:
            await asyncio.shield(asyncio.to_thread(probe.abort))

    async def sweep_abandoned(self, older_than: datetime) -> int:
        return await asyncio.to_thread(_sweep, self._root / UPLOADS, older_than)

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def list(self, prefix: str = "") -> AsyncIterator[tuple[StoredObject, ...]]:
        walk = _walk(self._root, prefix)
        while page := await asyncio.to_thread(_next_page, walk):
            yield page


class _Upload:
    """One file on its way. Its methods run in threads; `abort` waits for the one that runs."""

    def __init__(self, root: Path, destination: Path) -> None:
        self._root = root
        self._destination = destination
        self._beside = root / UPLOADS / uuid4().hex
        self._descriptor = -1
        self._ended = False
        self._turn = threading.Lock()

    def write(self, chunk: bytes) -> None:
        with self._turn, _store_errors("written"):
            self._open_once()
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def commit(self, rest: bytes) -> None:
        """Writes the rest, and puts the object in its place."""
        self.write(rest)
        with self._turn, _store_errors("written"):
            os.fsync(self._descriptor)
            _make_folders(self._destination.parent, self._root)
            self._beside.rename(self._destination)
            self._ended = True
            self._close()
            sync_folder(self._destination.parent)

    def abort(self) -> None:
        with self._turn, _store_errors("cleaned up"):
            self._close()
            if not self._ended:
                self._ended = True
                self._beside.unlink(missing_ok=True)

    def _open_once(self) -> None:
        if self._ended:
            raise ObjectStoreUnavailable("an upload was written to after it had ended")
        if self._descriptor < 0:
            _make_folders(self._beside.parent, self._root)
            self._descriptor = _open_locked(self._beside)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class _OpenObject:
    """A file being read; opened by the first `next_chunk`, so that everything runs in threads."""

    def __init__(self, root: Path, key: str, offset: int, length: int | None) -> None:
        self._root = root
        self._path = root / key
        self._key = key
        self._offset = offset
        self._left = length
        self._descriptor = -1
        self._turn = threading.Lock()
        self._is_left = False
        self.ended = False
        """Whether the last chunk was handed out, which spares asking for another."""

    def next_chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        try:
            return self._next_chunk()
        finally:
            if self._is_left:
                self._close_if_idle()

    def close(self) -> None:
        """Does not wait, since it is called on the event loop: a read that is under way, of a disk that
        may take its time, closes the file when it is over."""
        self._is_left = True
        self._close_if_idle()

    def _next_chunk(self) -> bytes:
        with self._turn, _store_errors("read"), _missing_as_ours(self._root, self._key):
            if self.ended or self._is_left:
                return b""
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            left = READ_CHUNK_BYTES if self._left is None else min(self._left, READ_CHUNK_BYTES)
            chunk = os.pread(self._descriptor, left, self._offset)
            self._offset += len(chunk)
            if self._left is not None:
                self._left -= len(chunk)
            self.ended = len(chunk) < left or self._left == 0
            return chunk

    def _close_if_idle(self) -> None:
        """Whoever has the lock looks whether the file was left after giving it back, so that one of the
        two closes it."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self._turn.release()


@contextmanager
def _store_errors(what: str) -> Iterator[None]:
    """Turns the system's errors into ours; a full disk gets its own words and remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise StorageFull("the disk is full on which objects lie") from error
        raise ObjectStoreUnavailable(
            f"the object store's folder cannot be {what}: {error.strerror}",
            remedy="Check that the folder exists, is mounted, and belongs to Muniment's user.",
        ) from error


@contextmanager
def _missing_as_ours(root: Path, key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        _refuse_what_is_no_folder(root)
        raise ObjectMissing(f"there is no object {key}") from None


def _refuse_what_is_no_folder(root: Path) -> None:
    """A file in the store's place is no store without objects: nothing is missing there, nor deleted."""
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(root.stat().st_mode):
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))


def _stat(root: Path, key: str) -> StoredObject:
    with _store_errors("read"), _missing_as_ours(root, key):
        path = root / key
        if path.is_dir():
            raise IsADirectoryError
        return _stored_object(key, path.stat())


def _stored_object(key: str, found: os.stat_result) -> StoredObject:
    return StoredObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _delete(root: Path, key: str) -> None:
    with _store_errors("written"):
        try:
            (root / key).unlink()
            sync_folder((root / key).parent)
        except (FileNotFoundError, NotADirectoryError):
            _refuse_what_is_no_folder(root)


def _make_folders(folder: Path, root: Path) -> None:
    """Makes the folder and those above it; the entry of each new one is synced."""
    if folder.is_dir():
        return
    if folder != root:
        _make_folders(folder.parent, root)
    _refuse_what_is_no_folder(folder)
    folder.mkdir(mode=0o700, exist_ok=True, parents=folder == root)
    sync_folder(folder.parent)


def _open_locked(path: Path) -> int:
    """A new file, locked for as long as its writer lives: what nobody locks, nobody writes."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks: there the file's age tells
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # a sweep came between the two and took it for abandoned


def _sweep(uploads: Path, older_than: datetime) -> int:
    removed = 0
    with _store_errors("cleaned up"), suppress(FileNotFoundError), os.scandir(uploads) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                removed += _remove_abandoned(Path(entry.path), older_than)
    return removed


def _remove_abandoned(upload: Path, older_than: datetime) -> bool:
    descriptor = os.open(upload, os.O_WRONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # its writer lives
        except OSError:
            # Nobody can tell; a running upload keeps its file's time fresh with every chunk.
            if os.fstat(descriptor).st_mtime >= older_than.timestamp():
                return False
        upload.unlink()
        return True
    finally:
        os.close(descriptor)


def _next_page(walk: Iterator[StoredObject]) -> tuple[StoredObject, ...]:
    with _store_errors("read"):
        return tuple(islice(walk, PAGE_KEYS))


def _walk(folder: Path, prefix: str, above: str = "") -> Iterator[StoredObject]:
    """The objects below the folder in the order of their keys; holds one folder's names a level."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if entry.name[0] != "."]
    except FileNotFoundError:
        return
    # A folder sorts as `name/`, so that the walk yields keys in the order in which S3 does.
    for name in sorted(name + "/" if is_folder else name for name, is_folder in found):
        key = above + name
        if name.endswith("/"):
            if key.startswith(prefix) or prefix.startswith(key):
                yield from _walk(folder / name[:-1], prefix, key)
        elif key.startswith(prefix):
            with suppress(FileNotFoundError):
                yield _stored_object(key, (folder / name).stat())

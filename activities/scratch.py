"""Opened content for engines: plaintext files that are gone when the activity is.

Every process has a folder of its own (0700) under a shared root, held by a lock. What a killed
process left behind is swept by the next one to start: its lock is free.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import UUID

from muniment.errors import ConfigurationError, LimitExceeded, StorageFull
from muniment.objects import BlobStore

MEMORY_ROOT = Path("/dev/shm")  # noqa: S108 - the memory-backed file system of Linux
FOLDER = "muniment-scratch"
LOCK_FILE = "lock"
MEMORY_SHARE = 4
"""A file takes at most a quarter of the free memory-backed space where a larger one may go to disk,"""
SOLE_MEMORY_SHARE = 2
"""and half of it where it may not."""


class Scratch:
    """Opens blobs as files, each for the time of one use.

    A context manager: entering makes this process's folder and sweeps those of dead processes,
    leaving removes it. Without a `root` files are memory-backed, where the system can, and go to the
    `overflow` where they do not fit: without one they touch no disk. `roots` are all that files may
    lie under.
    """

    def __init__(
        self, blobs: BlobStore, root: Path | None = None, overflow: Path | None = None
    ) -> None:
        self._blobs = blobs
        self.roots = [root] if root else _default_roots(overflow)
        self._folders: list[_OwnFolder] = []

    def __enter__(self) -> Self:
        self._folders = [_OwnFolder(root / FOLDER) for root in self.roots]
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for folder in self._folders:
            folder.remove()

    @asynccontextmanager
    async def opened(self, tenant_id: UUID, blob_id: UUID, size: int) -> AsyncIterator[Path]:
        """The blob's plaintext as a file (0600) of `size` bytes, removed on leaving; written piece
        by piece, so memory use does not grow with it beyond the file itself. StorageFull when it does
        not fit now, LimitExceeded when it never will."""
        path = self._place(size)
        try:
            await self._fill(path, tenant_id, blob_id, size)
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    async def _fill(self, path: Path, tenant_id: UUID, blob_id: UUID, size: int) -> None:
        pieces = self._blobs.read(tenant_id, blob_id, size)
        async with aclosing(pieces):
            try:
                with _create(path) as file:
                    async for piece in pieces:
                        await asyncio.to_thread(file.write, piece)
            except OSError as error:
                if error.errno in (ENOSPC, EDQUOT):
                    raise StorageFull("the scratch folder's disk is full") from error
                raise

    def _place(self, size: int) -> Path:
        if not self._folders:
            raise ConfigurationError("The scratch folder is not open.")
        for folder in self._folders[:-1]:
            if size * MEMORY_SHARE <= shutil.disk_usage(folder.path).free:
                return folder.new_file()
        if self.roots == [MEMORY_ROOT]:
            _require_memory(size)
        return self._folders[-1].new_file()


class _OwnFolder:
    """A folder that is this process's for as long as it holds the lock in it."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(parent):
            _sweep(parent)
            self.path = Path(tempfile.mkdtemp(dir=parent))
            self._lock = (self.path / LOCK_FILE).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._count = 0

    def new_file(self) -> Path:
        self._count += 1
        return self.path / str(self._count)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


@contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """One process at a time makes or sweeps folders: a new one is never seen without its lock."""
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Removes the folders of processes that are no more."""
    for folder in parent.iterdir():
        lock_path = folder / LOCK_FILE
        try:
            with lock_path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except (FileNotFoundError, NotADirectoryError, BlockingIOError):
            # Not a folder of ours, or one whose process lives.
            continue


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _require_memory(size: int) -> None:
    space = shutil.disk_usage(MEMORY_ROOT)
    if size * SOLE_MEMORY_SHARE > space.total:
        raise LimitExceeded(
            f"opened, the file would take more than half of {MEMORY_ROOT}",
            remedy=f"Enlarge {MEMORY_ROOT} (of a container: its shm_size), or name a folder on an"
            " encrypted disk in MUNIMENT_WORKER__SCRATCH_OVERFLOW.",
        )
    if size * SOLE_MEMORY_SHARE > space.free:
        raise StorageFull("the memory for opened content is full")


def _default_roots(overflow: Path | None) -> list[Path]:
    if os.access(MEMORY_ROOT, os.W_OK):
        return [MEMORY_ROOT, overflow] if overflow else [MEMORY_ROOT]
    return [overflow or Path(tempfile.gettempdir())]

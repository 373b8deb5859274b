"""Opened content for engines: plaintext files that are gone when the activity is.

Every process has a folder of its own (0700) under a shared root, held by a lock. What a killed
process left behind is swept by the next one to start: its lock is free. Where the root is memory, a
file has its whole length from the beginning: what is promised and not yet written is then seen by all
processes, and nothing is begun that could not be ended.
"""

import asyncio
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import UUID

from muniment.errors import ConfigurationError, StorageFull
from muniment.objects import BlobStore
from muniment.opened_content import MEMORY_ROOT, largest_in_memory, left_to_others

FORMER_FOLDER = "muniment-scratch"
"""What the folder was called once, in the temporary folder too; what lies there still is swept."""
FOLDER = f"{FORMER_FOLDER}-{os.getuid()}"
"""Of each Unix user: the memory-backed root is all users'."""
LOCK_FILE = "lock"
BLOCK_BYTES = 512
"""What `st_blocks` counts in (stat(2))."""


TOO_SMALL_REMEDY = (
    "What runs now may free it. If it stays: enlarge {memory} (of a container: its shm_size), or name a"
    " folder on an encrypted disk in MUNIMENT_WORKER__SCRATCH_OVERFLOW. Jobs go on by themselves."
)


class Scratch:
    """Opens blobs as files, each for the time of one use.

    A context manager: entering makes this process's folder and sweeps those of dead processes,
    leaving removes it. Without a `root` files lie in `memory`, and go to the `overflow` where they do
    not fit: without one they touch no disk. `roots` are all that files may lie under.

    Raises ConfigurationError where there is neither a root nor memory that can be written, or, on
    entering, where the folder is another's.
    """

    def __init__(
        self,
        blobs: BlobStore,
        root: Path | None = None,
        overflow: Path | None = None,
        memory: Path = MEMORY_ROOT,
    ) -> None:
        if root is not None and overflow is not None:
            raise ConfigurationError(
                "MUNIMENT_WORKER__SCRATCH takes all files, and MUNIMENT_WORKER__SCRATCH_OVERFLOW none",
                remedy="Set one of the two.",
            )
        self._blobs = blobs
        self._memory = memory
        self.roots = [root] if root else _default_roots(memory, overflow)
        self._folders: list[_OwnFolder] = []

    @property
    def largest_file(self) -> int | None:
        """Bytes of the largest file that memory alone can hold; None where files may go to a disk."""
        return largest_in_memory(self._memory) if self.roots == [self._memory] else None

    def __enter__(self) -> Self:
        for root in {self._memory, Path(tempfile.gettempdir()), *self.roots}:
            _sweep_former(root)
        self._folders = [_OwnFolder(root) for root in self.roots]
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
        not fit."""
        path, file = self._create(size)
        try:
            await self._fill(file, tenant_id, blob_id, size)
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    async def _fill(self, file: BinaryIO, tenant_id: UUID, blob_id: UUID, size: int) -> None:
        pieces = self._blobs.read(tenant_id, blob_id, size)
        async with aclosing(pieces):
            try:
                with file:
                    async for piece in pieces:
                        await asyncio.to_thread(file.write, piece)
            except OSError as error:
                if error.errno in (ENOSPC, EDQUOT):
                    raise StorageFull("the scratch folder is full") from error
                raise

    def _create(self, size: int) -> tuple[Path, BinaryIO]:
        """A file of no content in the first folder that has space for it."""
        if not self._folders:
            raise ConfigurationError("The scratch folder is not open.")
        for root, folder in zip(self.roots, self._folders, strict=True):
            if root != self._memory:
                return folder.new_file()
            if (promised := folder.promised_file(size)) is not None:
                return promised
        raise StorageFull(
            f"opened, a file of {size:,} bytes does not fit in {self._memory}",
            remedy=TOO_SMALL_REMEDY.format(memory=self._memory),
        )


class _OwnFolder:
    """A folder that is this process's for as long as it holds the lock in it."""

    def __init__(self, root: Path) -> None:
        self._parent = root / FOLDER
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_ours(self._parent)
        with _alone_in(self._parent):
            _sweep(self._parent)
            self.path = Path(tempfile.mkdtemp(dir=self._parent))
            self._lock = (self.path / LOCK_FILE).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._count = 0

    def new_file(self) -> tuple[Path, BinaryIO]:
        self._count += 1
        path = self.path / str(self._count)
        return path, os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")

    def promised_file(self, size: int) -> tuple[Path, BinaryIO] | None:
        """With its whole length, of which nothing is written; None where that much is not free beside
        what is promised to the files of all processes, and what is left to others."""
        with _alone_in(self._parent):
            free = shutil.disk_usage(self._parent).free - _promised(self._parent)
            if size > free - left_to_others(self._parent):
                return None
            path, file = self.new_file()
            os.ftruncate(file.fileno(), size)
            return path, file

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


def _sweep_former(root: Path) -> None:
    """Likewise in the folder that an older version made there, if it is ours."""
    former = root / FORMER_FOLDER
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        if former.lstat().st_uid == os.getuid() and not former.is_symlink():
            with _alone_in(former):
                _sweep(former)


def _promised(parent: Path) -> int:
    """Bytes of all processes' files that are yet to be written."""
    promised = 0
    for path in parent.glob("*/*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            promised += max(0, found.st_size - found.st_blocks * BLOCK_BYTES)
    return promised


def _require_ours(folder: Path) -> None:
    """Whoever else could write there could exchange what a parser opens."""
    found = folder.lstat()
    closed = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not closed or found.st_uid != os.getuid():
        raise ConfigurationError(
            f"{folder} is not a folder of this user, closed to all others",
            remedy="Remove it, or name another place in MUNIMENT_WORKER__SCRATCH.",
        )


def _default_roots(memory: Path, overflow: Path | None) -> list[Path]:
    if os.access(memory, os.W_OK):
        return [memory, overflow] if overflow else [memory]
    if overflow is None:
        raise ConfigurationError(
            f"{memory} cannot be written, and opened content would lie on a disk",
            remedy="Give the container a writable one, or name a folder on an encrypted disk in"
            " MUNIMENT_WORKER__SCRATCH.",
        )
    return [overflow]

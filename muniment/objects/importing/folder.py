"""Files of a folder on the worker's machine.

Every folder on the way is opened relative to the one above it, without following links, so nothing
that is renamed or linked meanwhile leads out of the root (openat(2), O_NOFOLLOW).
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from muniment.errors import Forbidden, ObjectMissing, SourceUnavailable
from muniment.objects.importing.interface import PAGE_OBJECTS, FoundObject, require_usable
from muniment.objects.interface import READ_CHUNK_BYTES

MAX_DEPTH = 64
"""Folders below each other; each holds a descriptor open while it is walked."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class FolderImportSource:
    """`root` is the operator's own, and may itself be a link."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def list(
        self, prefix: str, after: str | None
    ) -> AsyncGenerator[tuple[FoundObject, ...], None]:
        found = self._walk(prefix, after)
        try:
            while page := await _in_thread(found):
                yield page
        finally:
            found.close()

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        file = await asyncio.to_thread(self._open, require_usable(key))
        with file, _source_errors():
            while chunk := await asyncio.to_thread(file.read, READ_CHUNK_BYTES):
                yield chunk

    async def probe(self) -> None:
        await asyncio.to_thread(lambda: os.close(self._open_root()))

    async def close(self) -> None:
        """Nothing is held between calls."""

    def _walk(self, prefix: str, after: str | None) -> Generator[FoundObject, None, None]:
        parent, _, start = prefix.rpartition("/")
        with ExitStack() as opened:
            folder = self._open_root()
            opened.callback(os.close, folder)
            for name in parent.split("/") if parent else ():
                try:
                    folder = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                except OSError as error:
                    if error.errno in _ABSENT:
                        return
                    raise Forbidden("The source's folder may not be read.") from None
                opened.callback(os.close, folder)
            path = tuple(parent.split("/")) if parent else ()
            yield from _files(folder, path, _place(after) if after else (), start)

    def _open_root(self) -> int:
        try:
            return os.open(self._root, _DIRECTORY)
        except OSError as error:
            raise SourceUnavailable("The source's folder cannot be opened.") from error

    def _open(self, key: str) -> BinaryIO:
        *folders, name = key.split("/")
        with _source_errors(), ExitStack() as opened:
            folder = self._open_root()
            opened.callback(os.close, folder)
            for each in folders:
                folder = os.open(each, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                opened.callback(os.close, folder)
            descriptor = os.open(name, _FILE, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectMissing("What has the object's name is no file.")
        return os.fdopen(descriptor, "rb")


_Place = tuple[tuple[bool, str], ...]


def _place(key: str) -> _Place:
    """Where a file comes in the walk: the files of a folder first, then its folders, by name."""
    *folders, name = key.split("/")
    return (*((True, each) for each in folders), (False, name))


def _files(
    folder: int, path: tuple[str, ...], after: _Place, start: str = ""
) -> Iterator[FoundObject]:
    """The files below the open folder whose first name begins with `start`. A folder that may not
    be entered is told of by a key that ends with `/`, which is not usable."""
    above: _Place = tuple((True, each) for each in path)
    for is_folder, shown, name in _entries(folder):
        if not shown.startswith(start):
            continue
        place = (*above, (is_folder, shown))
        key = "/".join((*path, shown))
        if not is_folder:
            if place > after:
                yield FoundObject(key, _size(folder, name))
            continue
        if place < after[: len(place)]:
            continue
        try:
            if len(path) >= MAX_DEPTH:
                raise OSError(errno.EMFILE, "too deep")
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            yield FoundObject(f"{key}/", 0)
            continue
        try:
            yield from _files(below, (*path, shown), after)
        finally:
            os.close(below)


def _entries(folder: int) -> list[tuple[bool, str, str]]:
    """Files and folders in order; neither links nor devices. Names as they can be shown, and as the
    system has them: Linux's names are bytes."""
    found = []
    with _source_errors(), os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder or entry.is_file(follow_symlinks=False):
                shown = os.fsencode(entry.name).decode("utf-8", "replace")
                found.append((is_folder, shown, entry.name))
    return sorted(found)


def _size(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except OSError:
        return 0  # gone meanwhile, which its reader will find


async def _in_thread(found: Iterator[FoundObject]) -> tuple[FoundObject, ...]:
    """The next page. A cancelled caller waits for the thread: only then may it close the walk."""
    page = asyncio.ensure_future(asyncio.to_thread(lambda: tuple(islice(found, PAGE_OBJECTS))))
    try:
        return await asyncio.shield(page)
    finally:
        await asyncio.wait([page])


@contextmanager
def _source_errors() -> Iterator[None]:
    """Turns the system's errors into ours, without the names that they quote."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise ObjectMissing("The object is no longer there.") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Forbidden("The source refuses the object.") from None
        reason = errno.errorcode.get(error.errno or 0, "unknown")
        raise SourceUnavailable(f"The source's folder failed: {reason}.") from None

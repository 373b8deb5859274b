"""Members of a TAR archive, packed by gzip, bzip2, xz or not at all."""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from activities.inspect.archive import (
    MAXIMUM_RATIO,
    MAXIMUM_TOTAL_BYTES,
    RATIO_COUNTS_ABOVE_BYTES,
)
from activities.members.member import Member
from activities.members.paths import clean_path, is_clutter, refusal_of
from activities.sandbox.content import Content
from muniment.errors import LimitExceeded

_HEAD = b"ustar"
_HEAD_AT = 257
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


def looks_like_tar(head: bytes) -> bool:
    """Whether it is worth opening it as one."""
    return head.startswith(_PACKED) or head[_HEAD_AT : _HEAD_AT + len(_HEAD)] == _HEAD


def is_tar(content: Content) -> bool:
    """Whether a first entry can be read: a packed file need not be an archive."""
    try:
        with content.open() as file, tarfile.open(fileobj=file, mode="r|*") as archive:
            return archive.next() is not None
    except (tarfile.TarError, EOFError, OSError, ValueError):
        return False


def tar_members(content: Content, _password: str | None) -> Iterator[Member]:
    """Files only, in the archive's order: each has to be read before the next is asked for."""
    passed = 0
    with content.open() as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for entry in archive:
            # What is passed over has to be unpacked as well: its size counts before that.
            passed += entry.size
            _check(passed, content.size_bytes)
            if entry.isdir() or is_clutter(clean_path(entry.name)):
                continue
            yield Member(
                clean_path(entry.name),
                lambda entry=entry: _open(archive, entry),  # type: ignore[misc] # bound now
                refusal_of(entry.name) or (None if entry.isreg() else "it is no ordinary file"),
                entry.size,
            )


def _check(unpacked_bytes: int, packed_bytes: int) -> None:
    if unpacked_bytes > MAXIMUM_TOTAL_BYTES:
        raise LimitExceeded("The archive unpacks to more than 2 GiB.")
    if unpacked_bytes > RATIO_COUNTS_ABOVE_BYTES and unpacked_bytes > MAXIMUM_RATIO * packed_bytes:
        raise LimitExceeded(f"The archive unpacks to {MAXIMUM_RATIO} times its size.")


def _open(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> BinaryIO:
    file = archive.extractfile(entry)
    if file is None:
        raise tarfile.ReadError("an ordinary file has no content")
    return cast(BinaryIO, file)

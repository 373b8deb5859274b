"""A ZIP archive (APPNOTE 6.3.10) that is written while it is sent, piece by piece."""

import stat
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from api.files.archive_names import ArchiveNames
from api.files.content import Sealed
from muniment.objects import BlobStore
from muniment.zip_pieces import Gathered, write_piece

PIECE_BYTES = 64 * 1024
"""What has gathered is sent on from here: small files do not cost a write to the socket each."""
_LEVEL = 3
_NO_COMPRESSION = 0
_PACKED_PREFIXES = (
    "audio/",
    "video/",
    "image/",
    "application/vnd.oasis.opendocument.",
    "application/vnd.openxmlformats-officedocument.",
)
_PACKED = frozenset(
    {
        "application/epub+zip",
        "application/gzip",
        "application/java-archive",
        "application/pdf",
        "application/vnd.apache.parquet",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-bzip2",
        "application/x-gzip",
        "application/x-rar-compressed",
        "application/x-xz",
        "application/zip",
        "application/zstd",
    }
)
_NOT_PACKED = frozenset(
    {
        "audio/wav",
        "audio/x-wav",
        "image/bmp",
        "image/svg+xml",
        "image/tiff",
        "image/x-ms-bmp",
        "image/x-portable-pixmap",
    }
)


@dataclass(frozen=True)
class Entry:
    """A version of a file for the archive, and when it was taken in."""

    sealed: Sealed
    at: datetime
    file_id: UUID
    version: int


async def zipped(blobs: BlobStore, entries: Iterable[Entry]) -> AsyncGenerator[bytes, None]:
    """The archive's bytes. Memory does not grow with the files.

    Raises what reading the store raises, and what came until then is no whole archive: its directory
    stands at its end. Close it (`contextlib.aclosing`) when leaving it early.
    """
    gathered = Gathered()
    names = ArchiveNames()
    # What closing writes after an error stays in `gathered`, which nobody reads then.
    with ZipFile(gathered, "w") as archive:
        for entry in entries:
            sealed = entry.sealed
            content = blobs.read(sealed.tenant_id, sealed.blob_id, sealed.size)
            with archive.open(_described(entry, names), "w") as member:
                async with aclosing(content):
                    async for chunk in content:
                        await write_piece(member, chunk)
                        if gathered.size >= PIECE_BYTES:
                            yield gathered.take()
    yield gathered.take()


def _described(entry: Entry, names: ArchiveNames) -> ZipInfo:
    """The size is known before, so that ZIP64 is used where it is needed and nowhere else."""
    sealed = entry.sealed
    at = entry.at.astimezone(UTC)
    described = ZipInfo(names.claim(sealed.name or ""), at.timetuple()[:6])
    described.file_size = sealed.size
    described.external_attr = (stat.S_IFREG | 0o644) << 16
    # Deflated, even where nothing is gained: a reader that unpacks a stream finds the end of stored
    # bytes only in the directory behind them.
    described.compress_type = ZIP_DEFLATED
    # The only way to give one member a level before Python 3.13; later versions take it as well.
    level = _NO_COMPRESSION if is_packed(sealed.media_type) else _LEVEL
    described._compresslevel = level  # type: ignore[attr-defined]
    return described


def is_packed(media_type: str) -> bool:
    """Whether content of this type is compressed already."""
    if media_type in _NOT_PACKED:
        return False
    return media_type in _PACKED or media_type.startswith(_PACKED_PREFIXES)

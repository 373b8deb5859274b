"""Archives that need ZIP64, and what is packed how."""

import shutil
import subprocess
import zipfile
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from api.files.archive_names import ArchiveNames
from api.files.content import Sealed
from api.files.zipping import Entry, is_packed, zipped
from muniment.objects import BlobStore

MIB = 1024 * 1024
GIB = 1024 * MIB
AT = datetime(2026, 1, 31, 12, 30, 14, tzinfo=UTC)


class SparseStore(BlobStore):
    """A store of zeros, as many as are asked for."""

    def __init__(self) -> None:
        """It has nothing behind it."""

    async def read(
        self, tenant_id: UUID, blob_id: UUID, size: int, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        piece = bytes(MIB)
        for start in range(0, size, MIB):
            yield piece[: size - start]


def entry(name: str, size: int, media_type: str = "text/plain") -> Entry:
    nobody = UUID(int=0)
    return Entry(Sealed(nobody, nobody, size, bytes(32), name, media_type), AT, nobody, 1)


async def write(target: Path, entries: list[Entry]) -> None:
    with target.open("wb") as output:
        async for piece in zipped(SparseStore(), entries):
            output.write(piece)


def check(target: Path, sizes: list[int]) -> None:
    with zipfile.ZipFile(target) as opened:
        assert [each.file_size for each in opened.infolist()] == sizes
        assert opened.testzip() is None
    if unzip := shutil.which("unzip"):
        tested = subprocess.run([unzip, "-tq", target], capture_output=True, check=False)
        assert tested.returncode == 0, tested.stdout


async def test_large_files_and_late_places_use_zip64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the border put down, as if 32 bits were 21."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2 * MIB)
    target = tmp_path / "out.zip"
    entries = [
        entry("small.txt", 10),
        entry("large.bin", 5 * MIB, "application/zip"),
        entry("after.txt", 10),
    ]
    await write(target, entries)
    monkeypatch.undo()
    check(target, [10, 5 * MIB, 10])
    with zipfile.ZipFile(target) as opened:
        small, large, after = opened.infolist()
    assert (small.extract_version, large.extract_version, after.extract_version) == (20, 45, 45)
    assert large.compress_size > 5 * MIB
    assert small.date_time == (2026, 1, 31, 12, 30, 14)


@pytest.mark.slow
async def test_a_file_of_five_gibibytes_is_packed(tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    await write(target, [entry("large.txt", 5 * GIB), entry("after.txt", 10)])
    check(target, [5 * GIB, 10])


async def test_an_empty_file_is_in_the_archive(tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    await write(target, [entry("empty.txt", 0), entry("a.txt", 1)])
    check(target, [0, 1])


def test_what_is_compressed_is_not_compressed_again() -> None:
    assert is_packed("image/jpeg")
    assert is_packed("application/pdf")
    assert is_packed("application/vnd.openxmlformats-officedocument.wordprocessingml.document")
    assert not is_packed("image/tiff")
    assert not is_packed("text/plain")
    assert not is_packed("application/octet-stream")


def test_names_that_one_system_takes_for_one_are_told_apart() -> None:
    names = ArchiveNames()
    claimed = [names.claim(each) for each in ("é.txt", "e\u0301.TXT", "É.txt", "straße", "STRASSE")]
    assert claimed == ["é.txt", "é (2).TXT", "É (3).txt", "straße", "STRASSE (2)"]


def test_many_equal_names_are_numbered_in_time_linear_in_their_number() -> None:
    names = ArchiveNames()
    assert [names.claim("a.txt") for _ in range(10_000)][-1] == "a (10000).txt"

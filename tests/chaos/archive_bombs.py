"""Hostile archives: what swells, loops, lies or escapes."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

from tests.activities.test_hostile_files import (
    MEBIBYTE,
    package,
)

GIBIBYTE = 1024 * MEBIBYTE
HONEST = b"An honest letter about the lighthouse."


def deflated(size: int, byte: bytes = b"\0") -> bytes:
    """So many bytes of one value, deflated as zlib does."""
    packer = zlib.compressobj(9)
    piece = byte * MEBIBYTE
    return (
        b"".join(packer.compress(piece) for _ in range(size // MEBIBYTE))
        + packer.compress(byte * (size % MEBIBYTE))
        + packer.flush()
    )


# ── archives ────────────────────────────────────────────────────────────────────────────────────


def tar_of(entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload] # the mode is text
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def swelling_tar() -> bytes:
    """Four GiB of zeros as one member, packed by gzip to four MB."""
    entry = tarfile.TarInfo("zeros.txt")
    entry.size = 4 * GIBIBYTE
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        packed.write(entry.tobuf())
        piece = bytes(16 * MEBIBYTE)
        for _ in range(entry.size // len(piece)):
            packed.write(piece)
        packed.write(bytes(1024))
    return out.getvalue()


def tar_of_links() -> bytes:
    """Links, a device, a pipe, and one honest member."""
    entries = []
    for kind, name in (
        (tarfile.SYMTYPE, "passwords"),
        (tarfile.LNKTYPE, "hard"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
    ):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        entries.append((entry, b""))
    entries.append((tarfile.TarInfo("letter.txt"), HONEST))
    return tar_of(entries)


STRANGE_NAMES = (
    "two\nlines.txt",
    "invoice\u202etxt.exe.txt",
    "nul\0l.txt",
    "tab\tbell\x07.txt",
    "con\u200bcealed.txt",
    "-rf *.txt",
    "$(reboot).txt",
    "'; DROP TABLE file; --.txt",
    "<script>alert(1)</script>.txt",
    "\u0661\u0301" * 120 + ".txt",
    "back\\slash.txt",
)


def strangely_named_zip() -> bytes:
    """Names that break lines, turn the direction of text, or end early where C reads them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(STRANGE_NAMES):
            entry = zipfile.ZipInfo(f"{number:03}.txt")
            entry.filename = name
            archive.writestr(entry, HONEST + str(number).encode())
    return out.getvalue()


def strangely_named_tar() -> bytes:
    return tar_of(
        [
            (tarfile.TarInfo(name), HONEST + str(number).encode() + b" in a tar")
            for number, name in enumerate(STRANGE_NAMES)
            if "\0" not in name
        ]
    )


def escaping_zip() -> bytes:
    """Paths that lead out, a link among them, and one honest member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in (
            "../../up.txt",
            "/etc/cron.d/job",
            "..\\..\\up.txt",
            "C:\\up.txt",
            "a/../../b",
        ):
            archive.writestr(name, "escaped")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("letter.txt", HONEST)
    return out.getvalue()


def lying_zip() -> bytes:
    """A member that declares ten bytes and holds sixteen MiB, in both of its headers."""
    data = bytearray(package({"a.txt": bytes(16 * MEBIBYTE)}))
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, 22, 10)
    struct.pack_into("<I", data, central + 24, 10)
    return bytes(data)


def quine_like_zip() -> bytes:
    """Archives in archives, deeper than they may lie, one member each."""
    data = package({"letter.txt": HONEST})
    for depth in range(40):
        data = package({f"{depth}.zip": data})
    return data


def seven_zip() -> bytes:
    return b"7z\xbc\xaf\x27\x1c\0\4" + bytes(range(256)) * 8


def rar() -> bytes:
    return b"Rar!\x1a\x07\x01\0" + bytes(range(256)) * 8


# ── office and books ────────────────────────────────────────────────────────────────────────────

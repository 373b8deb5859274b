"""Compound files (MS-CFB) made by hand, and the properties of documents in them (MS-OLEPS)."""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime

SUMMARY = "\x05SummaryInformation"
_SECTOR = 512
_LEAST_STREAM = 4096
"""Shorter streams lie elsewhere in the file."""
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_STREAM, _ROOT = 2, 5
_I2, _I4, _LPSTR, _FILETIME = 2, 3, 30, 64


def compound_file(streams: Mapping[str, bytes]) -> bytes:
    """A file of these streams, each padded with zeros to 4,096 bytes."""
    directory_sectors = -(-(len(streams) + 1) // 4)
    fat = [_FAT, *_chain(1, directory_sectors)]
    entries = [_entry("Root Entry", _ROOT, child=1, start=_END, size=0)]
    body = b""
    for number, (name, data) in enumerate(streams.items(), start=1):
        padded = data + bytes(max(_LEAST_STREAM - len(data), -len(data) % _SECTOR))
        right = number + 1 if number < len(streams) else _FREE
        entries.append(_entry(name, _STREAM, right=right, start=len(fat), size=len(padded)))
        fat += _chain(len(fat), len(padded) // _SECTOR)
        body += padded
    assert len(fat) <= _SECTOR // 4
    directory = b"".join(entries).ljust(directory_sectors * _SECTOR, b"\0")
    table = struct.pack("<128I", *fat, *[_FREE] * (128 - len(fat)))
    return _header() + table + directory + body


def properties(values: Mapping[int, bytes | int | datetime], *, code_page: int = 1252) -> bytes:
    """A set of properties by number: text in the code page's bytes, numbers, times in UTC."""
    typed = [(1, struct.pack("<IhH", _I2, (code_page + 0x8000) % 0x10000 - 0x8000, 0))]
    typed += [(number, _value(value)) for number, value in values.items()]
    at = 8 + 8 * len(typed)
    index, data = b"", b""
    for number, value in typed:
        index += struct.pack("<II", number, at + len(data))
        data += value
    section = struct.pack("<II", at + len(data), len(typed)) + index + data
    return struct.pack("<HHI16xI16xI", 0xFFFE, 0, 2, 1, 48) + section


def _value(value: bytes | int | datetime) -> bytes:
    if isinstance(value, bytes):
        text = value + b"\0"
        return struct.pack("<II", _LPSTR, len(text)) + text + bytes(-len(text) % 4)
    if isinstance(value, int):
        return struct.pack("<Ii", _I4, value)
    since = value - datetime(1601, 1, 1, tzinfo=UTC)
    return struct.pack("<IQ", _FILETIME, int(since.total_seconds()) * 10_000_000)


def _chain(first: int, count: int) -> list[int]:
    return [*range(first + 1, first + count), _END]


def _header() -> bytes:
    fields = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, 1, 1, 0, _LEAST_STREAM, _END, 0, _END, 0, 0),
    )
    return fields + struct.pack("<I", _FREE) * 108


def _entry(
    name: str, kind: int, *, right: int = _FREE, child: int = _FREE, start: int, size: int
) -> bytes:
    written = name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII36xIQ", written, len(written), kind, 1, _FREE, right, child, start, size
    )

"""`Range` of bytes (RFC 9110, 14): what is asked for, cut to what is there."""

import re
from dataclasses import dataclass

MAX_RANGES = 8
_SPEC = re.compile(r"(\d{1,19})-(\d{0,19})|-(\d{1,19})")


@dataclass(frozen=True)
class ByteRange:
    """`start` included, `end` excluded."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.end - 1}/{size}"


class Unsatisfiable(Exception):
    """No range that was asked for overlaps the content, or there are too many of them."""


def parse_range(header: str | None, size: int) -> list[ByteRange] | None:
    """The satisfiable ranges in their order; None when the whole content is to be sent, as for a
    header that is no valid bytes range (which RFC 9110 lets a server ignore)."""
    if header is None:
        return None
    unit, equals, specs = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    wanted = [spec.strip() for spec in specs.split(",") if spec.strip()]
    matches = [_SPEC.fullmatch(spec) for spec in wanted]
    if not wanted or not all(matches):
        return None
    if len(wanted) > MAX_RANGES:
        raise Unsatisfiable(f"at most {MAX_RANGES} ranges are served at a time")
    found = []
    for match in matches:
        assert match is not None  # noqa: S101 - all matched, above
        if match[1] and match[2] and int(match[2]) < int(match[1]):
            return None
        byte_range = _cut(match, size)
        if byte_range is not None:
            found.append(byte_range)
    if not found:
        raise Unsatisfiable("no range that was asked for lies within the content")
    return found


def _cut(match: re.Match[str], size: int) -> ByteRange | None:
    if match[3]:
        length = min(int(match[3]), size)
        return ByteRange(size - length, size) if length else None
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    return ByteRange(start, end) if start < size else None

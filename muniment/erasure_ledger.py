"""Reads the erasure ledger (activities/erasure/ledger.py) from where it was read before.

A mark is a length of the file and the SHA-256 of the line that ends there: a ledger that is another one, or
was cut, is told by it and read from its beginning.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ValidationError

logger = logging.getLogger(__name__)

LINES_AT_ONCE = 1_000
_LONGEST_LINE = 4_096


class _Line(BaseModel):
    at: AwareDatetime
    tenant_id: UUID
    file_id: UUID


@dataclass(frozen=True)
class LedgerMark:
    """`line_hash` is empty at the beginning."""

    offset_bytes: int = 0
    line_hash: bytes = b""


@dataclass(frozen=True)
class LedgerEntry:
    """A file that was erased, or whose keys were being destroyed, at that time."""

    tenant_id: UUID
    file_id: UUID
    at: datetime


@dataclass(frozen=True)
class LedgerPart:
    """Some lines, and the mark behind the last of them."""

    entries: tuple[LedgerEntry, ...]
    end: LedgerMark


def parts_behind(path: Path, mark: LedgerMark) -> Iterator[LedgerPart]:
    """What stands behind the mark, `LINES_AT_ONCE` at a time; all of a ledger that the mark is not of, and
    nothing where there is none. A line that is being written is left to the next reader.

    It blocks, and raises OSError.
    """
    if not path.exists():
        if mark.offset_bytes:
            _warn_of_another("the erasure ledger is gone", mark)
        return
    with path.open("rb") as file:
        if not _ends_here(file, mark):
            _warn_of_another("the erasure ledger is another one than before, or was cut", mark)
            mark = LedgerMark()
        file.seek(mark.offset_bytes)
        while part := _next_part(file):
            yield part


def _next_part(file: BinaryIO) -> LedgerPart | None:
    entries = list[LedgerEntry]()
    last = b""
    for _ in range(LINES_AT_ONCE):
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(-len(line), 1)
            break
        last = line
        entry = _entry(line)
        if entry is not None:
            entries.append(entry)
    if not last:
        return None
    return LedgerPart(tuple(entries), LedgerMark(file.tell(), hashlib.sha256(last).digest()))


def _entry(line: bytes) -> LedgerEntry | None:
    """None for half a line, as a writer leaves it that is killed: it had done nothing yet, and its
    erasure wrote the line again."""
    try:
        read = _Line.model_validate_json(line)
    except ValidationError:
        logger.warning("a line of the erasure ledger is damaged", extra={"bytes": len(line)})
        return None
    return LedgerEntry(read.tenant_id, read.file_id, read.at)


def _ends_here(file: BinaryIO, mark: LedgerMark) -> bool:
    if not mark.offset_bytes:
        return True
    begin = max(0, mark.offset_bytes - _LONGEST_LINE)
    file.seek(begin)
    before = file.read(mark.offset_bytes - begin)
    if len(before) < mark.offset_bytes - begin or not before.endswith(b"\n"):
        return False
    line = before[before.rfind(b"\n", 0, -1) + 1 :]
    return hashlib.sha256(line).digest() == mark.line_hash


def _warn_of_another(message: str, mark: LedgerMark) -> None:
    logger.warning(message, extra={"known_bytes": mark.offset_bytes})

"""Log files of the children: one JSON object per line, rotated, bounded."""

import contextlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_LONGEST_LINE_BYTES = 64 * 1024


class RotatingLog:
    """Appends JSON lines to one file; at `limit_bytes` it becomes `<name>.1`, and so on.

    So a process takes at most (`kept` + 1) × `limit_bytes` of disk.
    """

    def __init__(
        self, path: Path, process: str, *, limit_bytes: int = 16 * 1024**2, kept: int = 2
    ) -> None:
        self._path = path
        self._process = process
        self._limit_bytes = limit_bytes
        self._kept = kept
        self._stream: BinaryIO | None = None
        self._rest = b""

    def feed(self, output: bytes) -> None:
        """Takes raw output as it comes; whole lines are written, the rest waits for its end."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            self._write_line(line)
        if len(self._rest) > _LONGEST_LINE_BYTES:
            self._write_line(self._rest)
            self._rest = b""

    def flush_rest(self) -> None:
        """Writes an unfinished last line, as a program that died may leave one."""
        rest, self._rest = self._rest, b""
        if rest:
            self._write_line(rest)

    def event(self, event: str, *, level: str = "info", **fields: str | int | float | None) -> None:
        """Writes one event of the supervisor's own."""
        record = {"timestamp": _now(), "level": level, "process": self._process, "event": event}
        self._append(json.dumps(record | fields, ensure_ascii=False).encode())

    def close(self) -> None:
        self.flush_rest()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write_line(self, line: bytes) -> None:
        line = line.strip()
        if not line:
            return
        if len(line) <= _LONGEST_LINE_BYTES and _is_json_object(line):
            self._append(line)
        else:
            text = line[:_LONGEST_LINE_BYTES].decode("utf-8", "replace")
            # PostgreSQL's own words for what went wrong; other plain lines say nothing of it.
            failed = any(word in text for word in (" ERROR: ", " FATAL: ", " PANIC: "))
            self.event(text, level="error" if failed else "info")

    def _append(self, line: bytes) -> None:
        """A line that cannot be written, as on a full disk, is lost: supervision goes on."""
        with contextlib.suppress(OSError):
            self._append_or_rotate(line)

    def _append_or_rotate(self, line: bytes) -> None:
        stream = self._stream
        if stream is None:
            stream = self._stream = self._path.open("ab", buffering=0)
        if stream.tell() + len(line) > self._limit_bytes and stream.tell() > 0:
            stream.close()
            self._rotate()
            stream = self._stream = self._path.open("ab", buffering=0)
        stream.write(line + b"\n")

    def _rotate(self) -> None:
        for number in range(self._kept, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = (
                self._path if number == 1 else older.with_name(f"{self._path.name}.{number - 1}")
            )
            if newer.exists():
                newer.replace(older)


def last_events(path: Path, count: int = 5) -> list[str]:
    """The last lines of a log as plain text, for a message to a person; [] when there are none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 16 * 1024))
            lines = stream.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
    return [_plain(line) for line in lines]


def _plain(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict):
        return line
    text = record.get("event") or record.get("msg") or line
    reason = record.get("error") or record.get("exception")
    return f"{text}: {reason}" if reason else str(text)


def _is_json_object(line: bytes) -> bool:
    if not line.startswith(b"{"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")

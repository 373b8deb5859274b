"""What was taken in of a folder, kept across restarts.

    {"name": "a/b.pdf", "size": 9, "modified_ns": …, "sha256": "…", "file_id": "…"}

One JSON object per line, the last one of a name counts. A line is written once the API has answered:
after a kill in between the file is sent again, and the API finds that it has it already. A line that
a crash left unfinished is passed over. On opening, the file is written anew with a line per name.
"""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from muniment.errors import ConfigurationError, Conflict


class Taken(BaseModel):
    """A file as it was when it was taken in, or refused for good (`file_id` is null)."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int
    modified_ns: int
    sha256: str
    file_id: UUID | None = None


class Ledger:
    """Open in one process at a time; Conflict when another one watches the same folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken: dict[str, Taken] = {}

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{self._path.parent} cannot be written ({error.strerror})",
                remedy="Let your user write there, or name another --home.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Conflict(
                "another `muniment watch` is at work on this folder", remedy="Stop that one first."
            ) from None
        self._taken = dict(_read(self._path))
        self._write_anew()
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        os.close(self._lock)

    def find(self, name: str) -> Taken | None:
        return self._taken.get(name)

    def note(self, taken: Taken) -> None:
        """On the disk when this returns."""
        self._file.write(taken.model_dump_json() + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._taken[taken.name] = taken

    def _write_anew(self) -> None:
        fresh = self._path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            for taken in self._taken.values():
                file.write(taken.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def ledger_path(states: Path, folder: Path, url: str, collection: str | None) -> Path:
    """A ledger of its own for each folder, stack and collection."""
    key = json.dumps([str(folder.resolve()), url, collection])
    return states / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.jsonl"


def _read(path: Path) -> dict[str, Taken]:
    taken: dict[str, Taken] = {}
    if not path.exists():
        return taken
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                found = Taken.model_validate_json(line)
            except ValidationError:
                continue
            taken[found.name] = found
    return taken

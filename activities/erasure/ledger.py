"""The erasure ledger: a file beside the keys, outside the database and its backups.

A restored database would bring erased files back to light; before it serves, the ledger says which
blobs and files must be erased again. One JSON object per line, only ever appended:

    {"at": "2026-01-31T12:00:00+00:00", "tenant_id": "…", "file_id": "…", "blob_id": "…"|null}

A line with a blob is written before its key is destroyed, the line without one when all is done.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from db.models import now
from muniment.sealing.keys import unwritable
from muniment.sealing.locked_file import sync_folder


class ErasureLedger:
    """Appends durably; any number of processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def append(self, tenant_id: UUID, file_id: UUID, blob_ids: Sequence[UUID | None]) -> None:
        """A line per blob, on disk when this returns; KeyManagementUnavailable when it cannot be."""
        lines = "".join(
            json.dumps(
                {
                    "at": now().isoformat(),
                    "tenant_id": str(tenant_id),
                    "file_id": str(file_id),
                    "blob_id": str(blob_id) if blob_id else None,
                }
            )
            + "\n"
            for blob_id in blob_ids
        )
        if not lines:
            return
        try:
            await asyncio.to_thread(self._append, lines.encode())
        except OSError as error:
            raise unwritable("the erasure ledger", error) from error

    def _append(self, lines: bytes) -> None:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a writer was killed within its last line
            try:
                _write_all(descriptor, lines)
            except OSError:
                os.ftruncate(descriptor, size)  # no half a line, to which the next would be glued
                raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._path.parent)


def _write_all(descriptor: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)

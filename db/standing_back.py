"""Backends of PostgreSQL that stand back as the process does that they work for.

Each backend is a session of its own, and Linux shares the cores among sessions first (autogroups,
sched(7)): those of a worker that stands back would have a full share all the same.
"""

import asyncio
import logging
import re
import socket
import struct
from pathlib import Path

import psutil
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

_OWN_SHARE = Path("/proc/self/autogroup")
_NICENESS = re.compile(r" nice (-?\d+)$")
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of who listens at a socket's other end (SO_PEERCRED, unix(7))."""
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.15
"""The kernel takes one such wish in a tenth of a second from all who are without privileges. Whoever waits
for the connection waits for this, so where many open some at once, a few keep their full share."""

_log = logging.getLogger(__name__)


async def stand_back_together(connection: AsyncConnection[TupleRow]) -> None:
    """The backend's session from here on as far as ours. Nothing where ours does not, where the kernel
    has none, and where the backend is another machine's, or of an account that is none of ours."""
    niceness = _own_niceness()
    if niceness <= 0:
        return
    backend = _backend_here(connection)
    if backend is None:
        return
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE_SECONDS)
        if _have_stand_back(backend, niceness):
            return
    _log.debug("a backend keeps its full share", extra={"backend": backend})


def _have_stand_back(process_id: int, niceness: int) -> bool:
    """Whether there is nothing to try again: done, or not ours to do."""
    try:
        Path(f"/proc/{process_id}/autogroup").write_text(str(niceness), encoding="ascii")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _own_niceness() -> int:
    """Of this process's session; 0 where it is none that Linux shares the cores among."""
    try:
        found = _NICENESS.search(_OWN_SHARE.read_text(encoding="ascii").rstrip())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _backend_here(connection: AsyncConnection[TupleRow]) -> int | None:
    """The id of the connection's backend, if that is what we call it, too: another machine's, or another
    container's, may be that of anybody here."""
    backend = connection.info.backend_pid
    try:
        parent = psutil.Process(backend).ppid()
    except psutil.Error:
        return None
    return backend if parent == _listening_process(connection) else None


def _listening_process(connection: AsyncConnection[TupleRow]) -> int | None:
    """Who listens at the other end, where that is a socket of this machine."""
    line = socket.socket(fileno=connection.fileno())
    try:
        if line.family != socket.AF_UNIX:
            return None
        found = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    finally:
        line.detach()  # the descriptor is libpq's
    process_id: int = _CREDENTIALS.unpack(found)[0]
    return process_id

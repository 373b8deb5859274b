"""What a supervisor that died left behind: found by identity, ended before the next start.

A pid alone proves nothing, since the system gives pids out again. A process is ours when its pid
and start time are those on record, or when it carries the home's mark in its environment.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from deploy.embedded.home import Home
from deploy.embedded.records import ProcessRecord, read_stack

MARK = "MUNIMENT_SUPERVISED_HOME"
"""In the environment of every child and of what they start: the home it belongs to."""
_CLOCK_TOLERANCE_SECONDS = 2.0
_GRACE_SECONDS = 10.0
_STRAY_SECONDS = 2.0


def is_same_process(record: ProcessRecord) -> bool:
    """Whether the recorded process still runs."""
    if record.pid is None or record.created is None:
        return False
    try:
        process = psutil.Process(record.pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and abs(process.create_time() - record.created) < _CLOCK_TOLERANCE_SECONDS
    except psutil.Error:
        return False


def find_leftovers(home: Home) -> list[psutil.Process]:
    """Processes of this home's stack; only right while no supervisor holds the lock."""
    found: dict[int, psutil.Process] = {}
    for process in (*_recorded(home), *_marked(home)):
        found[process.pid] = process
    postmaster = leftover_postmaster(home.postgres)
    if postmaster is not None:
        found[postmaster.pid] = postmaster
    found.pop(os.getpid(), None)
    return list(found.values())


def end_leftovers(home: Home) -> int:
    """Ends what is left, politely first; the number of processes that were there."""
    processes = find_leftovers(home)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    alive = psutil.wait_procs(processes, timeout=max(0.0, deadline - time.monotonic()))[1]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return len(processes)


def leftover_postmaster(data: Path) -> psutil.Process | None:
    """A postmaster that serves this very folder, known by its name and working folder."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        process = psutil.Process(pid)
        if process.name() == "postgres" and Path(process.cwd()).samefile(data):
            return process
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return None


class Strays:
    """Processes that lost their parent and came to us: on Linux the supervisor adopts what a dead
    child leaves (`adopt_orphans`).

    What is in our own group we started ourselves; what is in a living child's group is that
    child's. Anything else is ended once it was seen twice, two seconds apart: a process that is
    just being started looks the same for a moment.
    """

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}

    def end(self, known: set[int]) -> None:
        """Kills the strays and collects the dead; `known` are the pids of the children."""
        seen = self._seen
        self._seen = {}
        for process in psutil.Process().children():
            try:
                if self._is_stray(process, known):
                    first = self._seen[process.pid] = seen.get(process.pid, time.monotonic())
                    if time.monotonic() - first >= _STRAY_SECONDS:
                        process.kill()
                        os.waitpid(process.pid, os.WNOHANG)
            except (psutil.Error, ProcessLookupError, ChildProcessError):
                continue

    def _is_stray(self, process: psutil.Process, known: set[int]) -> bool:
        group = os.getpgid(process.pid)
        return process.pid not in known and group not in known and group != os.getpgrp()


def end_all_children() -> None:
    """Kills whatever child is left, at the very end."""
    children = psutil.Process().children(recursive=True)
    for process in children:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(children, timeout=5)


def _recorded(home: Home) -> Iterator[psutil.Process]:
    stack = read_stack(home)
    for record in stack.processes if stack else ():
        if record.pid is not None and is_same_process(record):
            with contextlib.suppress(psutil.Error):
                yield psutil.Process(record.pid)


def _marked(home: Home) -> Iterator[psutil.Process]:
    root = str(home.root)
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == root:
                yield process
        except (psutil.Error, OSError):
            continue


def remove_stale_files(home: Home) -> None:
    """Removes what says that a stack runs: endpoints and pid files."""
    home.endpoints.unlink(missing_ok=True)
    for path in home.run.glob("*.pid"):
        Path(path).unlink(missing_ok=True)

"""Starting in the background, stopping, and asking about a stack from another process."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from deploy.embedded.home import Home
from deploy.embedded.leftovers import (
    end_leftovers,
    find_leftovers,
    is_same_process,
    remove_stale_files,
)
from deploy.embedded.lock import is_supervised, sole_supervisor
from deploy.embedded.one_shot import MIGRATION_SECONDS
from deploy.embedded.records import (
    Endpoints,
    StackRecord,
    StackState,
    StackStatus,
    read_endpoints,
    read_stack,
    write_stack,
)
from muniment.errors import DependencyUnavailable

_START_SECONDS = 600.0
_STOP_SECONDS = 90.0


def start_detached(home: Home, arguments: Sequence[str], say: Callable[[str], None]) -> Endpoints:
    """Starts a supervisor of its own session and waits until its stack is ready.

    `arguments` are those of `up`. Progress lines go to `say`. Raises DependencyUnavailable when
    the supervisor ends, or is not ready ten minutes after the longest upgrade of the schema; its own
    words have been said by then.
    """
    output_path = home.log / "start.txt"
    with output_path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "deploy.embedded", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + MIGRATION_SECONDS + _START_SECONDS
    with output_path.open("r", encoding="utf-8", errors="replace") as lines:
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            _say_lines(lines.readlines(), say)
            endpoints = read_endpoints(home)
            if endpoints is not None and _is_ready(home, process.pid):
                return endpoints
            if ended:
                raise DependencyUnavailable(
                    "the stack did not start", remedy=f"Read {home.log_file('supervisor')}."
                )
            time.sleep(0.1)
    process.terminate()
    raise DependencyUnavailable("the stack was not ready in time")


def _say_lines(lines: list[str], say: Callable[[str], None]) -> None:
    for line in lines:
        say(line.rstrip("\n"))


def _is_ready(home: Home, supervisor_pid: int) -> bool:
    stack = read_stack(home)
    return (
        stack is not None
        and stack.state is StackState.RUNNING
        and stack.supervisor.pid == supervisor_pid
    )


def wait_for_ready(home: Home, timeout_seconds: float) -> Endpoints | None:
    """The endpoints once the running supervisor's stack is ready; None when it is not in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        stack = status(home)
        if stack.state is StackState.RUNNING:
            return stack.endpoints
        if stack.state is not StackState.STARTING or time.monotonic() > deadline:
            return None
        time.sleep(0.2)


def stop(home: Home) -> bool:
    """Stops the stack; whether there was anything to stop. Afterwards nothing of it runs.

    A supervisor that does not end in time is killed, and what a dead one left is ended too.
    """
    stack = read_stack(home)
    was_running = is_supervised(home)
    if was_running:
        _end_supervisor(home, stack)
    if not home.run.exists():
        return was_running
    with sole_supervisor(home):
        leftovers = end_leftovers(home)
        remove_stale_files(home)
        if stack is not None:
            now = read_stack(home) or stack
            write_stack(home, now.model_copy(update={"state": StackState.STOPPED}))
    return was_running or leftovers > 0


def _end_supervisor(home: Home, stack: StackRecord | None) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    pid = _supervisor_pid(home, stack)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while is_supervised(home):
        if time.monotonic() > deadline:
            _kill_supervisor(home, pid)
            return
        time.sleep(0.1)


def _kill_supervisor(home: Home, pid: int | None) -> None:
    if pid is None:
        raise DependencyUnavailable(
            f"a process holds {home.lock} but says nothing about itself",
            remedy="Find it with `fuser` or `lsof` and end it.",
        )
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)


def _supervisor_pid(home: Home, stack: StackRecord | None) -> int | None:
    """The pid on record when that very process runs, else the pid file's, if it has our command."""
    if stack is not None and is_same_process(stack.supervisor):
        return stack.supervisor.pid
    try:
        pid = int(home.pid_file("supervisor").read_text(encoding="utf-8"))
        if "deploy.embedded" in " ".join(psutil.Process(pid).cmdline()):
            return pid
    except (OSError, ValueError, psutil.Error):
        return None
    return None


def status(home: Home) -> StackStatus:
    """What runs now, from the records and checked against the system's processes."""
    stack = read_stack(home)
    supervised = is_supervised(home)
    if stack is None:
        state = StackState.STARTING if supervised else StackState.STOPPED
        return StackStatus(home=home.root, state=state)
    if supervised and is_same_process(stack.supervisor):
        return _supervised_status(home, stack)
    if supervised:
        return StackStatus(home=home.root, state=StackState.STARTING)
    crashed = stack.state is not StackState.STOPPED or bool(find_leftovers(home))
    state = StackState.CRASHED if crashed else StackState.STOPPED
    alive = tuple(process for process in stack.processes if is_same_process(process))
    return StackStatus(home=home.root, state=state, processes=alive)


def _supervised_status(home: Home, stack: StackRecord) -> StackStatus:
    """`running` only with endpoints, which are written last."""
    endpoints = read_endpoints(home) if stack.state is StackState.RUNNING else None
    is_ready = stack.state is not StackState.RUNNING or endpoints is not None
    return StackStatus(
        home=home.root,
        state=stack.state if is_ready else StackState.STARTING,
        supervisor_pid=stack.supervisor.pid,
        processes=stack.processes,
        endpoints=endpoints,
    )


def resolved_home(path: Path) -> Home:
    """The home at a path, absolute and without links, so that one home has one name."""
    return Home(path.expanduser().resolve())

"""Programs that run once and must succeed: initdb, migrations, the first key."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.child import Account, ProcessSpec, spawn
from deploy.embedded.logs import RotatingLog
from deploy.embedded.output import OutputPipe
from muniment.errors import DependencyUnavailable

MIGRATION_SECONDS = 6 * 3_600.0
"""Words of a million passages take some twenty minutes to index, and events of a restored database are
written anew, some 30,000 in a second (docs/operations.md)."""

REPLAY_SECONDS = 3_600.0
"""Only what the ledger has got since it was last compared is read."""


async def run_once(
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    log: RotatingLog,
    *,
    timeout_seconds: float,
    account: Account | None = None,
    open_folders: tuple[Path, ...] = (),
) -> None:
    """Runs a program to its end, its output in the log; as another account where one is given.

    Raises DependencyUnavailable when it fails or takes too long.
    """
    spec = ProcessSpec(
        name=name,
        command=command,
        environment=environment,
        ready=_always,
        death_signal=signal.SIGKILL,
        account=account,
        open_folders=open_folders,
    )
    exit_code = await _run_to_end(spec, log, timeout_seconds)
    if exit_code != 0:
        raise DependencyUnavailable(
            f"{name} failed with exit code {exit_code}",
            remedy="The supervisor's log holds what it printed.",
        )


async def _run_to_end(spec: ProcessSpec, log: RotatingLog, timeout_seconds: float) -> int | None:
    pipe = OutputPipe(log.feed)
    process = await spawn(spec, pipe, own_group=False)
    try:
        await asyncio.wait_for(process.wait(), timeout_seconds)
    except TimeoutError:
        raise DependencyUnavailable(f"{spec.name} took more than {timeout_seconds:.0f} s") from None
    finally:
        await _kill_if_running(process)
        pipe.finish()
        log.flush_rest()
    return process.returncode


async def read_secret(
    name: str, command: tuple[str, ...], environment: Mapping[str, str], *, timeout_seconds: float
) -> str:
    """The last line a program prints to standard output, which is never logged.

    Raises DependencyUnavailable when it fails, takes too long or prints nothing.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd="/",
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_seconds)
    except TimeoutError:
        raise DependencyUnavailable(f"{name} took more than {timeout_seconds:.0f} s") from None
    finally:
        await _kill_if_running(process)
    words = output.decode().split()
    if process.returncode != 0 or not words:
        raise DependencyUnavailable(f"{name} failed with exit code {process.returncode}")
    return words[-1]


async def _kill_if_running(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _always(_process_id: int, _started: float) -> bool:
    return True


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our modules with this interpreter.

    `-P` keeps the working folder off the import path.
    """
    return (sys.executable, "-P", "-m", module, *arguments)

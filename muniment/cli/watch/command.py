"""The command: looks at the folder, waits for a change, looks again."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import watchfiles
from rich.text import Text

from muniment.cli.failures import ExitCode
from muniment.cli.output import err, out, print_json, printable
from muniment.cli.watch.intake import Intake, Round, Told, WatchOptions
from muniment.cli.watch.ledger import Ledger, ledger_path
from muniment.client.async_client import AsyncMuniment
from muniment.client.location import locate
from muniment.client.problems import ApiUnreachable
from muniment.errors import ConfigurationError, InvalidRequest

LONGEST_WAIT_SECONDS = 60.0
"""The kernel drops notices when too many come at once: the folder is looked at without one too."""
POLL_SECONDS = 2.0
AWAY_SECONDS = 10.0
"""How long an API that does not answer is left alone."""
ONCE_ROUNDS = 30
"""With --once: how often a file that is still written to is looked at again."""


@dataclass(frozen=True)
class WatchMode:
    """`once` ends when all is taken in; `poll` is for filesystems that tell of no change."""

    once: bool = False
    poll: bool = False
    as_json: bool = False


def watch_folder(
    folder: Path, home: Path | None, options: WatchOptions, mode: WatchMode
) -> ExitCode:
    """Watches until interrupted; with `once` until everything there is taken in. FAILED when
    something was refused, or was never whole."""
    if not folder.is_dir():
        raise InvalidRequest(f"{folder}: no such folder", remedy="Name a folder that exists.")
    url = locate(home=home).url
    states = home / "watch" if home is not None else _user_states()
    path = ledger_path(states, folder, url, options.collection)
    with Ledger(path) as ledger:
        return asyncio.run(_watch(folder, home, options, mode, ledger))


def _user_states() -> Path:
    return Path(platformdirs.user_state_dir("muniment")) / "watch"


async def _watch(
    folder: Path, home: Path | None, options: WatchOptions, mode: WatchMode, ledger: Ledger
) -> ExitCode:
    async with AsyncMuniment(home=home) as muniment:
        await muniment.jobs.list(limit=1)  # a stack that is down is told of at once
        intake = Intake(muniment, folder, ledger, options, _teller(as_json=mode.as_json))
        if mode.once:
            return await _once(intake, options)
        await _until_stopped(intake, folder, options, mode)
    return ExitCode.OK


async def _once(intake: Intake, options: WatchOptions) -> ExitCode:
    refused, last = 0, Round()
    for _ in range(ONCE_ROUNDS):
        last = await intake.round()
        refused += last.refused
        if not last.waiting:
            break
        await asyncio.sleep(max(options.settle_seconds, 0.1))
    if last.waiting:
        err().print(f"{last.waiting} left out: still written to, or not to be read")
    return ExitCode.FAILED if refused or last.waiting else ExitCode.OK


async def _until_stopped(
    intake: Intake, folder: Path, options: WatchOptions, mode: WatchMode
) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    noticing = asyncio.create_task(_notice(folder, stop, changed, poll=mode.poll))
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            changed.clear()
            wait = await _look(intake, options)
            change = asyncio.create_task(changed.wait())
            await asyncio.wait(
                {change, noticing, stopping}, timeout=wait, return_when=asyncio.FIRST_COMPLETED
            )
            change.cancel()
            if noticing.done() and not stop.is_set():
                noticing.result()  # raises what ended it
    finally:
        stop.set()
        stopping.cancel()
        await asyncio.gather(noticing, stopping, return_exceptions=True)


async def _look(intake: Intake, options: WatchOptions) -> float:
    """One look at the folder; for how many seconds no other is needed unless something changes."""
    try:
        found = await intake.round()
    except ApiUnreachable as error:
        err().print(Text(f"waiting: {error.detail}"))
        return AWAY_SECONDS
    return max(options.settle_seconds, 0.1) if found.waiting else LONGEST_WAIT_SECONDS


async def _notice(folder: Path, stop: asyncio.Event, changed: asyncio.Event, *, poll: bool) -> None:
    """Says when something in the folder changes; ends in an error when the folder is gone."""
    try:
        async for _ in _turns(stop) if poll else _notices(folder, stop):
            changed.set()
            if not await asyncio.to_thread(folder.is_dir):
                break
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"the system tells of no change in {folder} ({type(error).__name__})",
            remedy="Watch it with --poll, or raise fs.inotify.max_user_watches.",
        ) from error
    if not stop.is_set():
        raise InvalidRequest(f"{folder} is gone", remedy="Name a folder that exists.")


def _notices(folder: Path, stop: asyncio.Event) -> AsyncIterator[object]:
    return watchfiles.awatch(
        folder, watch_filter=None, stop_event=stop, ignore_permission_denied=True
    )


async def _turns(stop: asyncio.Event) -> AsyncIterator[object]:
    """When to look again where no change is told of. The look itself compares times to the
    nanosecond; watchfiles' own polling compares whole seconds, and so misses a second change."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        yield None


def _teller(*, as_json: bool) -> Callable[[Told], None]:
    def tell(told: Told) -> None:
        if as_json:
            print_json(told, indent=None)
            sys.stdout.flush()
        elif told.error is not None:
            problem = f"{told.error.title}: {told.error.detail or ''} {told.error.remedy or ''}"
            out().print(Text(f"refused  {printable(told.name)}  {problem}".rstrip(), style="red"))
        else:
            version = f"  version {told.version}" if (told.version or 1) > 1 else ""
            out().print(Text(f"taken in  {printable(told.name)}{version}"))

    return tell

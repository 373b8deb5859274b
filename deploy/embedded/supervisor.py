"""The supervisor of an embedded stack: starts it, keeps it running, stops it, always.

Order of a start: PostgreSQL, Temporal (and clamd) → schema → first key → API and workers →
`run/endpoints.json`. Stop is the reverse. A file lock makes it the only one of its home.
"""

import asyncio
import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from deploy.embedded.child import Child, ProcessSpec, start_time
from deploy.embedded.home import Home, write_privately
from deploy.embedded.leftovers import Strays, end_all_children, end_leftovers, remove_stale_files
from deploy.embedded.lock import sole_user_of
from deploy.embedded.logs import RotatingLog, last_events
from deploy.embedded.one_shot import (
    MIGRATION_SECONDS,
    REPLAY_SECONDS,
    python_module,
    read_secret,
    run_once,
)
from deploy.embedded.places import choose_places
from deploy.embedded.records import (
    ProcessRecord,
    ProcessState,
    StackRecord,
    StackState,
    write_stack,
)
from deploy.embedded.scanner import NO_SCANNER, REMEDY
from deploy.embedded.stack import EmbeddedStack, plan_stack
from muniment.errors import DependencyUnavailable, IntegrityError
from muniment.settings import EmbeddedSettings
from muniment.task_group import task_group

_PR_SET_CHILD_SUBREAPER = 36
_STRAY_SECONDS = 5.0
_API_KEY = re.compile(r"^mun_[0-9A-Za-z]{36}$")


class Supervisor:
    """One stack. `say` receives the lines for the person who started it."""

    def __init__(
        self,
        home: Home,
        *,
        api_port: int | None,
        commands: Mapping[str, str],
        settings: EmbeddedSettings,
        shows_payloads: bool,
        say: Callable[[str], None],
    ) -> None:
        self._home = home
        self._api_port = api_port
        self._commands = commands
        self._settings = settings
        self._shows_payloads = shows_payloads
        self._say = say
        self._log = RotatingLog(home.log_file("supervisor"), "supervisor")
        self._children: list[Child] = []
        self._strays = Strays()
        self._held = ExitStack()
        self._state = StackState.STARTING
        self._since = datetime.now(UTC)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Returns when the stack was stopped on request.

        Raises MunimentError, with everything stopped, when it cannot be started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        strays = asyncio.create_task(self._end_strays_for_ever())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            starting.cancel()
            strays.cancel()
            await asyncio.gather(starting, strays, return_exceptions=True)
            await self._stop_all()
            self._held.close()
            self._log.close()

    async def _start(self) -> None:
        began = time.monotonic()
        self._write_record()
        write_privately(self._home.pid_file("supervisor"), f"{os.getpid()}\n")
        taken_over = await asyncio.to_thread(end_leftovers, self._home)
        if taken_over:
            self._tell(f"ended {taken_over} processes that an earlier supervisor left behind")
        places = choose_places(self._home, self._api_port)
        self._held.enter_context(sole_user_of(places.api))
        stack = await plan_stack(
            self._home,
            places,
            self._log,
            commands=self._commands,
            settings=self._settings,
            shows_payloads=self._shows_payloads,
        )
        is_new = await stack.postgres.initialise()
        if not stack.scanner.address:
            self._tell(f"warning: {NO_SCANNER}. {REMEDY}", level="warning")
        await self._bring_up(stack.foundation())
        await self._prepare_database(stack, is_new)
        await self._bring_up(stack.services())
        self._state = StackState.RUNNING
        self._write_record()
        endpoints = stack.endpoints()
        write_privately(self._home.endpoints, endpoints.model_dump_json(indent=2) + "\n")
        self._tell(f"ready in {time.monotonic() - began:.1f} s")
        self._say(f"  API          {endpoints.api}  (key: {self._home.admin_key})")
        self._say(f"  Temporal UI  {endpoints.temporal_ui}")
        self._say(f"  logs         {self._home.log}")

    async def _bring_up(self, specs: Sequence[ProcessSpec]) -> None:
        """Starts processes side by side and waits for all of them to be ready."""
        children = [
            Child(spec, RotatingLog(self._home.log_file(spec.name), spec.name), self._changed)
            for spec in specs
        ]
        self._children += children
        for child in children:
            child.start()
        async with task_group() as waits:
            for child in children:
                waits.create_task(self._wait_for(child))

    async def _wait_for(self, child: Child) -> None:
        began = time.monotonic()
        name = child.spec.name
        if not await child.wait_until_ready():
            tail = "; ".join(last_events(self._home.log_file(name)))
            raise DependencyUnavailable(
                f"{name} was not ready after {time.monotonic() - began:.0f} s"
                f" and {child.restarts} restarts. Its last words: {tail or 'none'}",
                remedy=f"Read {self._home.log_file(name)} and run `muniment doctor`.",
            )
        self._tell(f"{name} is ready ({time.monotonic() - began:.1f} s)")

    async def _prepare_database(self, stack: EmbeddedStack, is_new: bool) -> None:
        """The database, its schema, and the administrator's key where there is none."""
        if not await stack.postgres.has_database():
            await stack.postgres.create_database()
        environment = stack.owner_environment()
        began = time.monotonic()
        self._tell("bringing the schema up to date")
        await run_once(
            "migrations",
            python_module("db.migrate"),
            environment,
            self._log,
            timeout_seconds=MIGRATION_SECONDS,
        )
        self._tell(f"the schema is up to date ({time.monotonic() - began:.1f} s)")
        # Before anything serves: a database that was restored shows what was erased.
        await run_once(
            "replayed erasures",
            python_module("db.replayed_erasures"),
            stack.service_environment(),
            self._log,
            timeout_seconds=REPLAY_SECONDS,
        )
        if is_new or not self._home.admin_key.exists():
            key = await read_secret(
                "bootstrap", python_module("db.bootstrap"), environment, timeout_seconds=60
            )
            if not _API_KEY.match(key):
                raise IntegrityError("the first API key was not printed as expected")
            write_privately(self._home.admin_key, f"{key}\n")

    async def _stop_all(self) -> None:
        """API and workers, then Temporal, then PostgreSQL; each within its time, then by force."""
        self._state = StackState.STOPPING
        self._write_record()
        self._home.endpoints.unlink(missing_ok=True)
        self._tell("stopping")
        last = ("clamd", "temporal", "postgres")
        services = [child for child in self._children if child.spec.name not in last]
        outcomes = await asyncio.gather(
            *(child.stop(self._hurry) for child in services), return_exceptions=True
        )
        for name in last:
            for child in self._children:
                if child.spec.name == name:
                    await child.stop(self._hurry)
        for child in self._children:
            child.log.close()
        await asyncio.to_thread(end_all_children)
        self._state = StackState.STOPPED
        remove_stale_files(self._home)
        self._write_record()
        self._tell("stopped")
        # One that could not be stopped has not kept the others, nor the databases, from it.
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _ask_to_stop(self) -> None:
        """The first signal stops in good order, a second one by force."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _changed(self, child: Child) -> None:
        """Never raises: a full disk must not end the supervision."""
        if child.state is ProcessState.RESTARTING:
            self._strays.end(self._known())
            self._tell(f"{child.spec.name} ended ({child.last_exit}); restarting", level="error")
        try:
            path = self._home.pid_file(child.spec.name)
            if child.pid is None:
                path.unlink(missing_ok=True)
            else:
                write_privately(path, f"{child.pid}\n")
            self._write_record()
        except OSError as error:
            self._tell(f"the record of processes cannot be written: {error}", level="error")

    def _known(self) -> set[int]:
        return {child.pid for child in self._children if child.pid}

    async def _end_strays_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_STRAY_SECONDS)
            self._strays.end(self._known())

    def _write_record(self) -> None:
        is_over = self._state is StackState.STOPPED
        supervisor = ProcessRecord(
            name="supervisor",
            pid=os.getpid(),
            created=start_time(os.getpid()),
            state=ProcessState.STOPPED if is_over else ProcessState.RUNNING,
            since=self._since,
        )
        processes = tuple(child.record() for child in self._children)
        write_stack(
            self._home, StackRecord(state=self._state, supervisor=supervisor, processes=processes)
        )

    def _tell(self, event: str, *, level: str = "info") -> None:
        self._log.event(event, level=level)
        self._say(event)


def adopt_orphans() -> None:
    """Lets the kernel give us what a dead child leaves, so that it can be ended (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

"""One supervised process: started, its output logged, restarted when it dies, stopped in time."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from deploy.embedded.logs import RotatingLog
from deploy.embedded.output import OutputPipe
from deploy.embedded.probing import Probe
from deploy.embedded.pulse import PulsePipe
from deploy.embedded.records import ProcessRecord, ProcessState

_LAUNCHER = Path(__file__).with_name("launch.py")
_FIRST_BACK_OFF_SECONDS = 0.2
_LONGEST_BACK_OFF_SECONDS = 10.0
_STABLE_SECONDS = 30.0
"""A process that lived this long is restarted at once again: its back-off starts anew."""
_KILL_SECONDS = 5.0
_MOST_RESTARTS_BEFORE_READY = 5


@dataclass(frozen=True)
class Account:
    """The system account a process runs under."""

    name: str
    user_id: int
    group_id: int


@dataclass(frozen=True)
class ProcessSpec:
    """How one process is started and stopped.

    `ready` is asked with the process's id and its start time (seconds since the epoch). `prepare` runs
    before every start. `open_folders` are folders that the process inherits open;
    `{0}`, `{1}`… in the command become paths to them. `own_session`: the process gets cores as one
    beside all others together, where Linux shares them among sessions first (autogroups, sched(7));
    `session_niceness` is how far that session stands back.
    `stop_signals` are sent in order, each with the seconds the process then has; SIGKILL to its
    whole group follows. One that gives a pulse (`muniment.pulse`) is ended and started anew when it gave
    none in `most_missed_pulses` looks in a row, a second apart; 0: it is asked for none. One of others is
    when it is silent to its `probe`. Either gets `hung_signal`, and has `hung_seconds_to_end` before SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[int, float], Awaitable[bool]]
    ready_seconds: float = 120.0
    stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 15.0),)
    death_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None
    open_folders: tuple[Path, ...] = ()
    own_session: bool = False
    session_niceness: int = 0
    most_missed_pulses: int = 0
    probe: Probe | None = None
    hung_signal: signal.Signals = signal.SIGTERM
    hung_seconds_to_end: float = 5.0
    prepare: Callable[[], Awaitable[None]] | None = None


@dataclass
class Child:
    """A running ProcessSpec. `changed` is called whenever `record` would differ."""

    spec: ProcessSpec
    log: RotatingLog
    changed: Callable[["Child"], None]
    state: ProcessState = ProcessState.STOPPED
    restarts: int = 0
    last_exit: int | None = None
    created: float | None = None
    _process: Process | None = None
    _spawned: float = 0.0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def record(self) -> ProcessRecord:
        return ProcessRecord(
            name=self.spec.name,
            pid=self.pid,
            created=self.created if self.pid else None,
            state=self.state,
            restarts=self.restarts,
            since=self._since,
            last_exit=self.last_exit,
        )

    def start(self) -> None:
        """Begins supervision; returns at once."""
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.spec.name}")

    async def wait_until_ready(self) -> bool:
        """Whether the process became ready within its time and a few restarts."""
        deadline = time.monotonic() + self.spec.ready_seconds
        most_restarts = self.restarts + _MOST_RESTARTS_BEFORE_READY
        while time.monotonic() < deadline and self.restarts < most_restarts:
            if self.pid and await self.spec.ready(self.pid, self._spawned):
                self._become(ProcessState.RUNNING)
                return True
            await asyncio.sleep(0.1)
        return False

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ends the process and its group, with force when it takes too long or `hurry` is set."""
        self._stopping.set()
        for number, seconds in self.spec.stop_signals:
            if self.pid is None or self._process is None:
                break
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            await _first_of(self._process.wait(), hurry.wait(), seconds)
        process = self._process
        if process is not None and process.returncode is None:
            self.log.event("killed: it did not stop in time", level="warning")
            end_group(process.pid)
            await _first_of(process.wait(), None, _KILL_SECONDS)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._become(ProcessState.STOPPED)

    async def _supervise(self) -> None:
        delay = _FIRST_BACK_OFF_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await self._run_once()
            except (OSError, TimeoutError) as error:
                self.log.event("cannot be started", level="error", error=str(error))
            if self._stopping.is_set():
                return
            if time.monotonic() - started >= _STABLE_SECONDS:
                delay = _FIRST_BACK_OFF_SECONDS
            self.restarts += 1
            self._become(ProcessState.RESTARTING)
            self.log.event(
                "ended; it is restarted",
                level="error",
                exit_code=self.last_exit,
                restarts=self.restarts,
                delay_seconds=delay,
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_BACK_OFF_SECONDS)

    async def _run_once(self) -> None:
        """Starts the process and returns after it and its whole group have ended."""
        if self.spec.prepare is not None:
            await self.spec.prepare()
        pipe = OutputPipe(self.log.feed)
        pulse = PulsePipe() if self.spec.most_missed_pulses else None
        watches: list[asyncio.Task[None]] = []
        try:
            self._spawned = time.time()  # more exact than the start time that the system tells
            process = self._process = await spawn(self.spec, pipe, pulse)
            self.created = start_time(process.pid)
            self._become(ProcessState.STARTING)
            if self.restarts:
                watches.append(asyncio.create_task(self._become_running_when_ready()))
            watches += [
                asyncio.create_task(self._end_when_it_hangs(process, sign, most_missed))
                for sign, most_missed in self._signs_of_life(pulse)
            ]
            await process.wait()
        finally:
            for watch in watches:
                watch.cancel()
            if pulse is not None:
                pulse.finish()
            pipe.finish()
            self.log.flush_rest()
        self.last_exit = process.returncode
        end_group(process.pid)

    async def _become_running_when_ready(self) -> None:
        """After a restart nobody waits for readiness, but the record shall tell it."""
        if not await self.wait_until_ready():
            self.log.event("is running but does not become ready", level="error")

    def _signs_of_life(self, pulse: PulsePipe | None) -> list[tuple[PulsePipe | Probe, int]]:
        """Each with how often in a row it may be missed."""
        probe = self.spec.probe
        signs = list[tuple[PulsePipe | Probe, int]]()
        if pulse is not None:
            signs.append((pulse, self.spec.most_missed_pulses))
        if probe is not None:
            signs.append((probe, probe.most_silences))
        return signs

    async def _end_when_it_hangs(
        self, process: Process, sign: PulsePipe | Probe, most_missed: int
    ) -> None:
        """Politely first: one that was stopped goes on, and may end what it is doing. One that was never
        heard is not missed: it is starting still, or is none of ours."""
        await sign.beginning()
        self.log.event(sign.heard)
        await sign.silence(most_missed)
        if self._stopping.is_set():
            return
        self.log.event(f"hangs: {sign.missed}; it is ended", level="error", missed=most_missed)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.spec.hung_signal)
            process.send_signal(signal.SIGCONT)
        await asyncio.sleep(self.spec.hung_seconds_to_end)
        end_group(process.pid)

    def _become(self, state: ProcessState) -> None:
        if state is not self.state:
            self._since = datetime.now(UTC)
        self.state = state
        self.changed(self)


async def spawn(
    spec: ProcessSpec, pipe: OutputPipe, pulse: PulsePipe | None = None, *, own_group: bool = True
) -> Process:
    """Starts the program through the launcher, all its output in the pipe; it is told of `pulse`.

    Supervised processes have a group of their own, which is ended with them, and a session where the
    specification says so; those that run once stay in ours, which is how `leftovers.Strays` knows them.
    """
    descriptors = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in spec.open_folders]
    folders = [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
    account = spec.account
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_LAUNCHER),
            str(os.getpid()),
            str(int(spec.death_signal)),
            str(account.user_id if account else -1),
            str(account.group_id if account else -1),
            str(spec.session_niceness),
            *(_fill(argument, folders) for argument in spec.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe.writer,
            stderr=pipe.writer,
            env={**spec.environment, **(pulse.environment if pulse else {})},
            cwd="/",
            # A session's first process is its group's, too.
            process_group=0 if own_group and not spec.own_session else None,
            start_new_session=own_group and spec.own_session,
            pass_fds=(*descriptors, *([pulse.writer] if pulse else [])),
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
        pipe.begin()
        if pulse is not None:
            pulse.begin()
    return process


def _fill(argument: str, folders: list[str]) -> str:
    for number, folder in enumerate(folders):
        argument = argument.replace(f"{{{number}}}", folder)
    return argument


def end_group(process_group: int) -> None:
    """Kills what is left of a process group; nothing left is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)


def start_time(pid: int) -> float | None:
    """When the process started, in seconds since the epoch; None when it is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


async def _first_of(
    first: Awaitable[object], second: Awaitable[object] | None, seconds: float
) -> None:
    tasks = {asyncio.ensure_future(each) for each in (first, second) if each is not None}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

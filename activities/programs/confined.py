"""Runs one external program over one document: confined, within limits, and gone afterwards."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from activities.programs.bubblewrap import Enclosure, Tools, command_line, find_tools
from activities.sandbox.limits import MEBIBYTE
from activities.sandbox.seccomp import program_filter
from activities.sandbox.session import stand_back
from muniment.errors import (
    ConfigurationError,
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimedOut,
    LimitExceeded,
)

logger = logging.getLogger(__name__)

_MEMORY_LOOK_SECONDS = 0.2
"""What all processes of a program hold together no limit of the kernel's bounds without cgroups."""
_CHUNK_BYTES = 1 << 16
_PROBE_SECONDS = 10
Content = Path | bytes


@dataclass(frozen=True)
class Program:
    """`folders` is what it reads beside the system's own."""

    name: str
    executable: Path
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ProgramLimits:
    """`memory_bytes` bounds a process's address space, and what all of them hold together;
    `scratch_bytes` all that they write; `output_bytes` what comes back of it."""

    wall_seconds: float
    cpu_seconds: int
    memory_bytes: int = 2048 * MEBIBYTE
    scratch_bytes: int = 512 * MEBIBYTE
    output_bytes: int = 256 * MEBIBYTE
    processes: int = 128


class ConfinedPrograms:
    """At most `concurrency` programs at once; further ones wait."""

    def __init__(self, concurrency: int = 1) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._tools: Tools | None = find_tools()

    async def works(self) -> bool:
        """Whether programs can be confined here, by trying: bubblewrap needs user namespaces, which
        many hosts and most containers forbid."""
        true = Program("true", Path("/usr/bin/true"))
        limits = ProgramLimits(_PROBE_SECONDS, _PROBE_SECONDS)
        try:
            await self.run(true, (), limits=limits)
        except (ConfigurationError, EngineError, OSError) as error:
            logger.info("external programs are not confined", extra={"reason": str(error)})
            return False
        return True

    async def run(
        self,
        program: Program,
        arguments: Sequence[str],
        *,
        inputs: Mapping[str, Content] | None = None,
        result: str | None = None,
        limits: ProgramLimits,
    ) -> bytes:
        """What the program printed, or wrote into its file `result`. It finds `inputs` by their
        names in its working folder.

        Raises ConfigurationError where programs cannot be confined, EngineTimedOut,
        EngineOutOfMemory, LimitExceeded when more than `output_bytes` came, and EngineCrashed when
        it ended otherwise than well. None of its processes is left behind, however it ends.
        """
        if self._tools is None:
            raise ConfigurationError(
                "External programs run confined or not at all, and bubblewrap is not installed.",
                remedy="Install the packages `bubblewrap` and `util-linux`.",
            )
        async with self._slots:
            with _opened(inputs or {}) as opened, _filter_opened() as filter_descriptor:
                enclosure = Enclosure(
                    command=(str(program.executable), *arguments),
                    folders=program.folders,
                    inputs=opened,
                    result=result,
                    filter_descriptor=filter_descriptor,
                    scratch_bytes=limits.scratch_bytes,
                    memory_bytes=limits.memory_bytes,
                    cpu_seconds=limits.cpu_seconds,
                    processes=limits.processes,
                )
                passed = [*opened.values(), filter_descriptor]
                return await _carry_out(
                    program, command_line(self._tools, enclosure), passed, limits
                )


async def _carry_out(
    program: Program, command: list[str], descriptors: Sequence[int | None], limits: ProgramLimits
) -> bytes:
    async with _started(command, descriptors) as process:
        watch = asyncio.create_task(_watch_memory(process, limits.memory_bytes))
        try:
            async with asyncio.timeout(limits.wall_seconds):
                output = await _read(process, program, limits.output_bytes)
                status = await process.wait()
        except TimeoutError:
            raise EngineTimedOut(
                f"{program.name} was not done after {limits.wall_seconds:g} s."
            ) from None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    if watch.done() and not watch.cancelled() and watch.result():
        raise EngineOutOfMemory(f"{program.name} held more than {limits.memory_bytes} bytes.")
    if status != 0:
        raise EngineCrashed(f"{program.name} ended with status {status}.")
    return output


@contextlib.asynccontextmanager
async def _started(
    command: list[str], descriptors: Sequence[int | None]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """bubblewrap at work; on leaving it is killed, and with the first process of its namespace the
    kernel ends every other one in it, whatever session or group that has made itself. The session
    that it is started in is of no terminal, and stands back as engines do."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[each for each in descriptors if each is not None],
        env={},
        cwd="/",
    )
    try:
        await asyncio.to_thread(stand_back, process.pid)
        yield process
    finally:
        _kill(process)
        await asyncio.shield(_end_of(process))


def _kill(process: asyncio.subprocess.Process) -> None:
    """Once it was waited for its number may be another group's; nothing is left to kill then, since
    its namespace ended with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _end_of(process: asyncio.subprocess.Process) -> None:
    """A process is waited for until its output was taken, wanted or not."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while await process.stdout.read(_CHUNK_BYTES):
        pass
    await process.wait()


async def _read(process: asyncio.subprocess.Process, program: Program, limit: int) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    output = bytearray()
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        output += chunk
        if len(output) > limit:
            raise LimitExceeded(f"{program.name} gave back more than {limit} bytes.")
    return bytes(output)


async def _watch_memory(process: asyncio.subprocess.Process, limit: int) -> bool:
    """Kills the program once its processes hold more than that together; True when it did."""
    while True:
        await asyncio.sleep(_MEMORY_LOOK_SECONDS)
        held = 0
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    held += child.memory_info().rss
        if held > limit:
            _kill(process)
            return True


@contextlib.contextmanager
def _opened(inputs: Mapping[str, Content]) -> Iterator[dict[str, int]]:
    opened: dict[str, int] = {}
    try:
        for name, content in inputs.items():
            if isinstance(content, Path):
                opened[name] = os.open(content, os.O_RDONLY | os.O_CLOEXEC)
            else:
                opened[name] = _in_memory(content)
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


@contextlib.contextmanager
def _filter_opened() -> Iterator[int | None]:
    program = program_filter()
    if program is None:
        yield None
        return
    descriptor = _in_memory(program)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("muniment")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

"""What external programs can do when they are confined: read their input, and answer."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from activities.programs import ConfinedPrograms, Program, ProgramLimits
from activities.sandbox.limits import MEBIBYTE, NICENESS, SESSION_NICENESS
from muniment.errors import (
    ConfigurationError,
    EngineCrashed,
    EngineOutOfMemory,
    EngineTimedOut,
    LimitExceeded,
)
from tests.conftest import REPOSITORY

SHELL = Program("a shell", Path("/bin/sh"))
LIMITS = ProgramLimits(
    wall_seconds=20, cpu_seconds=10, memory_bytes=512 * MEBIBYTE, scratch_bytes=16 * MEBIBYTE
)
NUMBER_OF_PROCESSES = 32


@pytest.fixture
def programs() -> ConfinedPrograms:
    programs = ConfinedPrograms(concurrency=2)
    if not asyncio.run(programs.works()):
        pytest.skip("bubblewrap is absent or not allowed here (package `bubblewrap`)")
    return programs


def sh(
    programs: ConfinedPrograms, script: str, limits: ProgramLimits = LIMITS, **more: object
) -> str:
    """What the script printed, both ways."""
    inputs = {name: str(content).encode() for name, content in more.items()}
    run = programs.run(SHELL, ("-c", f"exec 2>&1; {script}"), inputs=inputs, limits=limits)
    return asyncio.run(run).decode()


def processes_with(mark: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(mark in word for word in process.info["cmdline"] or ())
    ]


def none_is_left(mark: str) -> bool:
    """The kernel ends the last of them a moment after the first."""
    deadline = time.monotonic() + 30
    while processes_with(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_program_reads_its_input_and_answers(programs: ConfinedPrograms) -> None:
    assert sh(programs, "cat greeting; id -u; pwd; ls", greeting="Good day. ").split() == [
        "Good", "day.", str(65534 if os.geteuid() == 0 else os.geteuid()), "/work", "greeting",
    ]  # fmt: skip
    written = programs.run(
        SHELL, ("-c", "echo noise; echo kept > out"), result="out", limits=LIMITS
    )
    assert asyncio.run(written) == b"kept\n"


def test_a_real_program_converts_a_real_document(programs: ConfinedPrograms) -> None:
    gzip = Program("gzip", Path("/bin/gzip"))
    sample = REPOSITORY / "deploy" / "samples" / "ntsb-latrobe-accident-report.pdf"
    packed = asyncio.run(
        programs.run(
            gzip, ("-k", "a.pdf"), inputs={"a.pdf": sample}, result="a.pdf.gz", limits=LIMITS
        )
    )
    assert packed.startswith(b"\x1f\x8b")
    back = asyncio.run(programs.run(gzip, ("-dc", "a.gz"), inputs={"a.gz": packed}, limits=LIMITS))
    assert back == sample.read_bytes()


def test_it_reaches_no_network(programs: ConfinedPrograms) -> None:
    async def listen() -> tuple[str, int]:
        met = 0

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal met
            met += 1
            writer.close()

        async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            script = f"(exec 3<>/dev/tcp/127.0.0.1/{port}) && echo reached"
            said = await programs.run(
                Program("bash", Path("/bin/bash")),
                ("-c", f"exec 2>&1; {script}; true"),
                limits=LIMITS,
            )
        return said.decode(), met

    said, met = asyncio.run(listen())
    assert "refused" in said
    assert met == 0
    assert sh(programs, "cat /proc/net/dev").count(":") == 1, "the loop alone"


def test_it_reads_nothing_of_the_host(programs: ConfinedPrograms, tmp_path: Path) -> None:
    key = tmp_path / "keys" / "tenants.json"
    key.parent.mkdir()
    key.write_text("a key")
    for path in (key, Path.home(), Path("/etc/shadow"), Path("/etc/passwd"), REPOSITORY, "/var"):
        assert "No such file" in sh(programs, f"cat {path}; ls {path}; true"), path
    assert sh(programs, "env").count("MUNIMENT") == 0
    assert sh(programs, "ls /proc | grep -c '^[0-9]'; true").strip() in {"3", "4", "5"}
    assert (
        sh(programs, "touch /usr/x /x /etc/x; echo x > /proc/sys/kernel/x; true").count("\n") == 4
    )
    assert "mitted" in sh(programs, "unshare --user --map-root-user true; true")


def test_a_fork_bomb_stays_small_and_ends(programs: ConfinedPrograms) -> None:
    mark = f"bomb-{uuid4().hex}"
    limits = ProgramLimits(3, 10, 512 * MEBIBYTE, 16 * MEBIBYTE, processes=NUMBER_OF_PROCESSES)
    seen = 0

    async def bomb() -> None:
        nonlocal seen
        script = f": {mark}; b() {{ b | b & }}; while :; do b; sleep 0.05; done"
        running = asyncio.create_task(programs.run(SHELL, ("-c", script), limits=limits))
        while not running.done():
            await asyncio.sleep(0.3)
            seen = max(seen, len(processes_with(mark)))
        await running

    with pytest.raises((EngineTimedOut, EngineCrashed)):
        asyncio.run(bomb())
    assert seen <= NUMBER_OF_PROCESSES + 2  # bubblewrap's own two
    assert none_is_left(mark)


def test_it_cannot_fill_the_disk_nor_drown_its_caller(programs: ConfinedPrograms) -> None:
    said = sh(programs, "dd if=/dev/zero of=big bs=1M count=64; ls -s big; df /work; true")
    assert "limit exceeded" in said
    assert "16384 big" in said
    many = sh(programs, "for i in 1 2 3 4 5; do head -c 8000000 /dev/zero > $i; done; true")
    assert "No space left" in many
    limits = ProgramLimits(10, 10, output_bytes=MEBIBYTE)
    with pytest.raises(LimitExceeded):
        sh(programs, "cat /dev/zero", limits)


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 1000",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "(setsid sh -c 'trap \"\" TERM HUP; sleep 1000; : {mark}' &) & exec sleep 1000",
    ],
)
def test_what_does_not_end_is_ended_with_all_it_started(
    programs: ConfinedPrograms, script: str
) -> None:
    mark = f"endless-{uuid4().hex}"
    began = time.monotonic()
    with pytest.raises(EngineTimedOut):
        sh(programs, f": {mark}; {script.replace('{mark}', mark)}", ProgramLimits(1.5, 10))
    assert time.monotonic() - began < 60
    assert none_is_left(mark)


def test_it_stands_back_with_all_it_starts(programs: ConfinedPrograms) -> None:
    """Among all processes, and where Linux shares the cores among sessions, among these."""
    share = "/proc/self/autogroup"
    script = f"for i in $(seq 50); do grep -qs 'nice {SESSION_NICENESS}' {share} && break; sleep 0.1; done"
    said = sh(programs, f"{script}; nice; cat {share}").splitlines()
    assert int(said[0]) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
    if Path(share).exists():
        assert said[1].endswith(f" nice {SESSION_NICENESS}")


def test_what_it_leaves_running_ends_with_it(programs: ConfinedPrograms) -> None:
    mark = f"left-{uuid4().hex}"
    script = f"setsid sh -c 'sleep 1000; : {mark}' >/dev/null 2>&1 & echo done"
    assert sh(programs, script) == "done\n"
    assert none_is_left(mark)


def test_no_group_is_signalled_once_a_program_was_waited_for(
    programs: ConfinedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _: signalled.append(group))
    assert sh(programs, "echo done") == "done\n"
    assert signalled == []


def test_a_cancelled_caller_leaves_nothing(programs: ConfinedPrograms) -> None:
    mark = f"cancelled-{uuid4().hex}"

    async def cancel() -> None:
        running = asyncio.create_task(
            programs.run(SHELL, ("-c", f": {mark}; sleep 1000; :"), limits=LIMITS)
        )
        async with asyncio.timeout(60):
            while not processes_with(mark):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(cancel())
    assert none_is_left(mark)


def test_processes_that_hold_too_much_together_are_ended(programs: ConfinedPrograms) -> None:
    hog = "dd if=/dev/zero bs=60M count=1000000 of=/dev/null"
    script = " & ".join([hog] * 4) + " & wait"
    limits = ProgramLimits(120, 60, memory_bytes=150 * MEBIBYTE)
    with pytest.raises(EngineOutOfMemory):
        sh(programs, script, limits)


def test_a_program_that_fails_is_told_by_its_status(programs: ConfinedPrograms) -> None:
    with pytest.raises(EngineCrashed, match="a shell ended with status 3"):
        sh(programs, "exit 3")
    with pytest.raises(EngineCrashed):
        asyncio.run(programs.run(SHELL, ("-c", "true"), result="never-written", limits=LIMITS))


def test_no_more_run_at_once_than_allowed(programs: ConfinedPrograms) -> None:
    async def several() -> float:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(programs.run(SHELL, ("-c", "sleep 0.5"), limits=LIMITS))
        return time.monotonic() - began

    assert asyncio.run(several()) >= 1.0


async def _refuses(run: Callable[[], Awaitable[bytes]]) -> None:
    with pytest.raises(ConfigurationError, match="confined or not at all"):
        await run()


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    programs = ConfinedPrograms()
    assert asyncio.run(programs.works()) is False
    asyncio.run(_refuses(lambda: programs.run(SHELL, ("-c", "true"), limits=LIMITS)))

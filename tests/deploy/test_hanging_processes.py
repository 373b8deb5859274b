"""A supervised process whose event loop does not run is ended and started anew, and no other is."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.embedded.child import Child, ProcessSpec
from deploy.embedded.logs import RotatingLog
from deploy.embedded.pulse import PulsePipe
from deploy.embedded.records import ProcessState
from muniment.pulse import PULSE_VARIABLE, give_pulse
from tests.conftest import REPOSITORY
from tests.patience import on_a_busy_machine

GIVES_A_PULSE = """
import asyncio, os
from muniment.pulse import give_pulse
asyncio.run(give_pulse(os.environ))
"""
BLOCKS = """
import asyncio, os, signal, time
from muniment.pulse import give_pulse
signal.signal(signal.SIGTERM, signal.SIG_IGN)

async def main():
    pulse = asyncio.create_task(give_pulse(os.environ))
    await asyncio.sleep(0.5)
    time.sleep(600)

asyncio.run(main())
"""
SAYS_NOTHING = "import time; time.sleep(600)"


@asynccontextmanager
async def supervised(folder: Path, program: str, most_missed_pulses: int) -> AsyncIterator[Child]:
    """Started, and stopped after the block."""
    spec = ProcessSpec(
        name="worker-io",
        command=(sys.executable, "-c", program),
        environment={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        ready=_at_once,
        most_missed_pulses=most_missed_pulses,
    )
    child = Child(spec, RotatingLog(folder / "log.jsonl", spec.name), lambda _: None)
    child.start()
    try:
        assert await child.wait_until_ready()
        yield child
    finally:
        await child.stop(asyncio.Event())
        child.log.close()


async def _at_once(_process_id: int, _started: float) -> bool:
    return True


def _events(folder: Path) -> list[str]:
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line)["event"] for line in lines]


async def _until_heard(folder: Path) -> None:
    async with asyncio.timeout(on_a_busy_machine(20)):
        while not any(event.startswith("gives a pulse") for event in _events(folder)):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.1)


async def _until_restarted(child: Child) -> None:
    async with asyncio.timeout(on_a_busy_machine(30)):
        while child.restarts == 0 or child.state is not ProcessState.RUNNING:  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.1)


async def test_a_stopped_process_is_ended_and_started_anew(tmp_path: Path) -> None:
    async with supervised(tmp_path, GIVES_A_PULSE, most_missed_pulses=3) as child:
        await _until_heard(tmp_path)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        await _until_restarted(child)
        # Politely: it went on, and ended by itself.
        assert child.last_exit == -signal.SIGTERM
    assert any(event.startswith("hangs") for event in _events(tmp_path))


async def test_one_whose_loop_is_blocked_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, BLOCKS, most_missed_pulses=2) as child:
        await _until_restarted(child)
        assert child.last_exit == -signal.SIGKILL


async def test_a_shorter_stop_is_let_pass(tmp_path: Path) -> None:
    async with supervised(tmp_path, GIVES_A_PULSE, most_missed_pulses=60) as child:
        await _until_heard(tmp_path)
        before = child.pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        await asyncio.sleep(2)
        os.kill(before, signal.SIGCONT)
        await asyncio.sleep(1)
        assert (child.pid, child.restarts) == (before, 0)


async def test_one_that_never_gave_a_pulse_is_not_missed(tmp_path: Path) -> None:
    async with supervised(tmp_path, SAYS_NOTHING, most_missed_pulses=1) as child:
        before = child.pid
        await asyncio.sleep(3)
        assert (child.pid, child.restarts) == (before, 0)


async def test_a_watcher_who_was_stopped_himself_blames_nobody() -> None:
    """His looks are too late by as long as he was stopped, and what was said meanwhile lies in the pipe."""
    pipe = PulsePipe()
    watching = asyncio.create_task(pipe.silence(looks=2))
    await asyncio.sleep(0)
    os.write(pipe.writer, b".")
    time.sleep(2.5)  # noqa: ASYNC251 - the loop stands still, as in a stopped process
    await asyncio.sleep(0.1)
    assert not watching.done()
    watching.cancel()
    pipe.begin()
    pipe.finish()


@pytest.mark.parametrize("value", ["", "none", "-1", "9999999", "99999999999999999999", "0x3", "²"])
async def test_what_is_no_descriptor_asks_for_no_pulse(value: str) -> None:
    environment = {PULSE_VARIABLE: value}
    await give_pulse(environment)
    assert environment == {}


async def test_a_file_is_not_written_into(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        await give_pulse({PULSE_VARIABLE: str(file.fileno())})
    assert (tmp_path / "file").read_bytes() == b""


async def test_a_pulse_outlives_whoever_listened() -> None:
    """A process whose supervisor was killed ends by the kernel's signal, and not by an error."""
    pipe = PulsePipe()
    pulse = asyncio.create_task(give_pulse(dict(pipe.environment)))
    await asyncio.wait_for(pipe.beginning(), 10)
    pipe.finish()
    await asyncio.sleep(1.2)
    assert not pulse.done()
    pulse.cancel()
    pipe.begin()

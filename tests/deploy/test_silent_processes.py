"""PostgreSQL, Temporal and clamd that no longer answer are started anew; one that is only slow is not."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import ValidationError

from deploy.embedded import scanner
from deploy.embedded.child import Child, ProcessSpec
from deploy.embedded.home import Home
from deploy.embedded.logs import RotatingLog
from deploy.embedded.places import choose_places
from deploy.embedded.postgres import OWNER_ROLE
from deploy.embedded.probing import Probe
from deploy.embedded.records import ProcessState
from deploy.embedded.stack import EmbeddedStack, plan_stack
from muniment.settings import EmbeddedSettings
from tests.clamd_process import EICAR
from tests.patience import on_a_busy_machine


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedStack]:
    """Planned, with a cluster and a scanner of its own; nothing of it runs."""
    signatures = tmp_path / "signatures"
    signatures.mkdir()
    (signatures / "test.ndb").write_text(f"Muniment.Test.Eicar:0:*:{EICAR.hex()}\n", "ascii")
    monkeypatch.delenv(scanner.SOCKET_VARIABLE, raising=False)
    monkeypatch.setattr(scanner, "SYSTEM_SOCKETS", ())
    monkeypatch.setattr(scanner, "_SIGNATURE_FOLDERS", (signatures,))
    home = Home(tmp_path / "home")
    home.create()
    places = choose_places(home, None)
    log = RotatingLog(home.log_file("supervisor"), "supervisor")
    yield await plan_stack(home, places, log, commands={}, settings=EmbeddedSettings())
    log.close()
    if not places.sockets.is_relative_to(home.root):  # its path would have been too long
        shutil.rmtree(places.sockets)


@asynccontextmanager
async def supervised(stack: EmbeddedStack, name: str) -> AsyncIterator[Child]:
    """As the stack runs it, but asked more hastily: started, known to answer, and stopped at the end."""
    spec = next((each for each in stack.foundation() if each.name == name), None)
    if spec is None:
        pytest.skip("clamd is not installed: `make setup` says how to install it")
    child = Child(_hasty(spec), RotatingLog(stack.home.log_file(name), name), lambda _: None)
    child.start()
    try:
        assert await child.wait_until_ready()
        await _until(lambda: _said(stack, name, "answers"), f"an answer of {name}")
        yield child
    finally:
        await child.stop(asyncio.Event())
        child.log.close()


def _hasty(spec: ProcessSpec) -> ProcessSpec:
    assert spec.probe is not None
    probe = replace(spec.probe, most_silences=3, pause_seconds=0.2, timeout_seconds=1.0)
    return replace(spec, probe=probe)


def _said(stack: EmbeddedStack, name: str, beginning: str) -> bool:
    path = stack.home.log_file(name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return any(str(json.loads(line).get("event", "")).startswith(beginning) for line in lines)


async def _until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(on_a_busy_machine(40)):
            while not holds():  # noqa: ASYNC110 - files and processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"waited in vain for {what}")


async def _stop_and_await_another(stack: EmbeddedStack, child: Child) -> None:
    before = child.pid
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    await _until(
        lambda: child.restarts > 0 and child.state is ProcessState.RUNNING, "one that is ready"
    )
    assert child.pid not in (None, before)
    assert _said(stack, child.spec.name, "hangs")


async def test_a_postgresql_that_hangs_is_ended_at_once_and_has_what_was_committed(
    stack: EmbeddedStack,
) -> None:
    await stack.postgres.initialise()
    url = stack.postgres.url(OWNER_ROLE, "postgres")
    async with supervised(stack, "postgres") as child:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("CREATE TABLE kept (value text)")
            await connection.execute("INSERT INTO kept VALUES ('committed')")
        await _stop_and_await_another(stack, child)
        # Its immediate shutdown, and not the kernel's.
        assert child.last_exit is not None
        assert child.last_exit >= 0
        async with await psycopg.AsyncConnection.connect(url) as connection:
            rows = await (await connection.execute("SELECT value FROM kept")).fetchall()
        assert rows == [("committed",)]


async def test_a_checkpoint_without_end_and_a_server_that_takes_nobody_are_no_hanging(
    stack: EmbeddedStack,
) -> None:
    await stack.postgres.initialise()
    url = stack.postgres.url(OWNER_ROLE, "postgres")
    async with supervised(stack, "postgres") as child:
        before = child.pid
        assert before is not None
        (checkpointer,) = (
            process
            for process in psutil.Process(before).children()
            if "checkpointer" in " ".join(process.cmdline())
        )
        async with await psycopg.AsyncConnection.connect(url) as waiting:
            checkpointer.suspend()
            checkpoint = asyncio.create_task(waiting.execute("CHECKPOINT"))
            # From here on it lets nobody in, and waits until who is there has gone.
            os.kill(before, signal.SIGTERM)
            await asyncio.sleep(4)
            assert not checkpoint.done()
            with pytest.raises(psycopg.OperationalError, match="shutting down"):
                await psycopg.AsyncConnection.connect(url)
            assert await stack.postgres.answers()
            assert (child.pid, child.restarts) == (before, 0)
            checkpointer.resume()
            await checkpoint


@pytest.mark.slow
async def test_a_temporal_that_hangs_is_started_anew(stack: EmbeddedStack) -> None:
    async with supervised(stack, "temporal") as child:
        await _stop_and_await_another(stack, child)
        assert await stack.temporal.answers()


@pytest.mark.slow
async def test_a_clamd_that_hangs_is_started_anew(stack: EmbeddedStack) -> None:
    async with supervised(stack, "clamd") as child:
        await _stop_and_await_another(stack, child)
        assert await stack.scanner.answers()


@pytest.mark.slow
async def test_a_killed_postgresql_is_not_started_beside_what_is_left_of_it(
    stack: EmbeddedStack,
) -> None:
    """Who is at work notices late that the server is gone, and goes on writing into the same files."""
    await stack.postgres.initialise()
    url = stack.postgres.url(OWNER_ROLE, "postgres")
    async with supervised(stack, "postgres") as child:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            at_work = psutil.Process(connection.info.backend_pid)
            endless = asyncio.create_task(connection.execute("DO 'BEGIN LOOP END LOOP; END'"))
            await asyncio.sleep(0.5)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await _until(lambda: child.restarts > 1, "a second try")
            assert at_work.is_running()
            assert not await stack.postgres.answers()
            at_work.kill()
            with pytest.raises(psycopg.OperationalError):
                await endless
        await _until(lambda: child.state is ProcessState.RUNNING, "one that is ready")
        assert await stack.postgres.answers()


async def test_what_does_not_run_answers_nothing(stack: EmbeddedStack) -> None:
    assert not await stack.postgres.answers()
    assert not await stack.temporal.answers()
    assert not await stack.scanner.answers()


async def test_an_answer_in_between_forgives_what_was_missed_before() -> None:
    said = iter([False, False, True, False, False, True, False, False, False])
    asked = 0

    async def answers() -> bool:
        nonlocal asked
        asked += 1
        return next(said)

    probe = Probe(answers, most_silences=3, pause_seconds=0.0)
    async with asyncio.timeout(on_a_busy_machine(10)):
        await probe.silence(probe.most_silences)
    assert asked == 9


async def test_who_never_answered_is_not_missed() -> None:
    async def answers() -> bool:
        await asyncio.sleep(600)
        return True

    beginning = asyncio.create_task(
        Probe(answers, 1, pause_seconds=0.01, timeout_seconds=0.01).beginning()
    )
    await asyncio.sleep(0.5)
    assert not beginning.done()
    beginning.cancel()


@pytest.mark.parametrize(("seconds", "questions"), [(0, None), (30, 2), (31, 3), (60, 4)])
async def test_seconds_of_silence_are_questions(
    stack: EmbeddedStack, seconds: int, questions: int | None
) -> None:
    settled = replace(stack, settings=EmbeddedSettings(silent_seconds=seconds))
    for spec in settled.foundation():
        assert (spec.probe.most_silences if spec.probe else None) == questions, spec.name


@pytest.mark.parametrize("seconds", [-1, 1, 29, 86_401])
def test_one_question_that_came_too_late_can_be_no_hanging(seconds: int) -> None:
    with pytest.raises(ValidationError):
        EmbeddedSettings(silent_seconds=seconds)

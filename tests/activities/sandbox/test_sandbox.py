"""What the sandbox promises its callers, whatever an engine does."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.calls import Ended
from activities.sandbox.failures import error_of_end
from activities.sandbox.limits import MEBIBYTE, NICENESS, SESSION_NICENESS
from muniment.errors import (
    ConfigurationError,
    EncryptedDocument,
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimedOut,
    EngineTimeUsedUp,
    LimitExceeded,
)
from tests.activities.sandbox.engines_for_tests import Outcome, Task

PRELOAD = ("tests.activities.sandbox.engines_for_tests",)


@pytest.fixture(autouse=True)
def _engines_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template is a process of its own: it finds the tests' engines by the search path."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def in_sandbox(
    scenario: Callable[[Sandbox], Awaitable[None]], *, concurrency: int = 2, seconds: float = 240
) -> None:
    async def run() -> None:
        async with (
            asyncio.timeout(seconds),
            Sandbox(concurrency=concurrency, preload=PRELOAD) as it,
        ):
            await scenario(it)

    asyncio.run(run())


def call(engine: str, number: int = 0) -> EngineCall[Outcome]:
    return EngineCall(engine, Task(number=number), Outcome)


async def gone(process_id: int, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
                return True  # dead; whether it was reaped is the matter of its parent
        except psutil.NoSuchProcess:
            return True
        await asyncio.sleep(0.01)
    return False


class Progress:
    """Keeps what was reported, and says when the first came."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.first = asyncio.Event()

    async def __call__(self, frame: bytes) -> None:
        self.outcomes.append(Outcome.model_validate_json(frame))
        self.first.set()


def test_an_engine_gets_its_request_and_its_content(tmp_path: Path) -> None:
    file = tmp_path / "document"
    file.write_text("from a file")

    async def scenario(sandbox: Sandbox) -> None:
        from_bytes = await sandbox.run(call("echo", 7), content=b"from memory")
        assert from_bytes == Outcome(number=7, text="from memory")
        from_file = await sandbox.run(call("echo"), content=file)
        assert from_file.text == "from a file"

    in_sandbox(scenario)


def test_a_sandbox_at_need_starts_its_process_with_the_first_call() -> None:
    async def scenario() -> None:
        def processes() -> set[int]:
            return {process.pid for process in psutil.Process().children()}

        before = processes()
        unused = Sandbox(concurrency=1, preload=PRELOAD, at_need=True)
        async with unused, Sandbox(concurrency=1, preload=PRELOAD, at_need=True) as used:
            assert processes() == before
            both = await asyncio.gather(*(used.run(call("count", 1)) for _ in range(2)))
            assert len(both) == 2
            (template,) = processes() - before
        assert await gone(template, 10)
        for sandbox in (used, unused):
            with pytest.raises(EngineCrashed, match="not open"):
                await sandbox.run(call("count"))

    asyncio.run(scenario())


def test_progress_arrives_in_order_and_before_the_result() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        progress = Progress()
        await sandbox.run(call("count", 500), on_progress=progress)
        assert [outcome.number for outcome in progress.outcomes] == list(range(500))

    in_sandbox(scenario)


def test_what_an_engine_raises_is_raised_here() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(EncryptedDocument) as raised:
            await sandbox.run(call("refuse"))
        assert (raised.value.detail, raised.value.remedy) == ("A password is needed.", "Send it.")
        with pytest.raises(ConfigurationError):
            await sandbox.run(call("unheard-of"))
        with pytest.raises(ConfigurationError):
            await sandbox.run(call("echo"))

    in_sandbox(scenario)


def test_an_unexpected_error_tells_its_type_and_place_but_not_its_message() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(EngineCrashed, match=r"KeyError at engines_for_tests\.py") as raised:
            await sandbox.run(call("blunder"))
        assert "secret" not in raised.value.detail

    in_sandbox(scenario)


def test_a_crash_fails_its_own_call_only() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        other = asyncio.create_task(sandbox.run(call("sleep", 1)))
        with pytest.raises(EngineCrashed, match="SIGSEGV"):
            await sandbox.run(call("segfault"))
        await other
        await sandbox.run(call("count"))

    in_sandbox(scenario)


def test_limits_of_time_memory_and_output_end_a_call() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        with pytest.raises(EngineTimedOut, match=r"0\.2 s"):
            await sandbox.run(call("sleep", 60), limits=Limits(wall_seconds=0.2))
        with pytest.raises(EngineTimedOut, match="computing"):
            await sandbox.run(call("spin"), limits=Limits(cpu_seconds=1))
        with pytest.raises(EngineOutOfMemory):
            await sandbox.run(
                call("swell", 100 * MEBIBYTE), limits=Limits(memory_bytes=50 * MEBIBYTE)
            )
        with pytest.raises(LimitExceeded, match="bytes"):
            await sandbox.run(call("swell", 3 * MEBIBYTE), limits=Limits(output_bytes=2 * MEBIBYTE))

    in_sandbox(scenario)


def test_what_ends_before_the_limit_of_output_is_heard() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        progress = Progress()
        frames = [f"progress {Outcome(number=each).model_dump_json()}\n" for each in range(7)]
        limits = Limits(output_bytes=len("".join(frames)))
        for more in (0, 5):
            with pytest.raises(LimitExceeded):
                await sandbox.run(
                    call("count", 500),
                    limits=replace(limits, output_bytes=limits.output_bytes + more),
                    on_progress=progress,
                )
        assert [outcome.number for outcome in progress.outcomes] == [*range(7), *range(7)]

    in_sandbox(scenario)


def test_cancellation_kills_at_once_and_frees_the_slot() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        progress = Progress()
        task = asyncio.create_task(sandbox.run(call("sleep", 60), on_progress=progress))
        await progress.first.wait()
        cancelled_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - cancelled_at < 30  # it had slept for 60 s
        assert await gone(progress.outcomes[0].number, within_seconds=30)
        await sandbox.run(call("count"))

    in_sandbox(scenario, concurrency=1)


def test_engines_stand_back_and_their_worker_does_not() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        progress = Progress()
        task = asyncio.create_task(sandbox.run(call("sleep", 60), on_progress=progress))
        await progress.first.wait()
        child = psutil.Process(progress.outcomes[0].number)
        assert child.nice() == min(19, ours + NICENESS)
        assert os.getpriority(os.PRIO_PROCESS, 0) == ours
        # Linux shares the cores among sessions first: this worker's engines are one, which stands back.
        assert os.getsid(child.pid) == os.getsid(child.ppid()) != os.getsid(0)
        assert os.getpgid(child.pid) == child.pid
        share = Path(f"/proc/{child.pid}/autogroup")
        if share.exists():
            assert share.read_text().endswith(f" nice {SESSION_NICENESS}\n")
        task.cancel()

    in_sandbox(scenario)


def test_no_more_calls_run_at_once_than_allowed() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        await sandbox.ready()
        started = time.monotonic()
        await asyncio.gather(*(sandbox.run(call("sleep", 1)) for _ in range(4)))
        assert time.monotonic() - started >= 2

    in_sandbox(scenario)


def test_as_many_calls_run_at_once_as_allowed() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        told = [Progress(), Progress()]
        calls = [
            asyncio.create_task(sandbox.run(call("sleep", 60), on_progress=each)) for each in told
        ]
        await asyncio.gather(*(each.first.wait() for each in told))
        assert not any(each.done() for each in calls), "one began when the other had ended"
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    in_sandbox(scenario)


def test_a_dead_template_fails_its_calls_and_is_replaced() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        progress = Progress()
        task = asyncio.create_task(sandbox.run(call("sleep", 60), on_progress=progress))
        await progress.first.wait()
        child = psutil.Process(progress.outcomes[0].number)
        os.kill(child.ppid(), signal.SIGKILL)
        with pytest.raises(EngineCrashed):
            await task
        assert await gone(child.pid, within_seconds=30)
        assert (await sandbox.run(call("count", 3))).number == 3

    in_sandbox(scenario)


def test_closing_ends_every_process() -> None:
    async def run() -> None:
        progress = Progress()
        async with Sandbox(concurrency=1, preload=PRELOAD) as sandbox:
            task = asyncio.create_task(sandbox.run(call("sleep", 60), on_progress=progress))
            await progress.first.wait()
            child = psutil.Process(progress.outcomes[0].number)
            template_id = child.ppid()
        with pytest.raises(EngineCrashed):
            await task
        assert await gone(child.pid, within_seconds=30)
        assert await gone(template_id, within_seconds=30)

    asyncio.run(run())


def test_a_template_that_cannot_load_says_so_at_the_first_call() -> None:
    async def run() -> None:
        async with Sandbox(concurrency=1, preload=["tests.no_such_module"]) as sandbox:
            with pytest.raises(EngineCrashed, match="did not start"):
                await sandbox.run(call("count"))

    asyncio.run(run())


def test_an_engine_sees_no_secrets_no_foreign_descriptors_and_writes_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_DATABASE__PASSWORD", "hidden")
    target = tmp_path / "left-behind"

    async def scenario(sandbox: Sandbox) -> None:
        seen = await sandbox.run(call("environment"), content=b"document")
        assert "MUNIMENT" not in seen.text
        # standard streams, request, content, pipe, and the listing's own
        assert seen.number <= 7
        written = await sandbox.run(call("write"), content=str(target).encode())
        assert written.number == errno.EACCES
        assert not target.exists() or target.stat().st_size == 0

    in_sandbox(scenario)


def test_an_engine_can_do_nothing_but_read_its_document(tmp_path: Path) -> None:
    file = tmp_path / "document"
    file.write_text("from a file")

    async def scenario(sandbox: Sandbox) -> None:
        assert (await sandbox.run(call("try_forbidden"))).text == ""
        with pytest.raises(EngineCrashed, match="what the sandbox forbids"):
            await sandbox.run(call("execute"))
        # What parsers do need: threads of their own, and their document under a path.
        assert (await sandbox.run(call("start_thread"))).number == 1
        assert (await sandbox.run(call("reopen"), content=file)).text == "from a file"
        assert (await sandbox.run(call("reopen"), content=b"in memory")).text == "in memory"

    in_sandbox(scenario)


def test_a_socket_pair_reaches_nobody_else(tmp_path: Path) -> None:
    address = str(tmp_path / "listening")

    async def scenario(sandbox: Sandbox) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(address)
            listening.setblocking(False)
            sent = await sandbox.run(call("send_datagram"), content=address.encode())
            assert sent.text == "to itself"
            with pytest.raises(BlockingIOError):
                listening.recv(64)

    in_sandbox(scenario)


def test_attacks_on_resources_end_with_their_reason_and_harm_no_neighbour() -> None:
    """Floods, hoards, bombs of processes and loops that no signal ends, beside an honest call."""
    limits = Limits(
        wall_seconds=60, cpu_seconds=1, memory_bytes=64 * MEBIBYTE, output_bytes=4 * MEBIBYTE
    )
    attacks = (
        ("fork_bomb", EngineCrashed, "PermissionError"),
        ("flood", LimitExceeded, "4,194,304 bytes"),
        ("hoard", EngineOutOfMemory, "memory limit"),
        ("ignore_signals", EngineTimedOut, "1 s of computing"),
    )

    async def scenario(sandbox: Sandbox) -> None:
        await sandbox.ready()
        template = (await sandbox.run(call("parent"))).number
        for attack, error, reason in attacks:
            neighbour = asyncio.create_task(sandbox.run(call("count", 100)))
            with pytest.raises(error, match=reason) as raised:
                await sandbox.run(call(attack), limits=limits)
            assert raised.value.remedy
            assert (await neighbour).number == 100
        assert (await sandbox.run(call("parent"))).number == template
        assert psutil.Process(template).children() == []

    in_sandbox(scenario, seconds=240)


@pytest.mark.parametrize(
    ("number", "mebibytes", "cpu_seconds", "error"),
    [
        (signal.SIGABRT, 900, 1, EngineOutOfMemory),
        (signal.SIGABRT, 90, 1, EngineCrashed),
        (signal.SIGKILL, 90, 1, EngineOutOfMemory),
        (signal.SIGKILL, 90, 10, EngineTimeUsedUp),
        (signal.SIGXCPU, 90, 10, EngineTimeUsedUp),
        (signal.SIGSYS, 900, 1, EngineCrashed),
    ],
)
def test_the_end_of_a_process_tells_its_reason(
    number: int, mebibytes: int, cpu_seconds: int, error: type[EngineError]
) -> None:
    ended = Ended(
        ended=1, signal=number, peak_memory_bytes=mebibytes * MEBIBYTE, cpu_seconds=cpu_seconds
    )
    limits = Limits(memory_bytes=1024 * MEBIBYTE, cpu_seconds=10)
    assert type(error_of_end(ended, limits)) is error


@pytest.mark.parametrize(("mebibytes", "error"), [(900, EngineOutOfMemory), (90, EngineCrashed)])
def test_a_child_that_could_not_go_on_says_by_its_memory_why(
    mebibytes: int, error: type[EngineError]
) -> None:
    ended = Ended(
        ended=1,
        exit_code=os.EX_SOFTWARE,
        peak_memory_bytes=mebibytes * MEBIBYTE,
        cpu_seconds=1,
    )
    assert type(error_of_end(ended, Limits(memory_bytes=1024 * MEBIBYTE))) is error


WORKER = """
import asyncio
from activities.sandbox import EngineCall, Sandbox
from tests.activities.sandbox.engines_for_tests import Outcome, Task

async def main():
    async def tell(frame):
        print(Outcome.model_validate_json(frame).number, flush=True)

    async with Sandbox(concurrency=1, preload=["tests.activities.sandbox.engines_for_tests"]) as it:
        await it.run(EngineCall("sleep", Task(number=60), Outcome), on_progress=tell)

asyncio.run(main())
"""


def test_nothing_survives_a_worker_that_is_killed() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    with worker:
        assert worker.stdout is not None
        child = psutil.Process(int(worker.stdout.readline()))
        template_id = child.ppid()
        worker.kill()
    assert asyncio.run(gone(child.pid, within_seconds=30))
    assert asyncio.run(gone(template_id, within_seconds=30))

"""Readiness: whatever a check meets is told of, and however many ask, the dependencies are asked once."""

import asyncio
import logging
import threading
from dataclasses import dataclass, field

import pytest

from api.health.checks import Check, DependencyState, Finding, Readiness
from tests.patience import on_a_busy_machine


@dataclass
class Probe:
    """Counts how often it is asked; holds its answer back until it is let go."""

    asked: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Finding | None:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        return None


async def test_an_unforeseen_error_is_down_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stumbles() -> None:
        raise LookupError("a secret of the settings")

    async def well() -> None:
        return None

    readiness = Readiness((Check("broken", True, stumbles), Check("sound", True, well)))
    with caplog.at_level(logging.ERROR):
        report = await readiness.report()
    broken, sound = report.dependencies
    assert (report.ready, broken.state, broken.reason) == (
        False,
        DependencyState.DOWN,
        "LookupError",
    )
    assert sound.state is DependencyState.OK
    assert "secret" not in report.model_dump_json()
    assert "a readiness check failed" in caplog.text


async def test_who_asks_at_the_same_time_or_soon_after_shares_one_report() -> None:
    probe = Probe()
    readiness = Readiness((Check("counted", True, probe),), kept_seconds=600)
    hasty = asyncio.create_task(readiness.report())
    others = [asyncio.create_task(readiness.report()) for _ in range(20)]
    await probe.was_asked.wait()
    hasty.cancel()  # hangs up, and takes nobody's report along
    await asyncio.sleep(0)
    probe.may_answer.set()
    reports = await asyncio.gather(*others)
    assert all(report.ready for report in [*reports, await readiness.report()])
    assert probe.asked == 1


async def test_a_report_that_is_no_longer_fresh_is_made_anew() -> None:
    probe = Probe()
    probe.may_answer.set()
    readiness = Readiness((Check("counted", True, probe),), kept_seconds=0)
    await readiness.report()
    await readiness.report()
    assert probe.asked == 2


async def test_a_probe_that_waits_for_a_thread_delays_no_report_and_is_sent_once() -> None:
    asked, may_end = 0, threading.Event()

    async def stubborn() -> None:
        nonlocal asked
        asked += 1
        await asyncio.to_thread(may_end.wait)

    readiness = Readiness((Check("silent", True, stubborn),), kept_seconds=0, timeout_seconds=0.1)
    try:
        async with asyncio.timeout(on_a_busy_machine(5)):
            for _ in range(3):
                (silent,) = (await readiness.report()).dependencies
                assert (silent.state, silent.reason) == (
                    DependencyState.DOWN,
                    "no answer within 0.1 s",
                )
        assert asked == 1
    finally:
        may_end.set()
    assert (await readiness.report()).ready

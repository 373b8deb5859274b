"""Rounds go on whatever one of them met, until they are cancelled."""

import asyncio

import pytest

from muniment.errors import DatabaseUnavailable
from tests.patience import on_a_busy_machine
from worker.rounds import go_round


async def test_a_round_that_fails_is_logged_and_the_next_begins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = asyncio.Queue[int]()

    async def work() -> None:
        begun.put_nowait(1)
        if begun.qsize() == 1:
            raise DatabaseUnavailable("it is away")

    going = asyncio.create_task(go_round(work, 0.01, "the round failed", first_after_seconds=0))
    async with asyncio.timeout(on_a_busy_machine(5)):
        while begun.qsize() < 3:  # noqa: ASYNC110 - a queue that nobody empties
            await asyncio.sleep(0.01)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert [record.message for record in caplog.records] == ["the round failed"]


async def test_who_is_woken_begins_the_next_round_before_its_time() -> None:
    begun = asyncio.Queue[int]()
    woken = asyncio.Event()

    async def work() -> None:
        begun.put_nowait(1)

    going = asyncio.create_task(
        go_round(work, 3600, "the round failed", first_after_seconds=0, woken=woken)
    )
    async with asyncio.timeout(on_a_busy_machine(5)):
        await begun.get()
        woken.set()
        await begun.get()
    assert begun.empty()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


async def test_a_round_that_failed_is_not_followed_at_once_however_often_one_wakes() -> None:
    begun = 0
    woken = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        woken.set()
        raise DatabaseUnavailable("it is away")

    going = asyncio.create_task(
        go_round(work, 3600, "the round failed", first_after_seconds=0, woken=woken)
    )
    await asyncio.sleep(0.2)
    assert begun == 1
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)

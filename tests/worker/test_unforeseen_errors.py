"""What nobody foresaw in a round is logged with its trace, and ends nothing else."""

import asyncio

import pytest

from worker.rounds import go_round


async def test_rounds_outlive_an_error_that_is_not_ours(caplog: pytest.LogCaptureFixture) -> None:
    begun, went_on = list[int](), asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) == 1:
            raise KeyError("a row without its column")
        went_on.set()

    going = asyncio.create_task(go_round(work, 0.01, "the round failed", first_after_seconds=0))
    async with asyncio.timeout(60):
        await went_on.wait()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    (record,) = caplog.records
    assert record.message == "the round failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError

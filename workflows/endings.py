"""What a workflow carries out to its end, whatever cancellation comes meanwhile."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def to_the_end(work: Coroutine[None, None, ResultT]) -> ResultT:
    """The work's result. A cancellation of the workflow does not reach the work, and does not end
    the waiting for it: a workflow that closed before would never have it done."""
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()

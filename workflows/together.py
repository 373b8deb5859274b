"""Two things of a workflow side by side."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows.endings import to_the_end

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


async def together(
    first: Coroutine[None, None, FirstT], second: Coroutine[None, None, SecondT]
) -> tuple[FirstT, SecondT]:
    """Both results. When one fails, or a cancellation comes, the other is cancelled and is over
    before the error goes on: nothing works for a job that has ended."""
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        return await asyncio.gather(*tasks)
    except (FailureError, asyncio.CancelledError):
        for task in tasks:
            task.cancel()
        await to_the_end(workflow.wait(tasks))
        raise

"""Several things at once, of which none outlives the others' failure.

`asyncio.gather` raises the first error and leaves the rest running: reads of a store that nobody
waits for any more, on a connection that is being closed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup for callers who expect one error: when one of its tasks fails, the others are
    cancelled and over, and then that task's own error is raised, not a group that holds it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

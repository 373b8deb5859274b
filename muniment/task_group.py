"""Several things at once, of which none outlives the others' failure.

`asyncio.gather` raises the first error and leaves the rest running: reads of a store that nobody
waits for any more, on a connection that is being closed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

ThingT = TypeVar("ThingT")
ResultT = TypeVar("ResultT")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup for callers who expect one error: when one of its tasks fails, the others are
    cancelled and over, and then that task's own error is raised, not a group that holds it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise _first(group) from group


async def of_each(
    things: Sequence[ThingT], action: Callable[[ThingT], Coroutine[Any, Any, ResultT]], at_once: int
) -> list[ResultT]:
    """What the action returns of each, in their order; it runs for so many at once."""
    results: list[ResultT] = []
    for first in range(0, len(things), at_once):
        async with task_group() as running:
            tasks = [
                running.create_task(action(thing)) for thing in things[first : first + at_once]
            ]
        results += [task.result() for task in tasks]
    return results


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

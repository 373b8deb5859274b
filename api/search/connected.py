"""Answers take as long as a language model thinks: whoever waits for one is looked after meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from api.events.wire import HEARTBEAT_SECONDS
from muniment.task_group import task_group

ResultT = TypeVar("ResultT")
EventT = TypeVar("EventT")

_LEFT_CHECK_SECONDS = 0.25


async def unless_left(request: Request, work: Coroutine[None, None, ResultT]) -> ResultT:
    """What the work comes to. Raises ClientDisconnect when the client leaves first, which ends it."""
    async with task_group() as tasks:
        making = tasks.create_task(work)
        while not making.done():
            await asyncio.wait({making}, timeout=_LEFT_CHECK_SECONDS)
            if not making.done() and await request.is_disconnected():
                raise ClientDisconnect
    return making.result()


async def with_silences(
    events: AsyncGenerator[EventT, None],
) -> AsyncGenerator[EventT | None, None]:
    """The events, and None wherever none came for a while, as when a language model thinks: a comment there
    shows proxies and clients that the connection lives. Closes the events at its end."""
    # No group of tasks: whoever closes this may be another task than the one that began it.
    coming = asyncio.create_task(_next(events))
    try:
        while True:
            await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
            if not coming.done():
                yield None
                continue
            event = coming.result()
            if event is None:
                return
            yield event
            coming = asyncio.create_task(_next(events))
    finally:
        coming.cancel()
        await asyncio.wait({coming})
        if not coming.cancelled():
            coming.exception()  # looked at, lest asyncio write it to stderr
        await events.aclose()


async def _next(events: AsyncGenerator[EventT, None]) -> EventT | None:
    return await anext(events, None)

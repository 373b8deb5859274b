"""Heartbeats of an activity that waits for an engine.

A beat tells Temporal that the worker lives and carries the cancellation back. A beat that goes on
for ever would hide a stuck engine, so it stops after a limit; within it the engine's own deadline,
which the sandbox enforces, ends what is stuck.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from muniment.contracts.base import Contract

BEAT_SECONDS = 1.0
"""Temporal's cancellation travels with the answer to a beat: this bounds how late it arrives."""


class Heartbeats:
    """Beats with what was last said of the progress."""

    def __init__(self) -> None:
        self._progress: Contract | None = None

    def advance(self, progress: Contract) -> None:
        """Beats now, and goes on beating with that progress."""
        self._progress = progress
        self.beat()

    def beat(self) -> None:
        if self._progress is None:
            activity.heartbeat()
        else:
            activity.heartbeat(self._progress)


@asynccontextmanager
async def heartbeats(limit_seconds: float | None = None) -> AsyncIterator[Heartbeats]:
    """Beats every second while within, for `limit_seconds` at most (the attempt's own time limit
    by default)."""
    limit = limit_seconds or attempt_seconds()
    beating = Heartbeats()
    task = asyncio.create_task(_beat(beating, limit))
    try:
        yield beating
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(beating: Heartbeats, limit_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_seconds
    while loop.time() < until:
        await asyncio.sleep(BEAT_SECONDS)
        beating.beat()


def attempt_seconds() -> float:
    """How long this attempt may take from its start on."""
    timeout = activity.info().start_to_close_timeout
    return timeout.total_seconds() if timeout else 600.0

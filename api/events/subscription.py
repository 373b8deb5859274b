"""A viewer's place at a watcher: a bounded queue that the viewer empties at its own pace."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from db.queries.events import MOST_EVENTS

LONGEST_QUEUE = 2 * MOST_EVENTS
"""A watcher hands on all that one look finds before a viewer gets its turn."""
PositionT = TypeVar("PositionT")


@dataclass(frozen=True)
class Told(Generic[PositionT]):
    """An event as it goes out: its position in the stream, its name, its data as JSON."""

    position: PositionT
    job_id: str
    event: str
    data: str


class Subscription(Generic[PositionT]):
    """Gets what a watcher tells from `since` on (excluded).

    A viewer that falls behind by more than the queue holds is cut off: it reconnects with the last
    id it saw, and the rows tell it the rest.
    """

    def __init__(self, since: PositionT) -> None:
        self.since = since
        self._queue: deque[Told[PositionT]] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def offer(self, told: Told[PositionT]) -> None:
        if self._closed:
            return
        if len(self._queue) >= LONGEST_QUEUE:
            self._queue.clear()
            self.close()
            return
        self._queue.append(told)
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes; what is queued is still handed out."""
        self._closed = True
        self._changed.set()

    @property
    def is_over(self) -> bool:
        return self._closed and not self._queue

    async def next(self, timeout_seconds: float) -> Told[PositionT] | None:
        """The next event; None when the time is up or nothing more comes (see `is_over`)."""
        if not self._queue and not self._closed:
            self._changed.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return self._queue.popleft() if self._queue else None

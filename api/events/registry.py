"""The running watchers of this process: one for each job, or tenant, that somebody looks at."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from api.events.subscription import PositionT, Subscription
from api.events.watcher import Watcher

logger = logging.getLogger(__name__)
KeyT = TypeVar("KeyT", bound=Hashable)


class Watchers(Generic[KeyT, PositionT]):
    def __init__(self) -> None:
        self._watchers: dict[KeyT, Watcher[PositionT]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def join(
        self, key: KeyT, make: Callable[[], Watcher[PositionT]]
    ) -> tuple[Watcher[PositionT], Subscription[PositionT]]:
        """A place at the watcher of the key, which is made when there is none."""
        watcher = self._watchers.get(key)
        if watcher is not None:
            return watcher, watcher.subscribe()
        watcher = self._watchers[key] = make()
        subscription = watcher.subscribe()
        task = asyncio.create_task(self._run(key, watcher))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return watcher, subscription

    def wake(self, key: KeyT, *, at_once: bool) -> None:
        watcher = self._watchers.get(key)
        if watcher is not None:
            watcher.wake(at_once=at_once)

    def wake_all(self) -> None:
        for watcher in self._watchers.values():
            watcher.wake()

    def close(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()

    async def _run(self, key: KeyT, watcher: Watcher[PositionT]) -> None:
        try:
            await watcher.run()
        except Exception:  # logged, and the viewers are sent away to come back
            logger.exception("a watcher broke down")
        finally:
            if self._watchers.get(key) is watcher:
                del self._watchers[key]
            watcher.close()

"""A bounded memory that forgets: for unwrapped keys, which may be held for minutes only."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

LONGEST_LIFE_SECONDS = 300.0
"""How long an unwrapped data key may be remembered: a destroyed key dies in every process."""


class ExpiringCache(Generic[KeyT, ValueT]):
    """Remembers at most `capacity` values for at most `life_seconds` (≤ 300) since they were put.

    The oldest goes first. For one event loop or thread.
    """

    def __init__(
        self,
        capacity: int,
        life_seconds: float = LONGEST_LIFE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1 or not 0 < life_seconds <= LONGEST_LIFE_SECONDS:
            raise ValueError("capacity must be positive and life_seconds at most 300")
        self._capacity = capacity
        self._life_seconds = life_seconds
        self._clock = clock
        self._entries: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: KeyT) -> ValueT | None:
        """The value, or None when it is unknown or too old."""
        self._drop_expired()
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def put(self, key: KeyT, value: ValueT) -> None:
        """Remembers the value anew; its life starts now."""
        self._entries.pop(key, None)
        self._entries[key] = (self._clock() + self._life_seconds, value)
        self._drop_expired()
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, key: KeyT) -> None:
        """Drops the value at once, if it is there."""
        self._entries.pop(key, None)

    def _drop_expired(self) -> None:
        # Insertion order is expiry order, since every entry lives equally long.
        now = self._clock()
        while self._entries:
            key, (expires, _) = next(iter(self._entries.items()))
            if expires > now:
                return
            del self._entries[key]

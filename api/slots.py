"""A bound on how many of something one process does at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from muniment.errors import TooManyRequests


class Slots:
    """Takes what comes up to `limit`; refuses the rest at once, so that nothing queues unseen."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self.taken = 0

    def acquire(self) -> None:
        """Raises TooManyRequests when all are taken; each is to be released once."""
        if self.taken >= self._limit:
            raise TooManyRequests(f"this process already serves {self._limit} {self._what}")
        self.taken += 1

    def release(self) -> None:
        self.taken -= 1

    @contextmanager
    def take(self) -> Iterator[None]:
        """A slot for the block; raises as `acquire` does."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

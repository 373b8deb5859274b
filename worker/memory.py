"""Gives memory that was freed back to the system."""

import asyncio
import ctypes
from collections.abc import Callable

from worker.rounds import go_round

INTERVAL_SECONDS = 20.0


class FreedMemory:
    """The C library keeps what a large document took in pieces between what is still in use; asked
    for it, it returns whole pages. A round takes milliseconds, beside the event loop."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._interval_seconds = interval_seconds
        self._trim = _trim()

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "freed memory stays",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> None:
        if self._trim is not None:
            await asyncio.to_thread(self._trim, 0)


def _trim() -> Callable[[int], object] | None:
    """glibc's; other C libraries have none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)

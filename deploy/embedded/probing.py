"""Asking a process that gives no pulse, since it is none of ours, whether it still answers."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_PAUSE_SECONDS = 5.0
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Probe:
    """One question after the other, `pause_seconds` apart. `answers` says whether anything came back; what
    takes longer than `timeout_seconds` is no answer. `most_silences` in a row are a process that hangs."""

    answers: Callable[[], Awaitable[bool]]
    most_silences: int
    pause_seconds: float = _PAUSE_SECONDS
    timeout_seconds: float = _TIMEOUT_SECONDS

    heard = "answers: it is started anew when it no longer does"
    missed = "it answered none of so many questions in a row"

    async def beginning(self) -> None:
        """Returns once it answered: it has started."""
        while not await self._was_answered():  # noqa: ASYNC110 - asked, as below
            await asyncio.sleep(self.pause_seconds)

    async def silence(self, questions: int) -> None:
        """Returns once so many questions in a row were not answered.

        Questions are counted and not seconds: one who was stopped himself has asked nothing.
        """
        missed = 0
        while missed < questions:
            await asyncio.sleep(self.pause_seconds)
            missed = 0 if await self._was_answered() else missed + 1

    async def _was_answered(self) -> bool:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self.answers()
        except TimeoutError:
            return False


def probe_for(answers: Callable[[], Awaitable[bool]], silent_seconds: int) -> Probe | None:
    """One that misses a process after so many seconds at least; None for 0: it is not asked."""
    each = _PAUSE_SECONDS + _TIMEOUT_SECONDS
    return Probe(answers, math.ceil(silent_seconds / each)) if silent_seconds else None

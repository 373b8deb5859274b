"""The pipe through which a supervised process says that its event loop runs (`muniment.pulse`)."""

import asyncio
import os
from collections.abc import Mapping

from muniment.pulse import PULSE_VARIABLE

LOOK_SECONDS = 1.0
_CHUNK_BYTES = 64 * 1024


class PulsePipe:
    """Both ends, until the process has inherited the writing one."""

    heard = "gives a pulse: it is started anew when it hangs"
    missed = "its event loop said nothing for so many seconds"

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells the process of it."""
        return {PULSE_VARIABLE: str(self.writer)}

    def begin(self) -> None:
        """After the process has inherited the writing end: closes ours."""
        os.close(self.writer)

    def finish(self) -> None:
        os.close(self._reader)

    async def beginning(self) -> None:
        """Returns once something was heard: the process has started, and its loop runs."""
        while not self._was_heard():  # noqa: ASYNC110 - a pipe, looked at as below
            await asyncio.sleep(LOOK_SECONDS)

    async def silence(self, looks: int) -> None:
        """Returns once nothing was heard in so many looks in a row, each a second after the one before.

        Looks are counted and not seconds: one who was stopped himself has looked at nothing.
        """
        missed = 0
        while missed < looks:
            await asyncio.sleep(LOOK_SECONDS)
            missed = 0 if self._was_heard() else missed + 1

    def _was_heard(self) -> bool:
        """Since the look before."""
        try:
            return bool(os.read(self._reader, _CHUNK_BYTES))
        except BlockingIOError:
            return False

"""The pipe through which a supervised process writes its output."""

import asyncio
import contextlib
import os
from collections.abc import Callable

_CHUNK_BYTES = 64 * 1024
_LAST_CHUNKS = 64


class OutputPipe:
    """Hands output to `take` as it comes.

    A pipe of our own: asyncio's subprocess pipes let `wait()` hang while a grandchild that
    outlived its parent still holds the writing end.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)

    def begin(self) -> None:
        """After the process has inherited the writing end: closes ours and starts to read."""
        os.close(self.writer)
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def finish(self) -> None:
        """After the process ended: takes what is still in the pipe, then closes it."""
        for _ in range(_LAST_CHUNKS):
            if not self._read():
                break
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)

    def _read(self) -> bool:
        """Whether there was something; at the end of the output reading stops."""
        with contextlib.suppress(BlockingIOError):
            output = os.read(self._reader, _CHUNK_BYTES)
            if output:
                self._take(output)
                return True
            asyncio.get_running_loop().remove_reader(self._reader)
        return False

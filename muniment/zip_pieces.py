"""A ZIP archive in pieces, as they come out of `zipfile` while it is written."""

import asyncio
from typing import IO

_INLINE_BYTES = 16 * 1024
"""Up to so much is packed on the event loop: 0.5 ms, not worth the trip to a thread."""


async def write_piece(member: IO[bytes], chunk: bytes) -> None:
    """Packed in a thread where that takes long."""
    if len(chunk) <= _INLINE_BYTES:
        member.write(chunk)
        return
    writing = asyncio.create_task(asyncio.to_thread(member.write, chunk))
    try:
        await asyncio.shield(writing)
    finally:
        # A client that leaves ends this: the archive is not closed under the thread that writes to it.
        await asyncio.wait((writing,))


class Gathered:
    """What was written and not yet sent. It cannot be sought in, so that `zipfile` never goes back."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        """All of it."""
        self._pieces.append(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """Whoever sends it closes the connection."""

    def take(self) -> bytes:
        """What has gathered, which is forgotten here."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return taken

"""Content on its way, in pieces."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable


async def once(content: bytes) -> AsyncGenerator[bytes, None]:
    """What is in memory already."""
    yield content


async def slices(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of `size`, the last one shorter; holds one piece at most."""
    held = bytearray()
    async for chunk in chunks:
        if len(chunk) == size and not held:
            yield chunk
            continue
        rest = memoryview(chunk)
        while len(held) + len(rest) >= size:
            missing = size - len(held)
            piece = b"".join((held, rest[:missing]))
            rest = rest[missing:]
            held.clear()
            yield piece
        held += rest
    if held:
        yield bytes(held)


async def ahead(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same pieces, each made while its predecessor is used; holds one, and closes their source.

    Each is made in a task of its own: the source may not hold a time-out or a task group open while
    it hands out a piece. Close the iterator (`contextlib.aclosing`) when leaving it early.
    """
    coming = asyncio.create_task(_next(pieces))
    try:
        while (piece := await coming) is not None:
            coming = asyncio.create_task(_next(pieces))
            yield piece
    finally:
        # Shielded: a second cancellation must not leave the source open.
        await asyncio.shield(_leave(coming, pieces))


async def _leave(coming: asyncio.Task[bytes | None], pieces: AsyncGenerator[bytes, None]) -> None:
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    await pieces.aclose()


async def _next(pieces: AsyncGenerator[bytes, None]) -> bytes | None:
    """None at the end."""
    return await anext(pieces, None)

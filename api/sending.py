"""How content leaves: piece by piece, for as long as somebody takes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

SEND_SECONDS = 180.0
"""Longest wait for a client to take the next piece, of two mebibytes at most: whoever stops reading gives
its place to others."""


class Download(StreamingResponse):
    """Watches the connection besides writing to it, and closes `body` when its client leaves or stops
    reading, so that nothing is read and packed for nobody."""

    def __init__(
        self, body: AsyncGenerator[bytes, None], status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(body, status_code=status, headers=headers)
        self.body_pieces = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self.stream_response(_in_time(send)))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                raise ClientDisconnect
            writing.result()
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            await self.body_pieces.aclose()


def _in_time(send: Send) -> Send:
    """`send`, which takes a client that lets it wait too long for one that has left."""

    async def send_in_time(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return send_in_time


async def continued(first: bytes, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """What was read already, then the rest."""
    async with aclosing(body):
        yield first
        async for chunk in body:
            yield chunk


async def in_pieces(
    body: AsyncGenerator[bytes, None], status: int, headers: dict[str, str], media_type: str
) -> Download:
    """Reads the first chunk before the status is sent: what the store refuses is then a problem, and
    not a broken transfer."""
    # Set as it is: of a `media_type` that is text the framework would say that it is UTF-8.
    headers = {**headers, "Content-Type": media_type}
    try:
        first = await anext(body, b"")
    except BaseException:
        await body.aclose()
        raise
    return Download(continued(first, body), status, headers)

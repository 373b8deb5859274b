"""A response that streams events until it ends or its viewer leaves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.events.wire import MEDIA_TYPE

LONGEST_STALL_SECONDS = 60.0
"""Whoever takes nothing for so long has left, or holds a place for nothing."""


class EventStreamResponse(StreamingResponse):
    """Watches the connection besides writing to it, so that a viewer that left is noticed at once and
    not at the next heartbeat, and one that takes nothing any more after LONGEST_STALL_SECONDS; then closes
    the stream and calls `on_end`."""

    def __init__(
        self,
        stream: AsyncGenerator[bytes, None],
        on_end: Callable[[], Awaitable[None] | None],
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(stream, media_type=MEDIA_TYPE, headers=headers)
        self._stream = stream
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            await self._stream.aclose()
            ending = self._on_end()
            if ending is not None:
                await ending

    async def _write(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(LONGEST_STALL_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await self.stream_response(send_in_time)
        except ClientDisconnect:
            return

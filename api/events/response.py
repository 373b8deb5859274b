"""A response that streams events until it ends or its viewer leaves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.events.wire import MEDIA_TYPE


class EventStreamResponse(StreamingResponse):
    """Watches the connection besides writing to it, so that a viewer that left is noticed at once and
    not at the next heartbeat; then closes the stream and calls `on_end`."""

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
        writing = asyncio.create_task(self.stream_response(send))
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

"""uvicorn's WebSocket with the bounds that it lacks: of what is written to who does not read, of messages in
pieces, and of connections that are over for the application and not for the network."""

import asyncio
import logging
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

MAX_MESSAGE_BYTES = 64 * 1024
MAX_PIECES = 64
"""Frames of one message: empty ones count towards no length."""
MAX_UNREAD_BYTES = 1024 * 1024
"""Written, and not taken: who sends pings and reads no answers to them would fill memory."""
END_SECONDS = 10.0
"""For what is still to be written once the application is done."""
PING_SECONDS = 20.0
"""So often a connection is asked whether somebody is there, and so long an answer is waited for."""
_TOO_BIG = 1009

_logger = logging.getLogger("api.websocket")
# uvicorn's own lines hold query strings, and so tickets; `api.request_context` tells of each request.
_logger.setLevel(logging.WARNING)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Nothing is compressed: what is secret would be measured by its length beside what others choose."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = self.conn.logger = _logger

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            # The whole head has come by now: it is none of a handshake, and nothing else would end it.
            self.transport.close()
        elif self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > MAX_PIECES and not self.close_sent:
            self.conn.fail(_TOO_BIG, "too many pieces")
            self.handle_parser_exception()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # Refused: else an error would be logged of each, as of an application that answers nothing.
            self.handshake_complete = True

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(END_SECONDS, self.transport.abort)

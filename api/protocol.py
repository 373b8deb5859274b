"""uvicorn's HTTP/1.1 with the bounds that it lacks: how long a request's head may be, and may take.

Without them a connection costs memory for as long as it sends headers, and a place for as long as it
sends nothing at all; no key is needed for either.
"""

import asyncio
from http import HTTPStatus
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import problem_response
from muniment.errors import InvalidRequest, MunimentError, RequestHeadTooLarge, RequestTooSlow
from muniment.telemetry import context

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; what one read from the socket brings beyond it is let pass."""
HEAD_SECONDS = 30.0
"""From the connection, or from a request's first byte, to the end of its headers."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers what is no HTTP, or out of bounds, with a problem and closes the connection."""

    _head_bytes = 0
    _message_is_open = False
    _head_is_open = False
    _has_upgraded = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # The rest of a body that was answered before it had come: none of it is a head.
        was_in_body = self._message_is_open and not self._head_is_open
        super().data_received(data)
        if self._has_upgraded:
            return
        if self._head_is_open or self._is_idle():
            self._head_bytes += 0 if was_in_body else len(data)
            self._start_head_timer()
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(
                    RequestHeadTooLarge(f"address and headers exceed {MAX_HEAD_BYTES} bytes")
                )

    def on_message_begin(self) -> None:
        self._message_is_open = self._head_is_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        self._head_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._message_is_open = False
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return super()._should_upgrade() and self.scope["method"] == "GET"

    def handle_websocket_upgrade(self) -> None:
        """Gives the connection to `api.websocket_protocol`."""
        if self.cycle is not None and not self.cycle.response_complete:
            # What is still answered on it would be written among a WebSocket's frames.
            self.transport.close()
            return
        if not self.url.isascii():
            self._refuse(InvalidRequest("the address holds what is no ASCII"))
            return
        self._has_upgraded = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to bytes that are no HTTP request."""
        self._refuse(InvalidRequest("the bytes are no HTTP/1.1 request"))

    def _is_idle(self) -> bool:
        """No request is being received or answered: what comes is blank lines before the next."""
        return not self._message_is_open and (self.cycle is None or self.cycle.response_complete)

    def _start_head_timer(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._head_is_open:
            self._refuse(RequestTooSlow(f"no whole head within {HEAD_SECONDS:g} s"))
        else:
            self.transport.close()

    def _refuse(self, error: MunimentError) -> None:
        """Writes the problem by hand: there is no request that the application could answer."""
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        if self._is_answering():
            # Bytes between those of a response in progress would pass for a part of it.
            self.transport.close()
            return
        request_id = uuid4().hex
        with context.bound(request_id=request_id):
            response = problem_response(error, {"X-Request-Id": request_id, "Connection": "close"})
        status = HTTPStatus(response.status_code)
        head = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        head += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + bytes(response.body))
        self.transport.close()

    def _is_answering(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

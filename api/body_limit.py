"""Bounds what a request may send and how long it may pause; uploads bound their length themselves."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.openai_compatible.errors import PREFIX as OPENAI_PREFIX
from api.problems import problem_response
from muniment.errors import ContentTooLarge, InvalidRequest, RequestTooSlow

MAX_BODY_BYTES = 1024 * 1024
PAUSE_SECONDS = 60.0
"""Longest wait for the next bytes of a body: whoever stops sending gives its place to others."""


class BodyLimit:
    """ASGI middleware: 413 for a body above the limit, announced or not; 408 for one that stops
    arriving; 400 for a NUL in the address, which no text in PostgreSQL can hold."""

    def __init__(self, app: ASGIApp, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._app = app
        self._pause_seconds = pause_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if b"%00" in scope["query_string"] or "\0" in scope["path"]:
            await problem_response(InvalidRequest("the address holds a NUL"))(scope, receive, send)
            return
        if scope["type"] == "websocket":
            # Its messages are bounded by api.websocket_protocol, its pauses by who serves it.
            await self._app(scope, receive, send)
            return
        receive = _impatient(receive, self._pause_seconds)
        if _is_upload(scope):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
            await problem_response(_too_large())(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)


def _is_upload(scope: Scope) -> bool:
    """Uploads bound and stream their bodies themselves."""
    path = str(scope["path"])
    if scope["method"] == "PATCH":
        return path.startswith("/v1/uploads/")
    return scope["method"] == "POST" and (
        path in ("/v1/files", "/v1/uploads", f"{OPENAI_PREFIX}/files")
        or (path.startswith("/v1/files/") and path.endswith("/versions"))
    )


def _limited(receive: Receive) -> Receive:
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return receive_limited


def _impatient(receive: Receive, pause_seconds: float) -> Receive:
    """Waits that long for each part of the body, and any time for the end of the connection."""
    body_is_whole = False

    async def receive_in_time() -> Message:
        nonlocal body_is_whole
        if body_is_whole:
            return await receive()
        try:
            async with asyncio.timeout(pause_seconds):
                message = await receive()
        except TimeoutError:
            raise RequestTooSlow(f"nothing of the body came for {pause_seconds:g} s") from None
        body_is_whole = not message.get("more_body", False)
        return message

    return receive_in_time


def _too_large() -> ContentTooLarge:
    return ContentTooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes")

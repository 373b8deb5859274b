"""Bounds what a request may send, except where bytes are streamed to the store."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response
from muniment.errors import ContentTooLarge, InvalidRequest

MAX_BODY_BYTES = 1024 * 1024


class BodyLimit:
    """ASGI middleware: 413 for a body above the limit, announced or not; 400 for a NUL in the
    address, which no text in PostgreSQL can hold."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if b"%00" in scope["query_string"] or "\0" in scope["path"]:
            await problem_response(InvalidRequest("the address holds a NUL"))(scope, receive, send)
            return
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
    return scope["method"] == "POST" and (
        path == "/v1/files" or (path.startswith("/v1/files/") and path.endswith("/versions"))
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


def _too_large() -> ContentTooLarge:
    return ContentTooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes")

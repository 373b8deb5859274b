"""The headers that every answer of `/v1/uploads` carries, errors included, and the spellings of
requests that tus allows."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.uploads.protocol import VERSION

PATH = "/v1/uploads"
BASE = "muniment.uploads_base"
"""In a request's scope: what leads from its address to that of an upload. Relative, so that it holds
below whatever prefix a proxy serves the API."""
OVERRIDE_HEADER = "X-HTTP-Method-Override"
OVERRIDABLE = frozenset({"PATCH", "DELETE", "HEAD"})
PRECONDITION_FAILED = 412
CONTENT_TOO_LARGE = 413


class TusHeaders:
    """ASGI middleware: `Tus-Resumable` on answers, `Tus-Version` and `Tus-Max-Size` where these were
    at fault; a trailing slash behind the collection's address; methods that a client cannot send."""

    def __init__(self, app: ASGIApp, max_bytes: int | None) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(f"{PATH}/"):
            await self._app(scope, receive, send)
            return
        scope[BASE] = "uploads/"
        if scope["path"] == f"{PATH}/":
            scope["path"], scope[BASE] = PATH, ""
        override = Headers(scope=scope).get(OVERRIDE_HEADER, "").upper()
        if scope["method"] == "POST" and override in OVERRIDABLE:
            scope["method"] = override

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["Tus-Resumable"] = VERSION
                if message["status"] == PRECONDITION_FAILED:
                    headers["Tus-Version"] = VERSION
                if message["status"] == CONTENT_TOO_LARGE and self._max_bytes is not None:
                    headers["Tus-Max-Size"] = str(self._max_bytes)
            await send(message)

        await self._app(scope, receive, send_completed)

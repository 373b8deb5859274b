"""Lets Temporal's Web UI, and no other page, call the codec from a browser."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.temporal_codec.endpoints import PREFIX


class CodecCrossOrigin:
    """ASGI middleware: answers preflights and adds the CORS headers under the codec's paths."""

    def __init__(self, app: ASGIApp, ui_origin: str) -> None:
        self._app = app
        self._with_cors = CORSMiddleware(
            app,
            allow_origins=[ui_origin],
            allow_methods=["POST"],
            allow_headers=["Authorization", "Content-Type", "X-Namespace"],
            allow_credentials=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        under_codec = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._with_cors if under_codec else self._app)(scope, receive, send)

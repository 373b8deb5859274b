"""Tells browsers to come by https alone (RFC 6797)."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answer_starts import STARTS


class StrictTransport:
    """ASGI middleware: adds `Strict-Transport-Security` to every response, for an API that serves
    https. A browser heeds it on https alone, and for names, not addresses."""

    def __init__(self, app: ASGIApp, seconds: int) -> None:
        self._app = app
        self._value = f"max-age={seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_strictly(message: Message) -> None:
            if message["type"] in STARTS:
                MutableHeaders(raw=message["headers"])["Strict-Transport-Security"] = self._value
            await send(message)

        await self._app(scope, receive, send_strictly)

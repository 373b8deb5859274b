"""What is recorded while a request is served comes from its client's address."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.client_address import Proxies
from muniment.errors import InvalidRequest
from muniment.telemetry.origin import coming_from


class Origin:
    """ASGI middleware: the address goes into the audit trail, and into no log."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with coming_from(self._address(scope)):
            await self._app(scope, receive, send)

    def _address(self, scope: Scope) -> str | None:
        try:
            return str(self._proxies.client_address(scope))
        except InvalidRequest:
            # Whoever needs the address refuses the request; the others serve it, from nowhere known.
            return None

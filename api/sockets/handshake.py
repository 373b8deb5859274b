"""Who opens a WebSocket. Its handshake is a GET (RFC 6455, 4.1), and is asked as every other request is."""

from starlette.requests import Request
from starlette.websockets import WebSocket

from api.authentication import Caller
from api.events.tickets import PARAMETER, require_or_ticket
from api.rate_limits import BUCKET_STATES
from api.services import Services
from api.sessions.cookie import require_not_planted, session_cookie
from api.sessions.own_page import of_another_origin, origin_of, require_own_page

_SCHEMES = {"ws": "http", "wss": "https"}


async def require_at_handshake(websocket: WebSocket, services: Services, scope: str) -> Caller:
    """By key or token in the header, by a stream ticket, or by a session's cookie. Raises Unauthenticated,
    Forbidden, and RateLimitExceeded."""
    request = Request(
        {
            **websocket.scope,
            "type": "http",
            "method": "GET",
            "scheme": _SCHEMES[websocket.scope["scheme"]],
        }
    )
    if PARAMETER not in request.query_params and session_cookie(request) is not None:
        # Any page may open a WebSocket to anywhere, and cookies go along: a browser's word of the page's
        # origin is the proof, since pages can send no header of their own with a handshake.
        if origin_of(request) is None:
            raise of_another_origin()
        require_own_page(request)
        require_not_planted(request)
    try:
        return await require_or_ticket(scope)(request, services, None)
    finally:
        if BUCKET_STATES in request.scope:
            websocket.scope[BUCKET_STATES] = request.scope[BUCKET_STATES]

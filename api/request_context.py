"""Around every request: its id, its log line, its metrics, and the answer when all else failed."""

import asyncio
import logging
import time
from contextlib import suppress
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.propagate import extract
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from api.answer_starts import ACCEPTED, STARTS
from api.problems import problem_response
from muniment.errors import MunimentError, NotFound
from muniment.telemetry import context, metrics

logger = logging.getLogger("api.access")

REQUEST_ID_HEADER = "X-Request-Id"
UNKNOWN_ROUTE = "unknown"
_CLIENT_CLOSED_REQUEST = (
    499  # nginx's code for "nobody is left to answer", in logs and metrics only
)
_SWITCHING_PROTOCOLS = 101
_UNEXPECTED = 1011
_CLOSE_SECONDS = 5.0


class RequestContext:
    """ASGI middleware, the outermost. A WebSocket is one request, from its handshake to its end.

    Takes over a caller's sane `X-Request-Id`, else makes one; binds it for every log line; continues
    the caller's trace (W3C traceparent). The log has route templates and ids, never query strings.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("muniment.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = headers.get(REQUEST_ID_HEADER, "")
        request_id = offered if context.is_request_id(offered) else uuid4().hex
        with (
            context.bound(request_id=request_id),
            self._tracer.start_as_current_span(
                f"{_method(scope)} request",
                context=extract(dict(headers)),
                kind=trace.SpanKind.SERVER,
                record_exception=False,
            ) as span,
        ):
            answer = _Answer(scope, receive, send, request_id)
            started = time.perf_counter()
            try:
                await self._serve(answer)
            finally:
                _note(scope, answer.status, time.perf_counter() - started, span)

    async def _serve(self, answer: "_Answer") -> None:
        try:
            await self._app(answer.scope, answer.receive, answer.send)
        except (ClientDisconnect, WebSocketDisconnect, ClientDisconnected):
            answer.status = _CLIENT_CLOSED_REQUEST
        except Exception as error:
            cause = error.__cause__
            # The framework's own word for what came too late to be answered with is a RuntimeError.
            if (
                answer.has_begun
                and type(error) is RuntimeError
                and isinstance(cause, MunimentError)
            ):
                reason = {"reason": cause.problem, "detail": cause.detail}
                logger.error("a response was broken off", extra=reason)
                return
            logger.exception("an unexpected error")
            await answer.fail(MunimentError("an unexpected error; it was logged"))


class _Answer:
    """Completes the response's headers and remembers its status."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._request_id = request_id
        self.has_begun = False
        self.is_websocket = False
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] in STARTS:
            self.has_begun = True
            self.is_websocket = message["type"] == ACCEPTED
            self.status = _SWITCHING_PROTOCOLS if self.is_websocket else message["status"]
            headers = MutableHeaders(raw=message["headers"])
            headers[REQUEST_ID_HEADER] = self._request_id
            # What is answered is one caller's, and of the type that is named, unless a route differs.
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
            # No page of another origin takes it into its process, as a picture or script, where it could be
            # guessed at. What such pages fetch by CORS is not touched by it.
            headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        elif message["type"] == "websocket.close" and not self.has_begun:
            # The framework's refusal of a path that is none, which the server would make a bare 403.
            await self.fail(NotFound("no WebSocket is at this address"))
            return
        await self._send(message)

    async def fail(self, error: MunimentError) -> None:
        """Answers with the problem, unless a response has begun: that one stays incomplete, and the
        server closes the connection, which is how the client learns of it; a WebSocket's by 1011."""
        if not self.has_begun:
            await problem_response(error)(self.scope, self.receive, self.send)
        elif self.is_websocket:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self.send({"type": "websocket.close", "code": _UNEXPECTED})


def _note(scope: Scope, status: int, seconds: float, span: trace.Span) -> None:
    route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
    span.update_name(f"{_method(scope)} {route}")
    span.set_attribute("http.request.method", _method(scope))
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    metrics.observe_request(route, _method(scope), status, seconds)
    logger.info(
        "request",
        extra={
            "method": _method(scope),
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        },
    )


def _method(scope: Scope) -> str:
    """A handshake is always a GET."""
    return str(scope.get("method", "GET"))

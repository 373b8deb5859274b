"""How requests to an S3 server are sent and repeated: urllib3, where a store needs it otherwise."""

import socket
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ReadTimeoutError
from urllib3.response import BaseHTTPResponse

PIECE_BYTES = 256 * 1024
VANISHED_SERVER = (
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 15_000),
)
"""Has a server that vanished without a word noticed, and middlemen keep idle connections in mind. What
is sent on one that they forgot is given up (milliseconds) before its answer is, and then repeated."""


class PiecewiseRequests(urllib3.PoolManager):
    """Sends a body piece by piece, each within the connect time-out.

    urllib3 gives bytes to the socket in one go, which has to take *all* of them within that time: of a
    part of 8 MiB and five seconds, no line slower than 13 Mbit/s would ever carry one.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(blocksize=PIECE_BYTES, socket_options=VANISHED_SERVER, **settings)

    def urlopen(  # type: ignore[override] # as PoolManager's own
        self, method: str, url: str, redirect: bool = True, **request: Any
    ) -> BaseHTTPResponse:
        body = request.get("body")
        if isinstance(body, bytes) and len(body) > PIECE_BYTES:
            # The S3 client names its length in the headers; a repetition, and what is sent to where
            # the server redirects, begins at its start.
            request.update(body=BytesIO(body), body_pos=0)
        return super().urlopen(method, url, redirect, **request)


class RetriesUnlessSilent(urllib3.Retry):
    """Repeats what was refused or broken off, at once; a server that was silent for the whole time-out
    is not asked again, which would take as long each time."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)

"""Lets pages of named origins call the API from a browser: CORS, as the Fetch standard has it.

Bearer keys and tokens are what such pages call with. A cookie of ours goes along only from the same site,
and what changes something is still refused to it unless it comes from our own pages (`api.sessions`).
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.files.passwords import PASSWORD_HEADER
from api.files.retrieval import RETRIEVAL_HEADER
from api.idempotency import REPLAYED_HEADER
from api.request_context import REQUEST_ID_HEADER
from api.sessions.own_page import CSRF_HEADER
from api.temporal_codec.endpoints import PREFIX as CODEC_PREFIX
from api.uploads.tus_headers import OVERRIDE_HEADER

PREFIX = "/v1/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Cache-Control",
    "Content-Digest",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "Repr-Digest",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Requested-With",
    CSRF_HEADER,
    PASSWORD_HEADER,
    OVERRIDE_HEADER,
    REQUEST_ID_HEADER,
)
ANSWER_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Muniment-File",
    RETRIEVAL_HEADER,
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Tus-Extension",
    "Tus-Checksum-Algorithm",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    REPLAYED_HEADER,
    REQUEST_ID_HEADER,
)
PREFLIGHT_SECONDS = 600
_OF_OUR_PAGES = "/v1/auth/session"
"""It tells a session's CSRF token, and a neighbour's page of the same site comes with the cookie."""


class CrossOrigin:
    """ASGI middleware: answers preflights of these origins under `/v1/`, and lets their pages read what
    is answered. All others get what they would without it, and no word about origins. The codec has
    an origin of its own."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._with_cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            allow_credentials=True,
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._with_cors if self._is_named(scope) else self._app)(scope, receive, send)

    def _is_named(self, scope: Scope) -> bool:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return False
        if scope["path"].startswith((CODEC_PREFIX, _OF_OUR_PAGES)):
            return False
        return Headers(scope=scope).get("origin") in self._origins

"""`GET, HEAD /s/{token}/content`: the bytes, for as long as the link lives."""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from urllib.parse import quote

from fastapi import Request
from pydantic import JsonValue
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.files.content import respond
from api.sending import Download
from api.services import Services
from api.shared_files import pages, refusals, sessions
from api.shared_files.marking import handed_out
from api.shared_files.visiting import Visit, begin_visit, is_still_served
from db.audit import record
from db.queries import shares
from db.queries.shares import Taking
from db.queries.tiers import note_access
from muniment.errors import MunimentError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How long a download may go on before it is looked whether it still may."""
SHARED_BY_HEADER = "Muniment-Shared-By"


async def head(request: Request, services: Services, token: str) -> Response:
    """What a download would say; counts as none. Raises Refused, TooManyRequests, and what
    reading the store raises."""
    visit = await begin_visit(request, services, token)
    if visit.is_locked:
        raise refusals.locked(token)
    with services.sharing.downloads.take(visit.address):
        sealed = await handed_out(services, visit)
        return _named(await respond(request, services.blobs, sealed), visit)


async def download(request: Request, services: Services, token: str) -> Response:
    """The content or ranges of it, counted once for each session. Raises Refused, TooManyRequests, and
    what reading the store raises."""
    visit = await begin_visit(request, services, token)
    if visit.is_locked:
        raise refusals.locked(token)
    places = services.sharing.downloads
    places.acquire(visit.address)
    try:
        response = await _content(request, services, visit)
    except BaseException:
        places.release(visit.address)
        raise
    if not isinstance(response, SharedContent):
        places.release(visit.address)
    return response


async def _content(request: Request, services: Services, visit: Visit) -> Response:
    """What was opened, and counted if anything is taken by it: not what is unchanged, nor a range that
    there is not."""
    sealed = await handed_out(services, visit)
    response = _named(await respond(request, services.blobs, sealed), visit)
    if not isinstance(response, Download):
        return response
    session = visit.session or sessions.begin(services.sharing.session_life)
    try:
        await _take(request, services, visit, session)
    except BaseException:
        await response.body_pieces.aclose()
        raise
    body = _while_live(services, visit, response.body_pieces)
    content = SharedContent(
        response, body, partial(services.sharing.downloads.release, visit.address)
    )
    if visit.session is None:
        sessions.hand_out(content, session, visit.share, visit.token, visit.cookie_scope)
    return content


def _named(response: Response, visit: Visit) -> Response:
    """Says who shared it, and keeps it out of caches: a link that is taken back leaves none."""
    response.headers.update(pages.PRIVACY_HEADERS)
    response.headers[SHARED_BY_HEADER] = quote(visit.shared_by, safe="")
    return response


async def _take(
    request: Request, services: Services, visit: Visit, session: sessions.VisitorSession
) -> None:
    """Counts and audits the download, unless its session was counted before."""
    async with services.database.transaction(visit.access) as transaction:
        most = services.sharing.max_sessions
        taking = await shares.take(transaction, visit.share, session.id, session.until, most)
        if taking is Taking.GONE:
            raise refusals.absent()
        if taking is Taking.REFUSED:
            raise refusals.ended()
        if taking is Taking.COUNTED:
            payload: dict[str, JsonValue] = {
                "file_id": str(visit.share.file_id),
                "version": visit.version,
                "ranged": "range" in request.headers,
            }
            record(transaction, visit.act("share.downloaded", "share", visit.share.id, payload))
            by_link: dict[str, JsonValue] = {
                "share_id": str(visit.share.id),
                "version": visit.version,
            }
            record(transaction, visit.act("file.downloaded", "file", visit.share.file_id, by_link))
            await note_access(transaction, [visit.sealed.blob_id], [visit.share.file_id])


async def _while_live(
    services: Services, visit: Visit, body: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """The body, until the link, its file, or the right to it is taken back."""
    looked_at = time.monotonic()
    async with aclosing(body) as chunks:
        async for chunk in chunks:
            if time.monotonic() - looked_at >= LOOK_SECONDS:
                await _require_live(services, visit)
                looked_at = time.monotonic()
            yield chunk


async def _require_live(services: Services, visit: Visit) -> None:
    """Breaks the transfer off, which is all that can be said once it has begun: the client sees that
    it is not whole, and what it asks for next is refused in words."""
    try:
        async with services.database.transaction(visit.access) as session:
            if await is_still_served(session, services.sharing, visit):
                return
    except MunimentError as error:
        logger.warning("a shared download breaks off", extra={"reason": error.problem})
    raise ClientDisconnect


class SharedContent(Download):
    """Holds its place among the downloads until it is over."""

    def __init__(
        self, response: Download, body: AsyncGenerator[bytes, None], release: Callable[[], None]
    ) -> None:
        super().__init__(body, response.status_code, {})
        self.raw_headers = response.raw_headers
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()

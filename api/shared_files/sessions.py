"""What a visitor carries from one request to the next: a cookie that nobody else can make.

It is signed under a key made of the link's token, which the database does not hold, and of its
`session_key`, which visitors do not: neither a stolen database nor a link makes one. It belongs to that
link alone, and is worthless once the link has another key.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from starlette.responses import Response

from db.models import ShareLink, now

COOKIE = "muniment_share"
_VALUE = re.compile(r"([0-9a-f]{32})\.([0-9]{1,11})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class VisitorSession:
    """One visitor at one link. Who has it either gave the password or did not need to."""

    id: UUID
    until: datetime


def begin(life: timedelta) -> VisitorSession:
    until = (now() + life).replace(microsecond=0)
    return VisitorSession(uuid4(), until)


def read(cookie: str | None, share: ShareLink, token: str) -> VisitorSession | None:
    """The session, if the cookie is of this link and still counts."""
    match = None if cookie is None else _VALUE.fullmatch(cookie)
    if match is None:
        return None
    session = VisitorSession(UUID(match[1]), datetime.fromtimestamp(int(match[2]), UTC))
    is_ours = hmac.compare_digest(match[3], _signature(session, share, token))
    return session if is_ours and session.until > now() else None


@dataclass(frozen=True)
class CookieScope:
    """Where the browser sends the cookie: to the link and what lies below it."""

    path: str
    secure: bool


def cookie_scope(public_url: str | None, path: str, *, is_encrypted: bool) -> CookieScope:
    """`public_url` tells a prefix that a proxy cuts off, and https that one ends."""
    public = urlsplit(public_url or "")
    return CookieScope(public.path.rstrip("/") + path, is_encrypted or public.scheme == "https")


def hand_out(
    response: Response,
    session: VisitorSession,
    share: ShareLink,
    token: str,
    scope: CookieScope,
) -> None:
    """Sets the cookie."""
    value = f"{session.id.hex}.{_expiry(session)}.{_signature(session, share, token)}"
    response.set_cookie(
        COOKIE,
        value,
        max_age=max(0, int((session.until - now()).total_seconds())),
        path=scope.path,
        secure=scope.secure,
        httponly=True,
        samesite="lax",
    )


def _signature(session: VisitorSession, share: ShareLink, token: str) -> str:
    key = hmac.digest(share.session_key, b"session\0" + token.encode(), "sha256")
    signed = f"{session.id.hex}.{_expiry(session)}".encode()
    return hmac.digest(key, signed, "sha256").hex()


def _expiry(session: VisitorSession) -> int:
    return int(session.until.timestamp())

"""The cookie of a session. Over https its name begins with `__Host-`: browsers then take it from this
host alone, over TLS, for all paths, so that no neighbour of the same domain can plant one.

On this machine itself there may be no TLS. Chromium long took no `__Host-` cookies over http, from
whichever host, and Safari takes no `Secure` ones: there the cookie is a plain one, which never leaves
the machine. From anywhere else nobody signs in for a cookie without https.
"""

from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from api.client_address import Proxies
from db.models import now
from muniment.errors import Forbidden, NotFound

NAME = "__Host-muniment_session"
NAME_WITHOUT_TLS = "muniment_session"


def session_cookie(request: Request) -> str | None:
    """The cookie's value, unless the request carries an Authorization, which goes first."""
    if "Authorization" in request.headers:
        return None
    if (value := request.cookies.get(NAME)) is not None:
        return value
    return request.cookies.get(NAME_WITHOUT_TLS) if _is_for_this_machine(request) else None


def require_cookie(request: Request) -> str:
    """Of a request that was authenticated. Raises NotFound where something else did that."""
    cookie = session_cookie(request)
    if cookie is None:
        raise NotFound("the request came with no session's cookie")
    return cookie


def cookie_name(request: Request, proxies: Proxies) -> str:
    """What the cookie is to be called. Raises Forbidden where it would travel unprotected. A browser
    says itself by which address it came; a proxy that is not named among the trusted ones need not."""
    origin = urlsplit(request.headers.get("Origin", ""))
    if origin.scheme == "https" or proxies.is_encrypted(request.scope):
        return NAME
    if _is_for_this_machine(request) and _is_here(origin.hostname or "localhost"):
        return NAME_WITHOUT_TLS
    raise Forbidden(
        "a session needs https: its cookie could be read on the way",
        remedy="Come by https. The operator names the proxy that ends TLS in"
        " MUNIMENT_API__TRUSTED_PROXIES.",
    )


def hand_out(response: Response, name: str, secret: str, ends_at: datetime) -> None:
    response.set_cookie(
        name,
        secret,
        max_age=max(0, int((ends_at - now()).total_seconds())),
        path="/",
        secure=name == NAME,
        httponly=True,
        samesite="strict",
    )


def take_back(response: Response) -> None:
    for name in (NAME, NAME_WITHOUT_TLS):
        response.delete_cookie(
            name, path="/", secure=name == NAME, httponly=True, samesite="strict"
        )


def _is_for_this_machine(request: Request) -> bool:
    return request.scope["scheme"] == "http" and _is_here(request.url.hostname or "")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""The cookie of a session. Over https its name begins with `__Host-`: browsers then take it from this
host alone, over TLS, for all paths, so that no neighbour of the same domain can plant one.

On this machine itself there may be no TLS. Chromium long took no `__Host-` cookies over http, from
whichever host, and Safari takes no `Secure` ones: there the cookie is a plain one, named by the port, so
that two homes on one machine do not sign each other out. Cookies know no ports: whatever listens on this
machine and is visited by the same browser gets it, a forwarded port and another account's program, too.
From anywhere else nobody signs in for a cookie without https.
"""

from datetime import datetime
from ipaddress import ip_address

from fastapi import Request
from starlette.responses import Response

from api.client_address import Proxies
from api.sessions.own_page import of_another_origin, origin_of, split
from db.models import now
from muniment.errors import Forbidden, NotFound

NAME = "__Host-muniment_session"
NAME_WITHOUT_TLS = "muniment_session_{port}"
HTTP_PORT = 80
SIGNS_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto")


def session_cookie(request: Request) -> str | None:
    """The cookie's value, unless the request carries an Authorization, which goes first."""
    if "Authorization" in request.headers:
        return None
    if (value := request.cookies.get(NAME)) is not None:
        return value
    name = _name_on_this_machine(request)
    return None if name is None else request.cookies.get(name)


def require_cookie(request: Request) -> str:
    """Of a request that was authenticated. Raises NotFound where something else did that."""
    cookie = session_cookie(request)
    if cookie is None:
        raise NotFound("the request came with no session's cookie")
    return cookie


def require_not_planted(request: Request) -> None:
    """Raises Forbidden for a plain cookie that a page of another machine sends: it came through a proxy
    that is named nowhere, and a neighbour of the domain may have planted it."""
    if NAME in request.cookies:
        return
    origin = origin_of(request)
    if origin is not None and not _is_here(origin.hostname or ""):
        raise of_another_origin()


def cookie_name(request: Request, proxies: Proxies) -> str:
    """What the cookie is to be called. Raises Forbidden where it would travel unprotected. A browser
    says itself by which address it came; a proxy that is not named among the trusted ones need not."""
    origin = origin_of(request)
    is_by_https = origin is not None and origin.scheme == "https"
    if is_by_https or proxies.is_encrypted(request.scope):
        return NAME
    name = _name_on_this_machine(request)
    if name is not None and (origin is None or _is_here(origin.hostname or "")):
        return name
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


def take_back(request: Request, response: Response) -> None:
    for name in (NAME, _name_on_this_machine(request)):
        if name is not None:
            response.delete_cookie(
                name, path="/", secure=name == NAME, httponly=True, samesite="strict"
            )


def _name_on_this_machine(request: Request) -> str | None:
    """None where the request came from elsewhere, as far as can be told: a proxy in front that is named
    nowhere may write this machine's name into `Host`."""
    if request.scope["scheme"] != "http":
        return None
    if any(header in request.headers for header in SIGNS_OF_PROXIES):
        return None
    host = split(f"http://{request.headers.get('Host', '')}")
    if host is None or not _is_here(host.hostname or ""):
        return None
    return NAME_WITHOUT_TLS.format(port=host.port or HTTP_PORT)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

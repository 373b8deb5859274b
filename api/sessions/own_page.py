"""That a request with a cookie was made by a page of ours (OWASP, Cross-Site Request Forgery Prevention).

Two proofs, because either has gone wrong before: what browsers say of a request's origin, which no page
can change, and a token that belongs to the session, which no other page can read. `SameSite=Strict` is
the third, and no proof: other ports of this machine, and neighbours of the domain, are the same site.
"""

import hmac
from urllib.parse import SplitResult, urlsplit

from fastapi import Request

from muniment.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
_PURPOSE = b"csrf"


def csrf_token(cookie: str) -> str:
    """What a page of ours gets told, and sends back: a hash under the session's secret, so that it is
    stored nowhere and belongs to that session alone."""
    return hmac.digest(cookie.encode(), _PURPOSE, "sha256").hex()


def require_csrf_token(request: Request, cookie: str) -> None:
    """Raises Forbidden."""
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(), csrf_token(cookie).encode()):
        raise Forbidden(
            f"a request with a cookie that changes something needs {CSRF_HEADER}",
            remedy=f"Send the `csrf_token` of GET /v1/auth/session in {CSRF_HEADER}.",
        )


def require_own_page(request: Request) -> None:
    """Raises Forbidden for what a page of another origin sent, and for an `Origin` that is none.
    `Sec-Fetch-Site` says so where the browser sends it, `Origin` where it is older; without both it was no
    browser, and no page made it."""
    origin = origin_of(request)
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_own = site == "same-origin"
    else:
        is_own = origin is None or origin.netloc == request.headers.get("Host")
    if not is_own:
        raise of_another_origin()


def origin_of(request: Request) -> SplitResult | None:
    """None where the request names none. Raises Forbidden for one that cannot be parsed."""
    if "Origin" not in request.headers:
        return None
    origin = split(request.headers["Origin"])
    if origin is None:
        raise of_another_origin()
    return origin


def split(address: str) -> SplitResult | None:
    """None for what cannot be parsed, to its port."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def of_another_origin() -> Forbidden:
    return Forbidden(
        "a page of another origin made this request",
        remedy="Use a page that this API's own address serves, or an API key instead of a cookie.",
    )

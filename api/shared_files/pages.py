"""The pages that visitors see: without scripts, pictures or anything from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType

from starlette.responses import HTMLResponse, Response

from api.files.disposition import safe_character
from api.shared_files.refusals import Refused
from api.shared_files.visiting import Visit
from api.shares.schemas import MAX_PASSWORD_CHARACTERS

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1f24; --soft: #57606a;
  --line: #d0d7de; --act: #0b57d0; --on-act: #ffffff; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #eceff2; --soft: #a9b3bd;
  --line: #3a424a; --act: #a8c7fa; --on-act: #062e6f; --wrong: #f2b8b5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: 3rem 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
dl { margin: 0 0 2rem; border-top: 1px solid var(--line); }
dl div { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line); }
dt { flex: 0 0 8rem; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
label { display: block; margin: 0 0 .25rem; }
input { width: 100%; padding: .75rem; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--soft); border-radius: .375rem; margin: 0 0 1rem; }
.act { display: inline-block; padding: .75rem 1.5rem; font: inherit; font-weight: 600; border: 0;
  border-radius: .375rem; background: var(--act); color: var(--on-act); text-decoration: none;
  cursor: pointer; }
:focus-visible { outline: 3px solid var(--act); outline-offset: 3px; }
.wrong { color: var(--wrong); font-weight: 600; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

PRIVACY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "private, no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow, noarchive",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
"""Of everything below a link, whose address is a secret."""
PAGE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        **PRIVACY_HEADERS,
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB", "ZB")


def download_page(visit: Visit) -> Response:
    """What there is, who shared it, and the button that downloads it."""
    share, sealed = visit.share, visit.sealed
    name = _shown(sealed.name or "")
    # A marked copy, which may not be made yet, has another size.
    size = [] if share.watermark else [("Size", escape(_size(sealed.size)))]
    rows = [
        *size,
        ("Type", escape(_shown(sealed.media_type))),
        ("Shared by", f"<bdi>{_shown(visit.shared_by)}</bdi>"),
        ("Available until", _time(share.expires_at)),
    ]
    if share.watermark:
        rows.append(("Watermark", "Each page says who shared it."))
    listed = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in rows)
    body = (
        f"<h1><bdi>{name}</bdi></h1><dl>{listed}</dl>"
        f'<p><a class="act" href="{escape(visit.token)}/content" rel="nofollow noreferrer">'
        "Download</a></p>"
    )
    return _page(f"Download {name}", body)


def password_page(*, is_wrong: bool = False) -> Response:
    """Tells nothing of the file, nor of who shared it."""
    described = ' aria-describedby="wrong" aria-invalid="true"' if is_wrong else ""
    wrong = '<p id="wrong" class="wrong" role="alert">That is not the password.</p>'
    body = (
        "<h1>A password is needed</h1><p>Whoever gave you this link can tell it.</p>"
        f'{wrong if is_wrong else ""}<form method="post"><label for="password">Password</label>'
        '<input id="password" name="password" type="password" required autofocus'
        f' autocomplete="off" maxlength="{MAX_PASSWORD_CHARACTERS}"{described}>'
        '<button class="act" type="submit">Open</button></form>'
    )
    return _page("A password is needed", body, 403 if is_wrong else 200)


def refusal_page(refused: Refused) -> Response:
    body = f"<h1>{escape(refused.heading)}</h1><p>{escape(refused.text)}</p>"
    if refused.way_on is not None:
        href, told = refused.way_on
        body += f'<p><a class="act" href="{escape(href)}">{escape(told)}</a></p>'
    response = _page(escape(refused.heading), body, refused.status)
    if refused.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(refused.retry_after_seconds)
    return response


def redirection(relative: str) -> Response:
    return Response(status_code=303, headers={**PAGE_HEADERS, "Location": relative})


def _page(title: str, body: str, status: int = 200) -> Response:
    """`title` and `body` are HTML: what came from elsewhere is escaped in them."""
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    return HTMLResponse(document, status_code=status, headers=dict(PAGE_HEADERS))


def _shown(text: str) -> str:
    """Escaped, without what controls or turns the direction of text."""
    return escape("".join(each if each in "/\\" else safe_character(each) for each in text))


def _time(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}">{utc.day} {utc:%B %Y, %H:%M} UTC</time>'


def _size(size: int) -> str:
    """As people say it, and in bytes."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    power = next(each for each in range(1, len(_UNITS) + 1) if size < 999_950 * 1000 ** (each - 1))
    return f"{size / 1000**power:.1f} {_UNITS[power - 1]} ({size:,} bytes)"

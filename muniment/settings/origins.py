"""Origins as browsers send them (RFC 6454, 6.2): scheme, host, and a port that is not the scheme's own."""

from urllib.parse import urlsplit

_DEFAULTS = frozenset({("https", 443), ("http", 80)})


def named_origins(joined: str | None) -> tuple[str, ...]:
    """Those that `,` joins. Raises ValueError for what no browser sends, which would never match, and
    for `*`: whose pages come is named."""
    origins = tuple(each.strip() for each in (joined or "").split(",") if each.strip())
    for origin in origins:
        if not _is_origin(origin):
            raise ValueError(
                "an origin is https://host or https://host:port, in lower case, without the scheme's"
                " own port, a path or `*`"
            )
    return origins


def _is_origin(origin: str) -> bool:
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    written = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    is_default = (parts.scheme, parts.port) in _DEFAULTS
    named = parts.scheme in ("http", "https") and bool(host) and "*" not in origin
    return named and written == origin and not is_default

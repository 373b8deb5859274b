"""Titles, authors and dates that documents carry about themselves, made fit to be shown."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAXIMUM_TITLE = 300
MAXIMUM_AUTHOR = 120
MAXIMUM_AUTHORS = 20
_PDF_DATE = re.compile(
    r"^(?:D:)?(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?([Zz+-])?(\d{2})?'?(\d{2})?"
)
_ISO_DATE = re.compile(
    r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?$"
)


@dataclass(frozen=True, slots=True)
class Metadata:
    title: str | None = None
    authors: tuple[str, ...] = ()
    created: str | None = None


def clean(text: str | None, maximum: int) -> str | None:
    """One line without control and direction characters, at most `maximum` long; None if empty."""
    if text is None:
        return None
    visible = "".join(
        character if unicodedata.category(character)[0] != "C" else " " for character in text
    )
    return " ".join(visible.split())[:maximum].rstrip() or None


def describe(title: str | None, authors: Iterable[str], created: str | None) -> Metadata:
    """Metadata with every part cleaned; authors may come several to a string."""
    names = (
        clean(name, MAXIMUM_AUTHOR) for author in authors for name in re.split(r"[;\n]", author)
    )
    distinct = dict.fromkeys(name for name in names if name)
    return Metadata(
        title=clean(title, MAXIMUM_TITLE),
        authors=tuple(distinct)[:MAXIMUM_AUTHORS],
        created=_date(created),
    )


def _date(text: str | None) -> str | None:
    """ISO 8601, from that form or from a PDF date (ISO 32000-1, 7.9.4); None for anything else."""
    text = (text or "").strip()
    if _ISO_DATE.match(text):
        return text
    found = _PDF_DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, sign, offset_hour, offset_minute = found.groups()
    date = f"{year}-{month or '01'}-{day or '01'}"
    if hour is None:
        return date
    zone = ""
    if sign in ("Z", "z"):
        zone = "Z"
    elif sign and offset_hour:
        zone = f"{sign}{offset_hour}:{offset_minute or '00'}"
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"

"""Titles, authors, dates and languages that documents carry about themselves, made fit to be shown."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MAXIMUM_TITLE = 300
MAXIMUM_AUTHOR = 120
MAXIMUM_AUTHORS = 20
MAXIMUM_VALUE = 16 * 1024
"""Of a value so much is looked at: more is no title and no name."""
_PDF_DATE = re.compile(
    r"^(?:D:)?(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?([Zz+-])?(\d{2})?[':]?(\d{2})?'?$",
    re.ASCII,
)
_ISO_DATE = re.compile(
    r"^\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$",
    re.ASCII,
)
_TAG = re.compile(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$")
_NO_LANGUAGE = frozenset(("und", "mul", "zxx", "mis"))
"""ISO 639-2's codes for: not determined, several, none, another."""
_UNSET = "1601-01-01T00:00:00"
"""Where Windows' time begins: what no program filled in."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`created` is a date of ISO 8601, as precise as it was given; `language` an IETF tag."""

    title: str | None = None
    authors: tuple[str, ...] = ()
    created: str | None = None
    language: str | None = None


def clean(text: str | None, maximum: int) -> str | None:
    """One line without control and direction characters, at most `maximum` long; None if empty."""
    if text is None:
        return None
    visible = "".join(
        character if unicodedata.category(character)[0] != "C" else " "
        for character in text[:MAXIMUM_VALUE]
    )
    return " ".join(visible.split())[:maximum].rstrip() or None


def describe(
    title: str | None,
    authors: Iterable[str],
    created: str | None,
    language: str | None = None,
) -> Metadata:
    """Metadata with every part cleaned; authors may come several to a string."""
    names = (
        clean(name, MAXIMUM_AUTHOR)
        for author in authors
        for name in re.split(r"[;\n]", author[:MAXIMUM_VALUE])
    )
    distinct = dict.fromkeys(name for name in names if name)
    return Metadata(
        title=clean(title, MAXIMUM_TITLE),
        authors=tuple(distinct)[:MAXIMUM_AUTHORS],
        created=_date(created),
        language=language_tag(language),
    )


def language_tag(text: str | None) -> str | None:
    """The IETF tag that is meant, with hyphens; None where it is none or names no language."""
    tag = (text or "")[:MAXIMUM_VALUE].strip().replace("_", "-")
    return tag if _TAG.match(tag) and tag.lower() not in _NO_LANGUAGE else None


def _date(text: str | None) -> str | None:
    """ISO 8601, from that form or from a PDF date (ISO 32000-1, 7.9.4); None for anything else."""
    text = (text or "")[:MAXIMUM_VALUE].strip()
    date = text if _ISO_DATE.match(text) else _pdf_date(text)
    is_told = date is not None and not date.startswith(_UNSET) and _exists(date)
    return date if is_told else None


def _pdf_date(text: str) -> str | None:
    found = _PDF_DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, sign, offset_hour, offset_minute = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        return date
    zone = ""
    if sign in ("Z", "z"):
        zone = "Z"
    elif sign and offset_hour:
        zone = f"{sign}{offset_hour}:{offset_minute or '00'}"
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"


def _exists(date: str) -> bool:
    """Whether the calendar has it."""
    try:
        datetime.fromisoformat(date + "-01-01"[: max(0, len("2001-01-01") - len(date))])
    except ValueError:
        return False
    return True

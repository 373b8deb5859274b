"""What Word, Excel and PowerPoint 97–2003 keep about a document (MS-OLEPS, SummaryInformation)."""

import codecs
from datetime import datetime

import olefile

from activities.inspect.metadata import Metadata, describe
from activities.sandbox.content import Content

_CODE_PAGES = {65001: "utf-8", 10000: "mac-roman"}
_FALLBACK = "cp1252"


def compound_metadata(content: Content) -> Metadata:
    with content.open() as file, olefile.OleFileIO(file) as compound:
        said = compound.get_metadata()
    codec = _codec(said.codepage)
    author, created = _text(said.author, codec), said.create_time
    return describe(
        _text(said.title, codec),
        [author] if author else [],
        f"{created.isoformat(timespec='seconds')}Z" if isinstance(created, datetime) else None,
    )


def _codec(code_page: object) -> str:
    number = code_page & 0xFFFF if isinstance(code_page, int) else 0  # stored with a sign
    try:
        return codecs.lookup(_CODE_PAGES.get(number, f"cp{number}")).name
    except LookupError:
        return _FALLBACK


def _text(value: object, codec: str) -> str | None:
    if isinstance(value, bytes):
        return value.decode(codec, "replace")
    return value if isinstance(value, str) else None

"""What Rich Text Format says in its group `info` (RTF 1.9.1, document information)."""

import re

from striprtf.striprtf import rtf_to_text

from activities.inspect.metadata import Metadata, describe
from activities.sandbox.content import Content

_HEAD_BYTES = 256 * 1024
_INFO = re.compile(r"\{\\info\b.{0,16384}", re.DOTALL)
_CODE_PAGE = re.compile(r"\\ansicpg(\d{3,5})")
_VALUE = r"\{{\\{name}\b((?:[^{{}}\\]|\\.){{0,4096}})\}}"
_CREATED = re.compile(r"\{\\creatim\\yr(\d{4})\\mo(\d{1,2})\\dy(\d{1,2})")


def rich_text_metadata(content: Content) -> Metadata:
    # RTF is ASCII by its own rules; whatever else stands in it is taken byte by byte.
    head = content.head(_HEAD_BYTES).decode("latin-1")
    info = _INFO.search(head)
    if info is None:
        return Metadata()
    code_page = _CODE_PAGE.search(head)
    prologue = rf"{{\rtf1\ansi\ansicpg{code_page.group(1) if code_page else 1252}"
    author = _value(info.group(), "author", prologue)
    created = _CREATED.search(info.group())
    return describe(
        _value(info.group(), "title", prologue),
        [author] if author else [],
        "-".join(part.zfill(2) for part in created.groups()) if created else None,
    )


def _value(info: str, name: str, prologue: str) -> str | None:
    """Decoded by the library, as if it were a document of that text alone."""
    found = re.search(_VALUE.format(name=name), info, re.DOTALL)
    if found is None:
        return None
    text: str = rtf_to_text(f"{prologue} {found.group(1)}}}", errors="replace")  # type: ignore[no-untyped-call] # it has none
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

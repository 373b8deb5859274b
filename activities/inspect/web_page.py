"""Title, authors, date and language of web pages, from their head."""

from collections import defaultdict

from bs4.dammit import EncodingDetector
from lxml import etree
from webencodings import decode, lookup  # type: ignore[import-untyped] # it has no types

from activities.inspect.metadata import Metadata, describe
from activities.read.text_encoding import decode_text, encoding_of
from activities.sandbox.content import Content

_HEAD_BYTES = 64 * 1024
_AUTHORS = ("author", "dc.creator")
_DATES = ("date", "dc.date", "dcterms.created")


def page_metadata(content: Content) -> Metadata:
    text = _decoded(content.head(_HEAD_BYTES))
    page = etree.fromstring(text.encode("utf-8", "replace"), etree.HTMLParser(encoding="utf-8"))
    if page is None:
        return Metadata()
    named = defaultdict(list)
    for element in page.iter("meta"):
        named[element.get("name", "").strip().lower()].append(element.get("content", ""))
    return describe(
        _title(page) if "</title" in text.lower() else None,
        [author for name in _AUTHORS for author in named[name]],
        next((date for name in _DATES for date in named[name] if date), None),
        page.get("lang") or page.get("xml:lang"),
    )


def _title(page: etree._Element) -> str | None:
    """The first one outside a picture."""
    for element in page.iter("title"):
        if next(element.iterancestors("svg"), None) is None:
            return "".join(element.itertext())
    return None


def _decoded(data: bytes) -> str:
    """As the page declares it, unless its bytes are Unicode: that is not mistaken for anything else."""
    is_unicode = (encoding_of(data) or "").startswith("utf")
    declared = None if is_unicode else EncodingDetector.find_declared_encoding(data, is_html=True)
    encoding = lookup(declared) if declared else None
    # What is declared in single bytes is not UTF-16 (HTML Standard, 13.2.3.2).
    if encoding is None or encoding.name.startswith("utf-16"):
        return decode_text(data)
    text, _ = decode(data, encoding)
    return str(text)

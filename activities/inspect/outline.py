"""A PDF's bookmarks and language, as it says them itself."""

from collections.abc import Iterator
from itertools import islice

import pypdfium2
import pypdfium2.raw as pdfium

from activities.inspect.metadata import clean
from muniment.contracts.documents import OutlineEntry

MOST_BOOKMARKS = 5_000
DEEPEST = 8
LONGEST_TITLE = 300
_LONGEST_TAG_BYTES = 80


def outline_of(document: pypdfium2.PdfDocument) -> tuple[OutlineEntry, ...]:
    """The bookmarks in their order, as many as are worth keeping."""
    return tuple(_entries(document))


def _entries(document: pypdfium2.PdfDocument) -> Iterator[OutlineEntry]:
    for bookmark in islice(document.get_toc(max_depth=DEEPEST), MOST_BOOKMARKS):
        title = clean(bookmark.get_title(), LONGEST_TITLE)
        if title is None:
            continue
        destination = bookmark.get_dest()
        index = destination.get_index() if destination is not None else None
        page = index + 1 if index is not None and 0 <= index < len(document) else None
        yield OutlineEntry(title=title, level=bookmark.level, page=page)


def language_of(document: pypdfium2.PdfDocument) -> str | None:
    """What the document's catalogue says, be it an IETF tag or not."""
    tag = (pdfium.FPDF_WCHAR * (_LONGEST_TAG_BYTES // 2))()
    length = pdfium.FPDFCatalog_GetLanguage(document.raw, tag, _LONGEST_TAG_BYTES)
    if not 2 < length <= _LONGEST_TAG_BYTES:
        return None
    return bytes(tag)[: length - 2].decode("utf-16-le", "replace")

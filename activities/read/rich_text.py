"""Rich Text Format as a DoclingDocument: its paragraphs, and its tables with their cells."""

from collections.abc import Iterator
from itertools import groupby

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from striprtf.striprtf import rtf_to_text

from activities.read.table_items import add_table

_CELL_END = "|"
"""What the library writes after each cell; a row is a line of its own."""


def rich_text_document(data: bytes) -> DoclingDocument:
    """Characters as the document's own code pages and fonts have them."""
    document = DoclingDocument(name="document")
    # RTF is ASCII by its own rules; whatever else stands in it is taken byte by byte.
    text = _paired(rtf_to_text(data.decode("latin-1"), errors="replace"))  # type: ignore[no-untyped-call] # it has none
    for is_row, lines in groupby(_lines(text), key=lambda line: line.endswith(_CELL_END)):
        if is_row:
            add_table(document, [line.split(_CELL_END)[:-1] for line in lines])
            continue
        for line in lines:
            document.add_text(label=DocItemLabel.TEXT, text=line)
    return document


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\0", "").splitlines():
        if line.strip():
            yield line.strip()


def _paired(text: str) -> str:
    """RTF writes characters beyond the Basic Multilingual Plane as two halves; a half without its
    other becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

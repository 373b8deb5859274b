"""Rich Text Format as a DoclingDocument: its paragraphs, and its tables with their cells."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from striprtf.striprtf import rtf_to_text

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.kreuzberg_formats import book_document
from activities.read.table_items import add_table
from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_rich_text import take_out_unseen_rich_text

_CELL_END = "|"
"""What the library writes after each cell; a row is a line of its own."""
WHOLE_SHARE = 0.9
"""Of two readings the one that has fewer of the other's words has lost text."""
LEAST_LOST = 5
_WORD = re.compile(r"[^\W_]+")


def rich_text_document(data: bytes) -> DoclingDocument:
    """Characters as the document's own code pages and fonts have them; with what striprtf leaves out
    (notes, tables in groups) where kreuzberg reads that and the same characters. Neither is given
    what nobody sees."""
    seen, unseen = take_out_unseen_rich_text(data)
    document = _read(seen)
    add_unseen(document, unseen)
    return document


def _read(data: bytes) -> DoclingDocument:
    with suppress(Exception):  # what either raises over a document is no more than that it failed
        fuller = book_document(data, file_type.RTF.media_type)
        try:
            document = _by_code_pages(data)
        except ValueError:
            return fuller
        return fuller if _has_lost(document, fuller) else document
    return _by_code_pages(data)


def _has_lost(document: DoclingDocument, fuller: DoclingDocument) -> bool:
    """Whether the fuller document has ASCII words that the other lacks, and all its others: kreuzberg
    guesses code pages, so that its accented letters may be wrong."""
    words, more = _words(document), _words(fuller)
    plain = Counter({word: count for word, count in more.items() if word.isascii()})
    foreign = Counter({word: count for word, count in words.items() if not word.isascii()})
    return (plain & words).total() < WHOLE_SHARE * plain.total() and (
        foreign & more
    ).total() >= WHOLE_SHARE * foreign.total()


def _words(document: DoclingDocument) -> Counter[str]:
    return Counter(_WORD.findall(document_text(document)))


def _by_code_pages(data: bytes) -> DoclingDocument:
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

"""Plain text as a DoclingDocument: a paragraph per block of lines."""

from collections.abc import Iterator

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

MAXIMUM_PARAGRAPH_LINES = 100
"""A log or a data file may have no empty line at all."""
MAXIMUM_LINE_CHARACTERS = 20_000


def plain_document(text: str) -> DoclingDocument:
    """Line breaks within a paragraph are kept: in a log or a poem they mean something."""
    document = DoclingDocument(name="document")
    for paragraph in _paragraphs(text.replace("\0", "")):
        document.add_text(label=DocItemLabel.TEXT, text=paragraph)
    return document


def _paragraphs(text: str) -> Iterator[str]:
    block: list[str] = []
    for line in _lines(text):
        if line.strip():
            block.append(line.rstrip())
        if block and (not line.strip() or len(block) >= MAXIMUM_PARAGRAPH_LINES):
            yield "\n".join(block)
            block.clear()
    if block:
        yield "\n".join(block)


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for start in range(0, max(1, len(line)), MAXIMUM_LINE_CHARACTERS):
            yield line[start : start + MAXIMUM_LINE_CHARACTERS]

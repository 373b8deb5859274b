"""Formats through kreuzberg: Office 97–2003, Outlook messages, EPUB, and what docling cannot read."""

import re
import secrets
from collections.abc import Sequence
from io import BytesIO

from docling.backend.md_backend import MarkdownDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.base import Size
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel, GroupLabel
from kreuzberg import (
    ConcurrencyConfig,
    ExtractionConfig,
    ExtractionResult,
    PageConfig,
    extract_bytes_sync,
)

from activities.read.plain_text import plain_document
from activities.read.provenance import place_nowhere
from activities.read.table_items import add_table
from muniment.errors import DamagedDocument

_FIELD_CODE = re.compile(
    r"\b(?:SEQ|PAGEREF|REF|TOC)\b [^\n]*?\\\* \w+ ?|\bHYPERLINK [\"“][^\"”]*[\"”] ?"
)
"""Instructions to number figures and link, which the text of an old Word document holds as well."""
_SLIDE_MASTER = frozenset(
    (
        "Click to edit Master title style",
        "Click to edit Master text styles",
        "Second level",
        "Third level",
        "Fourth level",
        "Fifth level",
    )
)
"""PowerPoint's own words, which every presentation holds and no slide shows."""
_CELL_MARK = re.compile(r"[\x07\t]+")


def lines_document(data: bytes, media_type: str) -> DoclingDocument:
    """A paragraph for each line: a Word document, a presentation's slides."""
    document = DoclingDocument(name="document")
    for line in _extracted(data, media_type, "plain").content.splitlines():
        text = _CELL_MARK.sub(" ", _FIELD_CODE.sub("", line)).strip()
        if text and text not in _SLIDE_MASTER:
            document.add_text(label=DocItemLabel.TEXT, text=text)
    return document


def message_document(data: bytes, media_type: str) -> DoclingDocument:
    """An Outlook message: its header lines, then its body."""
    return plain_document(_extracted(data, media_type, "plain").content)


def workbook_document(data: bytes, media_type: str) -> DoclingDocument:
    """Every sheet a page, with its cells as a table."""
    result = _extracted(data, media_type, "markdown")
    document = DoclingDocument(name="document")
    for number, name in enumerate(sheet_names(result), start=1):
        document.add_page(page_no=number, size=Size(width=0, height=0))
        sheet = document.add_group(label=GroupLabel.SHEET, name=name)
        for table in result.tables:
            if table.page_number == number:
                add_table(document, table.cells, page=number, parent=sheet)
    return document


def book_document(data: bytes, media_type: str) -> DoclingDocument:
    """A book or a text document with its headings, lists and tables; DamagedDocument when empty."""
    markdown = _extracted(data, media_type, "markdown").content
    if not markdown.strip():
        raise DamagedDocument("No text was found in the document.")
    return _from_markdown(markdown)


def slides_document(data: bytes, media_type: str, numbers: Sequence[int]) -> DoclingDocument:
    """A presentation with its titles, lists and tables, each slide a page; the numbers are those of
    the slides in the order of their parts' names. All on one page where that order is in doubt."""
    mark = secrets.token_hex(16)  # nothing that a presentation could hold
    pages = PageConfig(extract_pages=True, insert_page_markers=True)
    pages.marker_format = f"\n\n{mark}{{page_num}}\n\n"
    markdown = _extracted(data, media_type, "markdown", pages).content
    before, *slides = re.split(rf"{mark}\d+\n", markdown)
    if not "".join((before, *slides)).strip():
        raise DamagedDocument("No text was found in the document.")
    if before.strip() or sorted(numbers) != list(range(1, len(slides) + 1)):
        return _from_markdown("\n\n".join((before, *slides)))
    in_order = [slide for _, slide in sorted(zip(numbers, slides, strict=True))]
    document: DoclingDocument = DoclingDocument.concatenate([_slide(slide) for slide in in_order])
    return document


def _slide(markdown: str) -> DoclingDocument:
    slide = _from_markdown(markdown)
    slide.add_page(page_no=1, size=Size(width=0, height=0))
    for item in (*slide.texts, *slide.tables, *slide.pictures):
        item.prov = [place_nowhere(1, len(getattr(item, "text", "")))]
    return slide


def _from_markdown(markdown: str) -> DoclingDocument:
    source = InputDocument(
        path_or_stream=BytesIO(markdown.encode()),
        format=InputFormat.MD,
        backend=MarkdownDocumentBackend,
        filename="document.md",
    )
    document: DoclingDocument = MarkdownDocumentBackend(
        source, BytesIO(markdown.encode())
    ).convert()
    return document


def count_sheets(data: bytes, media_type: str) -> int:
    return len(sheet_names(_extracted(data, media_type, "plain")))


def sheet_names(result: ExtractionResult) -> list[str]:
    """As the workbook has them, from the first on."""
    names = result.metadata.get("sheet_names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _extracted(
    data: bytes, media_type: str, output_format: str, pages: PageConfig | None = None
) -> ExtractionResult:
    return extract_bytes_sync(
        data,
        media_type,
        ExtractionConfig(
            output_format=output_format,
            use_cache=False,
            pages=pages,
            concurrency=ConcurrencyConfig(max_threads=1),
        ),
    )

"""Documents read before the first one, so that children find done what a process does once: pdfium
and docling-parse load their tables, and the expressions that docling looks for in HTML take longer
to compile than most files of it to read."""

import ctypes
import io
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.calls import ReadRequest
from muniment.contracts.documents import DocumentFamily

_TEXT = "A page to begin with: some words on one line."
_SIZE_POINTS = (300, 200)
_FONT_SIZE_POINTS = 12


def documents_to_begin_with() -> Iterator[tuple[ReadRequest, bytes]]:
    """Each with its content, of one page."""
    yield _request("application/pdf", DocumentFamily.PDF), _page()
    html = f"<html><body><h1>Title</h1><p>{_TEXT}</p></body></html>"
    yield _request("text/html", DocumentFamily.HTML), html.encode()


def _request(media_type: str, family: DocumentFamily) -> ReadRequest:
    return ReadRequest(media_type=media_type, family=family, pages=(1,))


def _page() -> bytes:
    """A PDF with a line of text."""
    content = io.BytesIO()
    with pypdfium2.PdfDocument.new() as document:
        page = document.new_page(*_SIZE_POINTS)
        font = pdfium.FPDFText_LoadStandardFont(document.raw, b"Helvetica")
        line = pdfium.FPDFPageObj_CreateTextObj(document.raw, font, _FONT_SIZE_POINTS)
        text = ctypes.create_string_buffer((_TEXT + "\0").encode("utf-16-le"))
        pdfium.FPDFText_SetText(line, ctypes.cast(text, pdfium.FPDF_WIDESTRING))
        pdfium.FPDFPageObj_Transform(line, 1, 0, 0, 1, _SIZE_POINTS[0] / 10, _SIZE_POINTS[1] / 2)
        pdfium.FPDFPage_InsertObject(page.raw, line)
        page.gen_content()
        pdfium.FPDFFont_Close(font)
        document.save(content)
    return content.getvalue()

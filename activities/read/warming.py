"""Documents read before the first one, so that children find done what a process does once: pdfium
and docling-parse load their tables, and the expressions that docling looks for in HTML take longer
to compile than most files of it to read."""

import ctypes
import io
from collections.abc import Iterator, Sequence

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.calls import ReadRequest
from muniment.contracts.documents import DocumentFamily

_TEXT = "A page to begin with: some words on one line."
_WIDTH_POINTS, _HEIGHT_POINTS = 595, 842
_MARGIN_POINTS = 72
_FONT_SIZE_POINTS = 12
_PITCH_POINTS = 18


def documents_to_begin_with() -> Iterator[tuple[ReadRequest, bytes]]:
    """Each with its content, of one page."""
    yield _request("application/pdf", DocumentFamily.PDF), page_of_lines([_TEXT])
    html = f"<html><body><h1>Title</h1><p>{_TEXT}</p></body></html>"
    yield _request("text/html", DocumentFamily.HTML), html.encode()


def _request(media_type: str, family: DocumentFamily) -> ReadRequest:
    return ReadRequest(media_type=media_type, family=family, pages=(1,))


def page_of_lines(lines: Sequence[str]) -> bytes:
    """A PDF with these lines on its only page."""
    content = io.BytesIO()
    with pypdfium2.PdfDocument.new() as document:
        page = document.new_page(_WIDTH_POINTS, _HEIGHT_POINTS)
        font = pdfium.FPDFText_LoadStandardFont(document.raw, b"Helvetica")
        for number, line in enumerate(lines):
            drawn = pdfium.FPDFPageObj_CreateTextObj(document.raw, font, _FONT_SIZE_POINTS)
            text = ctypes.create_string_buffer((line + "\0").encode("utf-16-le"))
            pdfium.FPDFText_SetText(drawn, ctypes.cast(text, pdfium.FPDF_WIDESTRING))
            height = _HEIGHT_POINTS - _MARGIN_POINTS - number * _PITCH_POINTS
            pdfium.FPDFPageObj_Transform(drawn, 1, 0, 0, 1, _MARGIN_POINTS, height)
            pdfium.FPDFPage_InsertObject(page.raw, drawn)
        page.gen_content()
        pdfium.FPDFFont_Close(font)
        document.save(content)
    return content.getvalue()

"""A line across each page of a PDF, which says who shared it."""

import ctypes
import math
import unicodedata

import pypdfium2
import pypdfium2.raw as pdfium

from muniment.errors import DamagedDocument, LimitExceeded

MAXIMUM_PAGES = 2_000
FONT = b"Helvetica-Bold"
"""One of the fonts that every reader has (ISO 32000-1, 9.6.2.2), so that none is embedded."""
CHARACTERS = "cp1252"
"""What it has letters for (WinAnsiEncoding)."""
MAXIMUM_NAME_CHARACTERS = 80
GREY, OPACITY = 110, 50
"""Of 255, twice over each other: to be read over a picture, and what is beneath it as well."""
LENGTH = 0.85
"""Of the page's diagonal."""
LARGEST_POINTS = 40.0


def mark_pages(document: pypdfium2.PdfDocument, line: str) -> None:
    """Writes it on all of them; what is there stays. Raises LimitExceeded, DamagedDocument, and what
    pdfium raises."""
    if len(document) > MAXIMUM_PAGES:
        raise LimitExceeded(f"A PDF with more than {MAXIMUM_PAGES:,} pages cannot be marked.")
    for number in range(len(document)):
        page = document[number]
        try:
            _write_across(document, page, line)
        finally:
            page.close()


def mark(name: str, identifier: str) -> str:
    """What the line says. Letters that the font lacks lose their accents; of a name in another script only
    the id is left, which stands for the same principal."""
    written = "".join(map(_written, name)).strip()[:MAXIMUM_NAME_CHARACTERS]
    who = f"{written} \N{MIDDLE DOT} {identifier}" if written else identifier
    return f"Shared by {who}"


def _written(character: str) -> str:
    if unicodedata.category(character).startswith(("C", "Z")):
        return " "
    for spelled in (character, unicodedata.normalize("NFKD", character)):
        found = spelled.encode(CHARACTERS, "ignore").decode(CHARACTERS)
        if found:
            return found
    return ""


def _write_across(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, line: str) -> None:
    """From the lower left to the upper right corner of what readers show, whichever way it is turned."""
    left, bottom, right, top = page.get_cropbox()
    width, height = page.get_size()
    diagonal = math.hypot(width, height)
    if not 0 < diagonal < math.inf:
        raise DamagedDocument("A page has no area.")
    middle = (left + right) / 2, (bottom + top) / 2
    angle = math.atan2(height, width) + math.radians(page.get_rotation())
    in_content, over_content = (
        _text(document, line, LENGTH * diagonal, middle, angle) for _ in range(2)
    )
    pdfium.FPDFPage_InsertObject(page, in_content)
    if not pdfium.FPDFPage_GenerateContent(page):
        raise DamagedDocument("A page cannot be written on.")
    _stamp(page, over_content)


def _stamp(page: pypdfium2.PdfPage, written: "pdfium.FPDF_PAGEOBJECT") -> None:
    """An annotation, which is drawn whatever the page's own content leaves behind it: a clipping path, or
    words without end, swallow what is written after them."""
    annotation = pdfium.FPDFPage_CreateAnnot(page, pdfium.FPDF_ANNOT_STAMP)
    try:
        left, bottom, right, top = _bounds(written)
        rectangle = pdfium.FS_RECTF(left=left, bottom=bottom, right=right, top=top)
        flags = pdfium.FPDF_ANNOT_FLAG_PRINT | pdfium.FPDF_ANNOT_FLAG_LOCKED
        made = (
            pdfium.FPDFAnnot_SetRect(annotation, rectangle),
            pdfium.FPDFAnnot_AppendObject(annotation, written),
            pdfium.FPDFAnnot_SetFlags(annotation, flags | pdfium.FPDF_ANNOT_FLAG_READONLY),
        )
    finally:
        pdfium.FPDFPage_CloseAnnot(annotation)
    if not all(made):
        raise DamagedDocument("A page cannot be written on.")


def _text(
    document: pypdfium2.PdfDocument,
    line: str,
    length: float,
    middle: tuple[float, float],
    angle: float,
) -> "pdfium.FPDF_PAGEOBJECT":
    """The line, at most so long (in points), around the middle, turned by so many radians."""
    written = pdfium.FPDFPageObj_NewTextObj(document, FONT, 1.0)
    encoded = f"{line}\0".encode("utf-16-le")
    characters = ctypes.create_string_buffer(encoded, len(encoded))
    pointer = ctypes.cast(characters, ctypes.POINTER(ctypes.c_ushort))
    if not pdfium.FPDFText_SetText(written, pointer):
        raise DamagedDocument("A page cannot be written on.")
    pdfium.FPDFPageObj_SetFillColor(written, GREY, GREY, GREY, OPACITY)
    left, bottom, right, top = _bounds(written)
    scale = min(LARGEST_POINTS, length / (right - left))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    across, up = (left + right) / 2, (bottom + top) / 2
    pdfium.FPDFPageObj_Transform(
        written,
        cosine,
        sine,
        -sine,
        cosine,
        middle[0] - cosine * across + sine * up,
        middle[1] - sine * across - cosine * up,
    )
    return written


def _bounds(written: "pdfium.FPDF_PAGEOBJECT") -> tuple[float, float, float, float]:
    """Left, bottom, right, top."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium.FPDFPageObj_GetBounds(written, left, bottom, right, top)
    return left.value, bottom.value, right.value, top.value

"""Annotations that bring a picture of their own, of which reading knows nothing."""

import pypdfium2
import pypdfium2.raw as pdfium

MOST_ANNOTATIONS = 1000
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_WITHOUT_WORDS = frozenset(
    {
        pdfium.FPDF_ANNOT_HIGHLIGHT,
        pdfium.FPDF_ANNOT_UNDERLINE,
        pdfium.FPDF_ANNOT_SQUIGGLY,
        pdfium.FPDF_ANNOT_STRIKEOUT,
        pdfium.FPDF_ANNOT_POPUP,
        pdfium.FPDF_ANNOT_WIDGET,
    }
)
"""Marks over the page's own words, and what is not drawn."""
_TERMINATOR_BYTES = 2


def pages_with_appearances(document: pypdfium2.PdfDocument) -> frozenset[int]:
    """The numbers of pages, from 1, on which an annotation draws what may be words: stamps, typed notes."""
    return frozenset(
        number for number, page in enumerate(document, start=1) if _has_appearance(page)
    )


def _has_appearance(page: pypdfium2.PdfPage) -> bool:
    try:
        count = pdfium.FPDFPage_GetAnnotCount(page)
        return count > MOST_ANNOTATIONS or any(_draws(page, place) for place in range(count))
    finally:
        page.close()


def _draws(page: pypdfium2.PdfPage, place: int) -> bool:
    annotation = pdfium.FPDFPage_GetAnnot(page, place)
    if not annotation:
        return True  # of which nothing can be said
    try:
        if pdfium.FPDFAnnot_GetSubtype(annotation) in _WITHOUT_WORDS:
            return False
        if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
            return False
        mode = pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL
        length: int = pdfium.FPDFAnnot_GetAP(annotation, mode, None, 0)
        return length > _TERMINATOR_BYTES
    finally:
        pdfium.FPDFPage_CloseAnnot(annotation)

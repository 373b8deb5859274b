"""Opens PDFs and judges, page by page, whether the text layer can be trusted.

Everything here asks pdfium: a 500-page document takes a few seconds.
"""

import ctypes
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium

from activities.inspect.calls import InspectRequest
from activities.inspect.metadata import Metadata, describe
from activities.inspect.outline import language_of, outline_of
from activities.inspect.text_quality import fault_of
from activities.read.pdf_file import needs_password, open_pdf
from activities.read.text_layer import printed_label
from activities.sandbox.content import Content
from muniment.contracts.documents import OutlineEntry, PagePlan, PageSource
from muniment.errors import DamagedDocument, LimitExceeded, NoPages

MAXIMUM_OBJECTS_LOOKED_AT = 3_000
MAXIMUM_FORM_DEPTH = 3
_TAIL_BYTES = 4096
_COMPLETE_ENDS = (b"%%EOF", b"endobj", b">>", b"endstream", b"trailer")

SCAN_COVERAGE = 0.5
FEW_CHARACTERS = 60
"""A page mostly covered by a picture with at most this much visible text is a stamped scan."""
WHOLE_COVERAGE = 0.85
FEW_CHARACTERS_OF_WHOLE = 160
"""The same where the picture is all of the page: a fax carries a line of its own."""
STAMP_SHARE = 0.2
"""Text objects that are painted, beside others that are not: a stamp over a scan's hidden text."""


@dataclass(slots=True)
class _Drawn:
    """What is painted on a page besides characters' codes."""

    visible_text: int = 0
    hidden_text: int = 0
    paths: int = 0
    image_area: float = 0.0


@dataclass(frozen=True, slots=True)
class PdfAccount:
    """What a PDF says of itself."""

    metadata: Metadata
    outline: tuple[OutlineEntry, ...]
    needs_password: bool


def inspect_pdf(
    content: Content, request: InspectRequest
) -> tuple[tuple[PagePlan, ...], PdfAccount]:
    """A plan for every page, and what the document says of itself."""
    _refuse_cut_short(content)
    with content.open() as file:
        is_locked = request.password is not None and needs_password(file)
    with content.open() as file, open_pdf(file, request.password) as document:
        count = len(document)
        if count == 0:
            raise NoPages("The PDF has no pages.")
        if count > request.maximum_pages:
            raise LimitExceeded(
                f"The PDF has {count:,} pages; the limit is {request.maximum_pages:,}."
            )
        plans = tuple(_plan(document, number) for number in range(1, count + 1))
        about = PdfAccount(_metadata(document), outline_of(document), is_locked)
        return plans, about


def _refuse_cut_short(content: Content) -> None:
    """pdfium repairs a file without its end and shows what is left: a part must not pass for the
    whole."""
    tail = content.tail(_TAIL_BYTES)
    if b"startxref" not in tail and not tail.rstrip(b"\0 \r\n\t").endswith(_COMPLETE_ENDS):
        raise DamagedDocument("The PDF is cut short: its end is missing.")


def _plan(document: pypdfium2.PdfDocument, number: int) -> PagePlan:
    try:
        page = document[number - 1]
        try:
            source, reason = _judge(page)
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return PagePlan(page=number, source=PageSource.TEXT, reason="the page does not load")
    label = printed_label(document, number) if source is PageSource.OCR else None
    return PagePlan(page=number, source=source, reason=reason, label=label)


def _judge(page: pypdfium2.PdfPage) -> tuple[PageSource, str]:
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range() if text_page.count_chars() > 0 else ""
    finally:
        text_page.close()
    length = sum(1 for character in text if not character.isspace())
    drawn = _look(page)
    covered = drawn.image_area / max(1.0, page.get_width() * page.get_height())
    if length == 0:
        if drawn.image_area > 0 or drawn.paths > 0:
            return PageSource.OCR, "no text layer"
        return PageSource.TEXT, "blank page"
    fault = fault_of(text)
    if fault is not None:
        return PageSource.OCR, fault
    if drawn.hidden_text > 0 and drawn.visible_text == 0 and covered > 0:
        return PageSource.OCR, "only hidden text over a picture"
    if covered >= SCAN_COVERAGE and (
        length <= FEW_CHARACTERS
        or (covered >= WHOLE_COVERAGE and length <= FEW_CHARACTERS_OF_WHOLE)
    ):
        return PageSource.OCR, "little text over a picture"
    texts = drawn.hidden_text + drawn.visible_text
    if covered >= SCAN_COVERAGE and drawn.hidden_text and drawn.visible_text < STAMP_SHARE * texts:
        return PageSource.OCR, "a stamp over a picture with hidden text"
    return PageSource.TEXT, "text layer"


def _look(page: pypdfium2.PdfPage) -> _Drawn:
    drawn = _Drawn()
    frame = page.get_bbox()
    budget = MAXIMUM_OBJECTS_LOOKED_AT
    pending = [
        (pdfium.FPDFPage_GetObject, page.raw, pdfium.FPDFPage_CountObjects(page.raw), 0),
    ]
    while pending and budget > 0:
        get, container, count, depth = pending.pop()
        for index in range(min(count, budget)):
            budget -= 1
            drawn_object = get(container, index)
            kind = pdfium.FPDFPageObj_GetType(drawn_object)
            if kind == pdfium.FPDF_PAGEOBJ_TEXT:
                if pdfium.FPDFTextObj_GetTextRenderMode(drawn_object) in _HIDDEN_MODES:
                    drawn.hidden_text += 1
                else:
                    drawn.visible_text += 1
            elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                drawn.image_area += _visible_area(drawn_object, frame)
            elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < MAXIMUM_FORM_DEPTH:
                inner = pdfium.FPDFFormObj_CountObjects(drawn_object)
                pending.append((pdfium.FPDFFormObj_GetObject, drawn_object, inner, depth + 1))
            else:
                drawn.paths += 1
    return drawn


def _visible_area(drawn_object: object, frame: tuple[float, float, float, float]) -> float:
    """The part of an object's box that lies on the page, in square points."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(drawn_object, left, bottom, right, top):
        return 0.0
    width = min(right.value, frame[2]) - max(left.value, frame[0])
    height = min(top.value, frame[3]) - max(bottom.value, frame[1])
    return max(0.0, width) * max(0.0, height)


_HIDDEN_MODES = frozenset({pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP})


def _metadata(document: pypdfium2.PdfDocument) -> Metadata:
    entries = document.get_metadata_dict(skip_empty=True)
    author = entries.get("Author")
    return describe(
        entries.get("Title"),
        [author] if author else [],
        entries.get("CreationDate"),
        language_of(document),
    )

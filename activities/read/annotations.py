"""What stands on a PDF's page without being drawn in its content: values of form fields, notes.

Text layers hold only what the page's own content paints. Each value becomes a line of the page, in
the table's cell that it stands in or after the line that labels it; what the text layer shows at
that place already is not said twice.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.cleaning import (
    LONGEST_HIDDEN_TEXT,
    SMALLEST_WORD_POINTS,
)
from activities.read.geometry import Box
from activities.read.page_lines import PageLines
from activities.read.unseen_characters import without_unseen
from muniment.contracts.documents import (
    MOST_HIDDEN_TEXTS,
    BoundingBox,
    HiddenKind,
    HiddenText,
    Line,
    Page,
)

MAXIMUM_ANNOTATIONS = 5_000
MAXIMUM_CHARACTERS = 20_000
"""Of one value; what is longer is cut, since no page shows it."""
_CHECKED = "☒"
_PASSWORD_FIELD = 1 << 13  # ISO 32000-1, table 228
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_VALUED = frozenset(
    (
        pdfium.FPDF_FORMFIELD_TEXTFIELD,
        pdfium.FPDF_FORMFIELD_COMBOBOX,
        pdfium.FPDF_FORMFIELD_LISTBOX,
    )
)
_TICKED = frozenset((pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON))
_NOTES = frozenset(
    (
        pdfium.FPDF_ANNOT_TEXT,
        pdfium.FPDF_ANNOT_FREETEXT,
        pdfium.FPDF_ANNOT_HIGHLIGHT,
        pdfium.FPDF_ANNOT_UNDERLINE,
        pdfium.FPDF_ANNOT_SQUIGGLY,
        pdfium.FPDF_ANNOT_STRIKEOUT,
        pdfium.FPDF_ANNOT_STAMP,
        pdfium.FPDF_ANNOT_CARET,
        pdfium.FPDF_ANNOT_INK,
        pdfium.FPDF_ANNOT_LINE,
        pdfium.FPDF_ANNOT_SQUARE,
        pdfium.FPDF_ANNOT_CIRCLE,
        pdfium.FPDF_ANNOT_POLYGON,
        pdfium.FPDF_ANNOT_POLYLINE,
        pdfium.FPDF_ANNOT_FILEATTACHMENT,
    )
)


def open_form(document: pypdfium2.PdfDocument) -> None:
    """Makes the values of form fields known. Call before a page is opened; a broken form is passed
    over, since the pages are there without it."""
    with suppress(pypdfium2.PdfiumError):
        document.init_forms()


@dataclass(frozen=True, slots=True)
class Annotations:
    """Lines to stand on the page, and what its reader does not see."""

    lines: tuple[Line, ...]
    hidden: tuple[HiddenText, ...]


def with_annotations(document: pypdfium2.PdfDocument, page: Page) -> Page:
    """The page with the values of its form fields and the texts of its notes among its lines, those
    that nobody sees with its hidden texts.

    `open_form` was called before.
    """
    annotations = annotations_of(document, page.page)
    found = PageLines(page)
    for line in annotations.lines:
        if not _is_drawn(line, page.lines):
            found.put(line)
    hidden = (*page.hidden, *annotations.hidden)[:MOST_HIDDEN_TEXTS]
    if len(found.lines) == len(page.lines) and len(hidden) == len(page.hidden):
        return page
    return page.model_copy(
        update={
            "lines": tuple(found.lines),
            "tables": tuple(found.tables),
            "text": "\n".join(line.text for line in found.lines),
            "hidden": hidden,
        }
    )


def annotations_of(document: pypdfium2.PdfDocument, number: int) -> Annotations:
    """What the values and texts of a page, from 1, are read as. `open_form` was called before."""
    lines: list[Line] = []
    hidden: list[HiddenText] = []
    opened = document[number - 1]
    try:
        for raw, box, kind in _placed_texts(document, opened):
            text, message = without_unseen(raw)
            place = box.clipped(*opened.get_size()) if kind is not HiddenKind.OFF_PAGE else None
            if message:
                hidden.append(_hidden(HiddenKind.UNSEEN_CHARACTERS, message, place))
            if kind is not None:
                hidden.append(_hidden(kind, text, place))
            elif text.strip():
                lines.append(Line(text=text, bbox=place))
    finally:
        opened.close()
    return Annotations(tuple(lines), tuple(hidden))


def _hidden(kind: HiddenKind, text: str, place: BoundingBox | None) -> HiddenText:
    return HiddenText(kind=kind, text=text[:LONGEST_HIDDEN_TEXT], bbox=place)


def _placed_texts(
    document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage
) -> Iterator[tuple[str, Box, HiddenKind | None]]:
    """Texts with their places, and why they are not seen there."""
    width, height = page.get_size()
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAXIMUM_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                continue
            text = _text(document, annotation)
            if text:
                box = _box(page, annotation)
                subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
                yield text, box, _why_hidden(box, subtype, width, height)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _why_hidden(box: Box, subtype: int, width: float, height: float) -> HiddenKind | None:
    if box.right < 0 or box.bottom < 0 or box.left > width or box.top > height:
        return HiddenKind.OFF_PAGE
    if subtype == pdfium.FPDF_ANNOT_TEXT:
        return None  # a note's icon has a size of its own
    is_painted = subtype in (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT)
    # What is not painted there opens at a click on a line, which may be of no height.
    size = min(box.width, box.height) if is_painted else max(box.width, box.height)
    return HiddenKind.TINY if size < SMALLEST_WORD_POINTS else None


def _text(document: pypdfium2.PdfDocument, annotation: pdfium.FPDF_ANNOTATION) -> str:
    subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
    if subtype in _NOTES:
        return _string(
            lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(
                annotation, b"Contents", buffer, size
            )
        )
    if subtype != pdfium.FPDF_ANNOT_WIDGET or document.formenv is None:
        return ""
    form = document.formenv.raw
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _TICKED:
        return _CHECKED if pdfium.FPDFAnnot_IsChecked(form, annotation) else ""
    if kind not in _VALUED or (
        pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FIELD
        and kind == pdfium.FPDF_FORMFIELD_TEXTFIELD
    ):
        return ""
    return _string(
        lambda buffer, size: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size)
    )


def _string(fetch: Callable[[object, int], int]) -> str:
    """What pdfium hands out as UTF-16LE ending in NUL, on one line."""
    size = min(fetch(None, 0), 2 * MAXIMUM_CHARACTERS)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    if fetch(buffer, size) > size:
        return ""
    return " ".join(bytes(buffer)[: size - 2].decode("utf-16-le", "replace").split())


def _box(page: pypdfium2.PdfPage, annotation: pdfium.FPDF_ANNOTATION) -> Box:
    """Its rectangle, in the frame of all boxes: the crop box as it lies before the reader; one of no
    size where it has none."""
    found = pdfium.FS_RECTF()
    if not pdfium.FPDFAnnot_GetRect(annotation, found):
        return Box(0.0, 0.0, 0.0, 0.0)
    left, bottom, right, top = page.get_bbox()
    corners = [(found.left, found.bottom), (found.right, found.top)]
    turned: Callable[[float, float], tuple[float, float]] = {
        90: lambda x, y: (y - bottom, x - left),
        180: lambda x, y: (right - x, y - bottom),
        270: lambda x, y: (top - y, right - x),
    }.get(page.get_rotation(), lambda x, y: (x - left, top - y))
    return Box.around([turned(x, y) for x, y in corners])


def _is_drawn(line: Line, drawn: tuple[Line, ...]) -> bool:
    """Whether the page's content shows this text at this place: a flattened field, a typed note."""
    here = [other for other in drawn if _touch(line, other)]
    shown = "".join("".join(other.text.split()) for other in here)
    return "".join(line.text.split()) in shown


def _touch(line: Line, other: Line) -> bool:
    if line.bbox is None or other.bbox is None:
        return True
    return min(line.bbox[2], other.bbox[2]) > max(line.bbox[0], other.bbox[0]) and min(
        line.bbox[3], other.bbox[3]
    ) > max(line.bbox[1], other.bbox[1])

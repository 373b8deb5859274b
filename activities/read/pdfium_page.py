"""A page's content as pdfium sees it: its characters, for pages that docling-parse cannot read."""

import ctypes
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.fonts import PageFonts, em_of
from activities.read.geometry import Box, Turn
from activities.read.painted import in_frame
from activities.read.words import Content, Word

MOST_CHARACTERS = 200_000
HYPHENS_AT_END = frozenset("\x02\ufffe")
"""What pdfium gives for a hyphen that divides a word between lines; no space follows it."""
LEVEL_RADIANS = 0.1
ASCENT, DESCENT = 0.8, 0.2
"""Of the em square, what lies above the baseline and below it."""


def pdfium_content(page: pypdfium2.PdfPage) -> Content:
    """The page's words in pdfium's order, which puts spaces and line ends between them."""
    text_page = page.get_textpage()
    try:
        return Content(list(_words(page, text_page)))
    finally:
        text_page.close()


def _words(page: pypdfium2.PdfPage, text_page: pypdfium2.PdfTextPage) -> Iterator[Word]:
    fonts = PageFonts(text_page)
    frame = page.get_bbox()
    rotation = Turn(page.get_rotation() % 360)
    for number, (text, place) in enumerate(_runs(text_page)):
        box = in_frame(place, frame, rotation)
        at = ((place.left + place.right) / 2, (place.top + place.bottom) / 2)
        yield Word(text=text, box=box, style=fonts.style(str(number), "", box.height, at))


def _runs(text_page: pypdfium2.PdfTextPage) -> Iterator[tuple[str, Box]]:
    """Characters without a space between, and the box around them in page space."""
    text, box = "", None
    for index in range(min(text_page.count_chars(), MOST_CHARACTERS)):
        character = chr(pdfium.FPDFText_GetUnicode(text_page.raw, index))
        if character.isspace() or character == "\0":
            if box is not None:
                yield text, box
            text, box = "", None
            continue
        place = _place(text_page, index)
        box = place if box is None else box.joined(place)
        text += "-" if character in HYPHENS_AT_END else character
        if character in HYPHENS_AT_END:
            yield text, box
            text, box = "", None
    if box is not None:
        yield text, box


def _place(text_page: pypdfium2.PdfTextPage, index: int) -> Box:
    """Where a character stands: as high as its line where it runs to the right, since glyphs may have
    no height of their own, and fonts any."""
    box = Box(*text_page.get_charbox(index))
    em = em_of(text_page, index)
    x, baseline = ctypes.c_double(), ctypes.c_double()
    if (
        em <= 0
        or abs(pdfium.FPDFText_GetCharAngle(text_page.raw, index)) > LEVEL_RADIANS
        or not pdfium.FPDFText_GetCharOrigin(text_page.raw, index, x, baseline)
    ):
        return box
    return Box(box.left, baseline.value - DESCENT * em, box.right, baseline.value + ASCENT * em)

"""How words are set: the size of the em square, weight and slant of each font on a page.

A word's cell in docling-parse reaches from the font's descent to its ascent, which are .8 to 1.4 of
the em square, and its font name may be that of a resource (`/F1`): by these, body text in one font
looks like a heading beside another. pdfium knows size and font of every character, so it is asked
once for each font and height.
"""

import ctypes
import math
import re
from dataclasses import dataclass, field

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.words import Style

_RESOURCE_NAME = re.compile(r"^/?[A-Z]{1,2}[\d_]+$|^/?$")
_BOLD = re.compile(r"bold|black|heavy|demi|cmbx|cmb\d|,b\b|-bd|semibd", re.IGNORECASE)
_ITALIC = re.compile(r"italic|oblique|slant|cmti|cmsl|-it\b|,i\b", re.IGNORECASE)
_MONOSPACE = re.compile(
    r"mono|courier|consol|typewriter|cmtt|menlo|inconsolata|fixed(?!width)|terminal|lucidacons|codepro|firacode",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"symbol|wingding|webding|dingbat|marlett", re.IGNORECASE)
_BOLD_FROM_WEIGHT = 600
_ITALIC_FLAG, _FORCE_BOLD = 1 << 6, 1 << 18
"""Font descriptor flags (ISO 32000-1, table 123); that of a fixed pitch is often set wrongly."""
_REACH_POINTS = 3.0
_LONGEST_NAME = 128
_PLAUSIBLE = (0.55, 2.2)
"""Between these shares of the cell's height lies every em square."""


@dataclass(slots=True)
class PageFonts:
    """The fonts of one page; `find` needs the page's own frame, from its lower left corner."""

    text_page: pypdfium2.PdfTextPage | None
    _known: dict[tuple[str, str, float], Style] = field(default_factory=dict)

    def style(self, key: str, name: str, height: float, at: tuple[float, float]) -> Style:
        """The style of a word of that cell height with its middle at that point."""
        known = self._known.get((key, name, round(height, 1)))
        if known is None:
            known = self._ask(key, name, height, at)
            self._known[key, name, round(height, 1)] = known
        return known

    def _ask(self, key: str, name: str, height: float, at: tuple[float, float]) -> Style:
        size, flags, weight = height, 0, 0
        index = -1
        if self.text_page is not None:
            index = pdfium.FPDFText_GetCharIndexAtPos(
                self.text_page.raw, at[0], at[1], _REACH_POINTS, _REACH_POINTS
            )
        if index >= 0 and self.text_page is not None:
            own_name, flags = _font_of(self.text_page, index)
            weight = pdfium.FPDFText_GetFontWeight(self.text_page.raw, index)
            em = em_of(self.text_page, index)
            if _PLAUSIBLE[0] * height < em < _PLAUSIBLE[1] * height:
                size = em
            if _RESOURCE_NAME.match(name):
                name = own_name
        return Style(
            font=f"{key} {name}",
            size=round(size, 2),
            bold=bool(_BOLD.search(name))
            or weight >= _BOLD_FROM_WEIGHT
            or bool(flags & _FORCE_BOLD),
            italic=bool(_ITALIC.search(name)) or bool(flags & _ITALIC_FLAG),
            monospace=bool(_MONOSPACE.search(name)),
            symbol=bool(_SYMBOL.search(name)),
        )


def _font_of(text_page: pypdfium2.PdfTextPage, index: int) -> tuple[str, int]:
    flags = ctypes.c_int()
    name = ctypes.create_string_buffer(_LONGEST_NAME)
    length = pdfium.FPDFText_GetFontInfo(text_page.raw, index, name, _LONGEST_NAME, flags)
    return (name.value.decode("utf-8", "replace") if length else ""), flags.value


def em_of(text_page: pypdfium2.PdfTextPage, index: int) -> float:
    """Height of a character's em square in points; 0 where pdfium does not say."""
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFText_GetMatrix(text_page.raw, index, matrix):
        return 0.0
    return float(pdfium.FPDFText_GetFontSize(text_page.raw, index) * math.hypot(matrix.c, matrix.d))

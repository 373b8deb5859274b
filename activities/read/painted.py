"""What pdfium knows of a page's painting: text outside of the page, or in its ground's colour."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.geometry import Box, Turn

MOST_OBJECTS = 5_000
"""Of a page with more, the rest is taken to be visible: drawings, not letters."""
DEEPEST_FORM = 3
SAME_COLOUR = 14
"""Largest difference of a channel (of 255) at which text cannot be told from its ground."""
TRANSPARENT = 12
"""Alpha (of 255) below which nothing is seen."""
MOST_GROUNDS = 400
MOST_RUNS = 200
SEGMENTS_OF_RECTANGLE = 6

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
_Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(slots=True)
class _Painter:
    """Follows the page's objects in the order in which they are painted."""

    frame: Box
    grounds: list[tuple[Box, Colour | None, bool]] = field(default_factory=list)
    unseen: list[Box] = field(default_factory=list)
    outside: list[Box] = field(default_factory=list)
    budget: int = MOST_OBJECTS

    def paint(self, drawn: object, matrix: _Matrix, depth: int) -> None:
        self.budget -= 1
        kind = pdfium.FPDFPageObj_GetType(drawn)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            self._text(drawn, matrix)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            self._path(drawn, matrix)
        elif kind == pdfium.FPDF_PAGEOBJ_FORM:
            if depth < DEEPEST_FORM:
                inner = _times(_matrix_of(drawn), matrix)
                for index in range(pdfium.FPDFFormObj_CountObjects(drawn)):
                    if self.budget <= 0:
                        return
                    self.paint(pdfium.FPDFFormObj_GetObject(drawn, index), inner, depth + 1)
        else:
            self._ground(_bounds(drawn, matrix), None)

    def _text(self, drawn: object, matrix: _Matrix) -> None:
        colour, box = _fill(drawn), _bounds(drawn, matrix)
        if box is None or colour is None:
            return
        if _is_outside(box, self.frame):
            self.outside.append(box)
            return
        red, green, blue, alpha = colour
        is_light = min(red, green, blue) >= 255 - SAME_COLOUR
        if alpha > TRANSPARENT and not is_light and not self.grounds:
            return  # dark on white: nearly all text there is
        if pdfium.FPDFTextObj_GetTextRenderMode(drawn) not in _FILLED_ONLY:
            return
        text = (red, green, blue)
        if alpha <= TRANSPARENT or all(
            ground is not None and _alike(text, ground) for ground in self._behind(box)
        ):
            self.unseen.append(box)

    def _path(self, drawn: object, matrix: _Matrix) -> None:
        mode, stroke = ctypes.c_int(), ctypes.c_int()
        if not pdfium.FPDFPath_GetDrawMode(drawn, mode, stroke) or not mode.value:
            return
        colour = _fill(drawn)
        if colour is None or colour[3] <= TRANSPARENT:
            return
        is_opaque = colour[3] >= 255 - TRANSPARENT
        is_solid = pdfium.FPDFPath_CountSegments(drawn) <= SEGMENTS_OF_RECTANGLE
        self._ground(_bounds(drawn, matrix), colour[:3] if is_opaque else None, is_solid)

    def _ground(self, box: Box | None, colour: Colour | None, is_solid: bool = True) -> None:
        """Remembers what covers the page there; a colour of None is not known. What is not solid
        lets what is behind it show in places: rules of a table are often one path."""
        if box is not None and box.width > 2 and box.height > 2:
            self.grounds.append((box, colour, is_solid))
            if len(self.grounds) > MOST_GROUNDS:
                del self.grounds[0]

    def _behind(self, box: Box) -> Iterator[Colour | None]:
        """The colours that may show behind the box, down to the first that covers it; None for one
        that is not known."""
        for ground, colour, is_solid in reversed(self.grounds):
            across = min(box.right, ground.right) - max(box.left, ground.left)
            down = min(box.bottom, ground.bottom) - max(box.top, ground.top)
            if across <= 0 or down <= 0:
                continue
            is_covered = across * down > 0.9 * box.width * box.height
            yield colour if is_covered else None  # partly covered: some of it shows
            if is_solid:
                return
        yield WHITE


_FILLED_ONLY = frozenset({pdfium.FPDF_TEXTRENDERMODE_FILL, pdfium.FPDF_TEXTRENDERMODE_FILL_CLIP})


@dataclass(frozen=True, slots=True)
class Unseen:
    """Boxes of text in the colour of its ground or without opacity, in the frame of contracts; and
    text that lies outside of the page, a run each."""

    same_colour: list[Box]
    off_page: list[str]


def unseen_text(page: pypdfium2.PdfPage) -> Unseen:
    """What nobody sees of a page, as far as its painting tells."""
    frame = page.get_bbox()
    painter = _Painter(Box(*frame))
    for drawn in _objects(page):
        if painter.budget <= 0:
            break
        painter.paint(drawn, _IDENTITY, 0)
    rotation = Turn(page.get_rotation() % 360)
    same_colour = [in_frame(box, frame, rotation) for box in painter.unseen]
    return Unseen(same_colour, _texts(page, painter.outside[:MOST_RUNS]))


def _texts(page: pypdfium2.PdfPage, boxes: list[Box]) -> list[str]:
    if not boxes:
        return []
    text_page = page.get_textpage()
    try:
        found = (
            text_page.get_text_bounded(box.left, box.top, box.right, box.bottom) for box in boxes
        )
        return [text for text in (" ".join(run.split()) for run in found) if text]
    finally:
        text_page.close()


def _is_outside(box: Box, frame: Box) -> bool:
    return (
        box.right <= frame.left
        or box.left >= frame.right
        or box.bottom <= frame.top
        or box.top >= frame.bottom
    )


def _objects(page: pypdfium2.PdfPage) -> Iterator[object]:
    for index in range(pdfium.FPDFPage_CountObjects(page.raw)):
        yield pdfium.FPDFPage_GetObject(page.raw, index)


def _fill(drawn: object) -> tuple[int, int, int, int] | None:
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not pdfium.FPDFPageObj_GetFillColor(drawn, red, green, blue, alpha):
        return None
    return red.value, green.value, blue.value, alpha.value


def _alike(first: Colour, second: Colour) -> bool:
    return all(abs(one - other) <= SAME_COLOUR for one, other in zip(first, second, strict=True))


def _bounds(drawn: object, matrix: _Matrix) -> Box | None:
    """In page space: points, y upwards."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(drawn, left, bottom, right, top):
        return None
    a, b, c, d, e, f = matrix
    return Box.around(
        [
            (a * x + c * y + e, b * x + d * y + f)
            for x in (left.value, right.value)
            for y in (bottom.value, top.value)
        ]
    )


def _matrix_of(drawn: object) -> _Matrix:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(drawn, matrix):
        return _IDENTITY
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return (
        a * p + b * r,
        a * q + b * s,
        c * p + d * r,
        c * q + d * s,
        e * p + f * r + t,
        e * q + f * s + u,
    )


def in_frame(box: Box, frame: tuple[float, float, float, float], rotation: Turn) -> Box:
    """From page space to what a reader sees: cropped, turned, y downwards."""
    left, bottom, right, top = frame
    width, height = right - left, top - bottom
    flat = Box(box.left - left, top - box.bottom, box.right - left, top - box.top)
    # A page turned by so many degrees shows as one whose text ran the other way.
    opposite = {
        Turn.RIGHT: Turn.RIGHT,
        Turn.DOWN: Turn.UP,
        Turn.LEFT: Turn.LEFT,
        Turn.UP: Turn.DOWN,
    }
    return flat.upright(opposite[rotation], width, height)

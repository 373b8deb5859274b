"""A page's content as docling-parse sees it: words, straight edges and pictures."""

import math
from collections.abc import Iterator

import pypdfium2
from docling_core.types.doc.page import PdfShape, PdfTextCell, SegmentedPdfPage, TextCell
from docling_parse.pdf_parser import (
    ContentConfig,
    ContentLevel,
    DoclingPdfParser,
    PdfDocument,
)

from activities.read.fonts import PageFonts
from activities.read.geometry import Box, Turn
from activities.read.second_opinion import SecondOpinion
from activities.read.words import Content, Word

_WORDS_ONLY = ContentConfig(
    char_cells_content_level=ContentLevel.COMPUTE,
    word_cells_content_level=ContentLevel.COMPUTE_AND_MATERIALIZE,
    line_cells_content_level=ContentLevel.SKIP,
    shapes_content_level=ContentLevel.SKIP,
    bitmaps_content_level=ContentLevel.COMPUTE_AND_MATERIALIZE,
    include_bitmap_bytes=False,
)
"""Line cells fuse table columns, and pixels cost several times the rest."""
_WITH_SHAPES = _WORDS_ONLY.model_copy(
    update={"shapes_content_level": ContentLevel.COMPUTE_AND_MATERIALIZE}
)
MOST_DRAWN_OBJECTS = 20_000
"""A page with more is a map or a plot: its shapes would take seconds, and rule no table."""
_HIDDEN_MODES = frozenset({3, 7})  # ISO 32000-1, table 106: neither filled nor stroked
_SIZE_TOLERANCE_POINTS = 2.0
UNKNOWN_SHARE = 0.15
_UNKNOWN = frozenset("\ufffd\0")
FOUND_SHARE = 0.35
"""pdfium counts spaces too, and text that is printed twice."""
_ASKEW_DEGREES = 10.0
_STRAIGHT_POINTS = 1.0
_SHORTEST_EDGE_POINTS = 3.0
_INVISIBLE_CHANNEL = 250


def parse(path: str, password: str | None) -> PdfDocument | None:
    """The document as docling-parse sees it; None when it cannot read it."""
    try:
        document = DoclingPdfParser(loglevel="fatal").load(path, password=password)
        return document if document.number_of_pages() > 0 else None
    except RuntimeError:  # it says no more than that; pdfium has the last word
        return None


def parsed_content(
    parsed: PdfDocument, number: int, page: pypdfium2.PdfPage, drawn_objects: int
) -> Content | None:
    """None where docling-parse fails, sees another page or other letters than pdfium, or no words that
    can be read."""
    config = _WITH_SHAPES if drawn_objects <= MOST_DRAWN_OBJECTS else _WORDS_ONLY
    try:
        content = parsed.get_page(number, content_config=config)
    except (RuntimeError, ValueError, IndexError, KeyError):
        return None
    finally:
        parsed.unload_pages((number, number + 1))
    width, height = page.get_size()
    frame = content.dimension.rect.to_bounding_box()
    if (
        abs(frame.width - width) > _SIZE_TOLERANCE_POINTS
        or abs(frame.height - height) > _SIZE_TOLERANCE_POINTS
        or not content.word_cells
    ):
        return None
    text_page = page.get_textpage()
    try:
        if not _reads_as_much(content, text_page.count_chars()):
            return None
        opinion = SecondOpinion(page, text_page)
        words = list(_words(content, page, PageFonts(text_page)))
        if opinion.contradicts(words):
            return None
        words = opinion.corrected(words)
    finally:
        text_page.close()
    return Content(words, list(_edges(content, height)), list(_pictures(content, height)))


def _reads_as_much(content: SegmentedPdfPage, pdfium_characters: int) -> bool:
    """Whether most characters are known, and not far fewer than pdfium finds."""
    text = "".join(cell.text for cell in content.word_cells)
    unknown = sum(1 for character in text if character in _UNKNOWN)
    if unknown > UNKNOWN_SHARE * len(text):
        return False
    return len(text) >= FOUND_SHARE * pdfium_characters


def _words(content: SegmentedPdfPage, page: pypdfium2.PdfPage, fonts: PageFonts) -> Iterator[Word]:
    """Cells are measured from the lower left corner of the crop box, wherever that lies."""
    height = page.get_height()
    for cell in content.word_cells:
        if not isinstance(cell, PdfTextCell):
            continue
        box = _box(cell, height)
        rect = cell.rect
        direction = math.degrees(math.atan2(rect.r_y0 - rect.r_y1, rect.r_x1 - rect.r_x0))
        turn = Turn(round(direction / 90) % 4 * 90)
        off = abs((direction - turn + 180) % 360 - 180)
        cell_height = math.hypot(rect.r_x3 - rect.r_x0, rect.r_y3 - rect.r_y0)
        yield Word(
            text=cell.text,
            box=box,
            style=fonts.style(cell.font_key, cell.font_name, cell_height, _page_space(box, page)),
            turn=turn,
            askew=off > _ASKEW_DEGREES,
            hidden=int(cell.rendering_mode) in _HIDDEN_MODES,
        )


def _box(cell: TextCell, height: float) -> Box:
    rect = cell.rect
    corners = [
        (rect.r_x0, rect.r_y0),
        (rect.r_x1, rect.r_y1),
        (rect.r_x2, rect.r_y2),
        (rect.r_x3, rect.r_y3),
    ]
    return Box.around([(x, height - y) for x, y in corners])


def _page_space(box: Box, page: pypdfium2.PdfPage) -> tuple[float, float]:
    """The box's middle where pdfium's text pages have it: neither cropped nor turned, y upwards."""
    left, bottom, right, top = page.get_bbox()
    x, y = (box.left + box.right) / 2, box.middle
    rotation = page.get_rotation()
    if rotation == 90:
        x, y = y, (top - bottom) - x
    elif rotation == 180:
        x, y = (right - left) - x, (top - bottom) - y
    elif rotation == 270:
        x, y = (right - left) - y, x
    return left + x, top - y


def _edges(content: SegmentedPdfPage, height: float) -> Iterator[Box]:
    for shape in content.shapes:
        if not _is_seen(shape):
            continue
        for start, end in shape.iterate_segments():
            across, down = abs(end.x - start.x), abs(end.y - start.y)
            if min(across, down) > _STRAIGHT_POINTS or max(across, down) < _SHORTEST_EDGE_POINTS:
                continue
            edge = Box.around([(start.x, height - start.y), (end.x, height - end.y)])
            if across >= down:
                yield Box(edge.left, edge.middle, edge.right, edge.middle)
            else:
                middle = (edge.left + edge.right) / 2
                yield Box(middle, edge.top, middle, edge.bottom)


def _is_seen(shape: PdfShape) -> bool:
    """Whether stroke or fill differs from white; which of both is painted is not told."""
    channels = (*shape.rgb_stroking.as_tuple()[:3], *shape.rgb_filling.as_tuple()[:3])
    return min(channels) < _INVISIBLE_CHANNEL


def _pictures(content: SegmentedPdfPage, height: float) -> Iterator[Box]:
    for bitmap in content.bitmap_resources:
        box = bitmap.rect.to_bounding_box()
        yield Box(box.l, height - box.t, box.r, height - box.b)

"""A page's content as pdfium sees it: runs of text, for pages that docling-parse cannot read."""

from collections.abc import Iterator

import pypdfium2

from activities.read.fonts import PageFonts
from activities.read.geometry import Box, Turn
from activities.read.painted import in_frame
from activities.read.words import Content, Word

MOST_RUNS = 50_000


def pdfium_content(page: pypdfium2.PdfPage) -> Content:
    """The page's words in pdfium's order; each gets its share of its run's box."""
    text_page = page.get_textpage()
    try:
        return Content(list(_words(page, text_page)))
    finally:
        text_page.close()


def _words(page: pypdfium2.PdfPage, text_page: pypdfium2.PdfTextPage) -> Iterator[Word]:
    fonts = PageFonts(text_page)
    frame = page.get_bbox()
    rotation = Turn(page.get_rotation() % 360)
    for index in range(min(text_page.count_rects(), MOST_RUNS)):
        x0, y0, x1, y1 = text_page.get_rect(index)
        text = text_page.get_text_bounded(x0, y0, x1, y1)
        run = in_frame(Box(x0, y0, x1, y1), frame, rotation)
        style = fonts.style(str(index), "", run.height, ((x0 + x1) / 2, (y0 + y1) / 2))
        for word, start, end in _shares(text):
            left, right = run.left + start * run.width, run.left + end * run.width
            yield Word(text=word, box=Box(left, run.top, right, run.bottom), style=style)


def _shares(text: str) -> Iterator[tuple[str, float, float]]:
    """The words, each with the shares of the text's length at which it starts and ends."""
    text = " ".join(text.split())
    start = 0
    for word in text.split():
        yield word, start / len(text), (start + len(word)) / len(text)
        start += len(word) + 1

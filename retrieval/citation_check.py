"""Whether a quote stands where its citation says: in the passage, and on which page."""

import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from muniment.contracts.documents import Line, PageBox
from retrieval.response import SearchHit

PageText = Callable[[UUID, int, int], Awaitable[str | None]]
"""(file id, version number, page) → the page's text as it was read, None when there is none."""

PageLines = Callable[[UUID, int, int], Awaitable[Sequence[Line]]]
"""(file id, version number, page) → the page's lines in reading order, with their boxes."""

MAX_PAGES_READ = 8
"""A passage fits the embedder's window: it spans a page or two."""

_HYPHEN_AT_LINE_END = re.compile(r"(?<=\w)[-‐\u00ad]\s*\n\s*(?=\w)")
_WHITE_SPACE = re.compile(r"\s+")


def folded(text: str) -> str:
    """Text as it is compared: NFKC, words joined that a line end had divided, and no white space,
    since layout decides where that stands; nor the bars that part a table's cells in a passage."""
    joined = _HYPHEN_AT_LINE_END.sub("", unicodedata.normalize("NFKC", text))
    return _WHITE_SPACE.sub("", joined.replace("\u00ad", "").replace("|", ""))


async def locate(hit: SearchHit, quote: str, page_text: PageText | None) -> tuple[int | None, bool]:
    """The page that the quote stands on (begins on, where it runs over), and whether that and the
    quote itself are proven.

    Without a reader only a passage of one page can be proven. What cannot keeps the passage's
    first page and is not verified.
    """
    first = hit.pages[0] if hit.pages else None
    if folded(quote) not in folded(hit.text):
        return first, False
    if page_text is None:
        return first, len(hit.pages) == 1
    texts = {
        page: folded(await page_text(hit.file_id, hit.version, page) or "")
        for page in hit.pages[:MAX_PAGES_READ]
    }
    page = _page_of(folded(quote), texts)
    return (page, True) if page is not None else (first, False)


def _page_of(quote: str, texts: dict[int, str]) -> int | None:
    for page, text in texts.items():
        if quote in text:
            return page
    for page, text in texts.items():
        if quote in text + texts.get(page + 1, ""):
            return page
    return None


async def boxes_of(
    hit: SearchHit, quote: str, page: int | None, page_lines: PageLines | None
) -> tuple[PageBox, ...]:
    """The boxes of the lines that hold the quote; the passage's boxes on that page where the lines
    do not tell."""
    of_passage = tuple(box for box in hit.boxes if box.page == page)
    if page_lines is None or page is None:
        return of_passage
    lines = await page_lines(hit.file_id, hit.version, page)
    return _boxes_of_lines(lines, quote, page) or of_passage


def _boxes_of_lines(lines: Sequence[Line], quote: str, page: int) -> tuple[PageBox, ...]:
    """Lines are joined as `folded` joins them, each knowing the stretch that came from it."""
    text = ""
    stretches: list[tuple[int, int, Line]] = []
    for line in lines:
        content = folded(line.text + "\n")
        if text.endswith(("-", "‐")) and content[:1].islower():
            text = text[:-1]
        stretches.append((len(text), len(text) + len(content), line))
        text += content
    wanted = folded(quote)
    start = text.find(wanted)
    if start < 0 or not wanted:
        return ()
    end = start + len(wanted)
    return tuple(
        PageBox(page=page, bbox=line.bbox)
        for first, last, line in stretches
        if line.bbox is not None and first < end and last > start
    )

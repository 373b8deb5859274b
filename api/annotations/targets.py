"""What an annotation is made on: looked up on the page as it is read now, and proven."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from api.annotations.schemas import MAX_QUOTE_CHARACTERS, NewQuote, NewTarget
from db.models import PageRow
from muniment.contracts.documents import BoundingBox, Page
from muniment.errors import Unprocessable
from retrieval.anchors.boxes import boxes_of, words_in
from retrieval.anchors.folding import digest, fold
from retrieval.anchors.quotes import (
    MOST_OCCURRENCES,
    MOST_QUOTED,
    Quote,
    StandTooOften,
    locate,
    quote_at,
)

MOST_CHARACTERS = 1_000_000
"""Of a page, in which words are looked up within two seconds. Texts without pages may have more."""

_PROVERS = ThreadPoolExecutor(2, thread_name_prefix="quotes")
"""Pages that are looked through at a time: each takes computing from all that the process answers."""


@dataclass(frozen=True)
class ProvenTarget:
    """A region, words, or both, of a page of this shape."""

    page: PageRow
    region: BoundingBox | None
    quote: Quote | None
    page_digest: bytes
    boxes: list[BoundingBox] = field(default_factory=list)


async def prove(row: PageRow | None, page: Page | None, target: NewTarget) -> ProvenTarget:
    """The target with its offsets and boxes. Raises Unprocessable for what is not on the page."""
    if row is None:
        raise _wrong("page", f"this version has no page {target.page}")
    if target.region is not None:
        _require_on_page(row, target.region)
    if page is None:
        if target.quote is not None:
            raise _wrong("quote", "the page could not be read, so that no words of it are known")
        return ProvenTarget(row, target.region, None, digest(""))
    if len(page.text) > MOST_CHARACTERS:
        raise _wrong(
            "page",
            f"the page has more than {MOST_CHARACTERS} characters",
            remedy="Annotate the whole file: leave `target` out.",
        )
    return await asyncio.get_running_loop().run_in_executor(_PROVERS, _proven, row, page, target)


def _proven(row: PageRow, page: Page, target: NewTarget) -> ProvenTarget:
    if target.quote is not None:
        quote: Quote | None = _the_one(page, target.quote)
    else:
        quote = _words_beneath(page, target.region)
    boxes = [] if quote is None else boxes_of(page.text, page.lines, quote.start, quote.end)
    page_digest = digest(fold(page.text))
    return ProvenTarget(row, target.region, quote, page_digest, boxes)


def _the_one(page: Page, wanted: NewQuote) -> Quote:
    start = wanted.start
    if start is not None:
        start += len(wanted.exact) - len(wanted.exact.lstrip())
    try:
        found = locate(
            page.page, page.text, wanted.exact, wanted.prefix, wanted.suffix, start=start
        )
    except StandTooOften:
        raise _wrong(
            "quote",
            f"these words stand on page {page.page} more than {MOST_OCCURRENCES} times",
            remedy="Quote more of what stands around them.",
        ) from None
    if not found:
        raise _wrong(
            "quote",
            f"these words do not stand on page {page.page} so",
            remedy="Copy them from the page's `text` as this version gives it.",
        )
    if len(found) > 1:
        raise _wrong(
            "quote",
            f"these words stand more than once on page {page.page}",
            remedy="Say which are meant by `prefix`, `suffix` or `start`.",
        )
    if len(found[0].exact) > MOST_QUOTED:
        raise _wrong(
            "quote",
            f"these words stand in more than {MOST_QUOTED} characters with the white space between them",
            remedy="Quote fewer of them.",
        )
    return found[0]


def _words_beneath(page: Page, region: BoundingBox | None) -> Quote | None:
    """None where there are none, or so many that they are no quote: the region goes by its page then."""
    stretch = None if region is None else words_in(page.text, page.lines, region)
    if stretch is None or stretch[1] - stretch[0] > MAX_QUOTE_CHARACTERS:
        return None
    return quote_at(page.page, page.text, *stretch)


def _require_on_page(row: PageRow, region: BoundingBox) -> None:
    if row.width == 0 or row.height == 0:
        raise _wrong(
            "region",
            "this format has no pages with boxes, or the page could not be read",
            remedy="Annotate words of it by `quote`, or the whole file.",
        )
    if region[2] > row.width or region[3] > row.height:
        raise _wrong("region", f"the page is {row.width:g} × {row.height:g} points")


def _wrong(field_name: str, detail: str, remedy: str | None = None) -> Unprocessable:
    return Unprocessable(
        detail, remedy=remedy, errors=[{"field": f"target.{field_name}", "detail": detail}]
    )

"""A second OCR engine for the pages that the first one is unsure of."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from activities.read.collector import OnPage
from muniment.contracts.documents import DocumentPlan, Page, PageBatch
from muniment.contracts.read import FailedPage
from muniment.errors import EngineError

logger = logging.getLogger(__name__)


class OcrReader(Protocol):
    """What recognises pages for a worker: the engines in its sandbox, or a service."""

    async def read_ocr(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """As DocumentEngines.read_ocr."""


class SecondOcr:
    """Pages that `first` reads with a confidence below `below` are read by `second` too; the reading
    that is surer of itself is kept, unless it has less than half of the other's text. A page on which
    no line is found, or of whose lines the engine says nothing, is not doubted."""

    def __init__(self, first: OcrReader, second: OcrReader, below: float) -> None:
        self._first = first
        self._second = second
        self._below = below

    async def read_ocr(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """As DocumentEngines.read_ocr. A page that `second` fails at stays as `first` read it."""
        unsure: dict[int, Page] = {}

        async def sort(page: Page) -> None:
            if page.confidence is not None and page.confidence < self._below:
                unsure[page.page] = page
            elif on_page is not None:
                await on_page(page)

        batch, failed = await self._first.read_ocr(content, plan, pages, password, sort)
        if not unsure:
            return batch, failed
        settled: dict[int, Page] = {}

        async def settle(page: Page) -> None:
            settled[page.page] = page
            if on_page is not None:
                await on_page(page)

        async def choose(page: Page) -> None:
            await settle(_surer(unsure[page.page], page))

        try:
            await self._second.read_ocr(content, plan, sorted(unsure), password, choose)
        except EngineError as error:
            logger.warning("doubtful pages were not read again", extra={"reason": error.problem})
        for number in sorted(unsure.keys() - settled.keys()):
            await settle(unsure[number])
        chosen = tuple(settled.get(page.page, page) for page in batch.pages)
        return batch.model_copy(update={"pages": chosen}), failed


def _surer(first: Page, second: Page) -> Page:
    has_text = 2 * len(second.text) >= len(first.text)
    return second if has_text and (second.confidence or 0) > (first.confidence or 0) else first

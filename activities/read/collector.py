"""Gathers what the reading engines report, page by page, on the worker's side."""

from collections.abc import Awaitable, Callable, Collection, Sequence

from activities.assemble.calls import DOCUMENT_NAME, AssembledDocument, AssembleRequest
from activities.read.calls import ReadOutcome, ReadProgress
from activities.sandbox import decoded
from muniment.contracts.documents import DocumentPlan, Page, PageBatch
from muniment.contracts.read import FailedPage

OnPage = Callable[[Page], Awaitable[None]]
"""Called with each page as soon as it was read, in the order of reading."""
OnDocument = Callable[[AssembledDocument], None]
"""Called once at most, after the last page, with the document put together of all pages."""


class PageCollector:
    """Pages read and failed so far, and the document that a structured format brought along."""

    def __init__(self, on_page: OnPage | None, on_document: OnDocument | None = None) -> None:
        self.document: str | None = None
        self._on_document = on_document
        self._on_page = on_page
        self._pages: dict[int, Page] = {}
        self._failed: dict[int, FailedPage] = {}

    def wish(self, plan: DocumentPlan, pages: Sequence[int]) -> AssembleRequest | None:
        """What is asked for beside the pages: the document, where they are all of it and somebody
        takes it."""
        if self._on_document is None or len(pages) < plan.page_count:
            return None
        return AssembleRequest(plan=plan, name=DOCUMENT_NAME)

    def conclude(self, outcome: ReadOutcome, wish: AssembleRequest | None) -> None:
        """The engine's answer, after all that it reported. A document that nobody wished for, or that
        lacks a page, is not taken, whatever the engine says."""
        if self._on_document is None or wish is None or outcome.assembled is None:
            return
        if not self._failed and not self.missing(range(1, wish.plan.page_count + 1)):
            self._on_document(outcome.assembled)

    async def take(self, frame: bytes) -> None:
        """One ReadProgress as JSON; raises EngineCrashed for anything else."""
        progress = decoded(ReadProgress, frame)
        self.document = progress.document or self.document
        if progress.failed is not None:
            self._failed[progress.failed.page] = progress.failed
        if progress.page is not None:
            self._pages[progress.page.page] = progress.page
            if self._on_page is not None:
                await self._on_page(progress.page)

    def fail(self, page: int, problem: str) -> None:
        """The page cannot be read."""
        self._failed[page] = FailedPage(page=page, problem=problem)

    def missing(self, pages: Sequence[int], without: Collection[int] = ()) -> list[int]:
        """Those of `pages` that are neither read, nor failed, nor left out by the caller."""
        settled = {*self._pages, *self._failed, *without}
        return [page for page in pages if page not in settled]

    def result(self) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """Everything, in the pages' order."""
        pages = tuple(self._pages[number] for number in sorted(self._pages))
        failed = tuple(self._failed[number] for number in sorted(self._failed))
        return PageBatch(pages=pages, document=self.document), failed

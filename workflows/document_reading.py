"""The stage `read` of a whole document: here, or by child workflows where it is long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from muniment.contracts.base import VersionReference
from muniment.contracts.documents import READ_BY_PAGE
from muniment.contracts.inspect import InspectResult
from muniment.contracts.page_ranges import clip_ranges
from muniment.contracts.read import ReadPagesInput, ReadPagesResult
from workflows import policies
from workflows.batches import batches_of
from workflows.read_pages import ReadPages
from workflows.reading import Reading
from workflows.steering import Steering

SHORTER_PAGE_RANGES = "shorter-page-ranges"
"""Patch of 2026-11: before it, a child workflow read 2,000 pages."""


@contextmanager
def _unless_over() -> Iterator[None]:
    """A child that has ended a moment ago takes no signal, and needs none."""
    try:
        yield
    except FailureError:
        workflow.logger.info("the pages were read already")


class DocumentReading:
    """Reads every page; pauses and priorities are passed on to the children."""

    def __init__(
        self,
        version: VersionReference,
        plan: InspectResult,
        steering: Steering,
        on_pages: Callable[[ReadPagesResult], None],
    ) -> None:
        self._version = version
        self._plan = plan
        self._steering = steering
        self._on_pages = on_pages
        self._child: ChildWorkflowHandle[ReadPages, ReadPagesResult] | None = None

    async def read(self) -> ReadPagesResult:
        """The counts over all pages; `on_pages` hears of them as they grow."""
        child_pages = self._child_pages()
        if self._plan.page_count > child_pages and self._plan.family in READ_BY_PAGE:
            return await self._read_by_children(child_pages)
        reading = Reading(
            self._version,
            self._plan.plan,
            self._steering,
            self._on_pages,
            gpu_wait_seconds=self._plan.gpu_wait_seconds,
        )
        return await reading.read(batches_of(self._plan))

    async def pause(self) -> None:
        if self._child is not None:
            with _unless_over():
                await self._child.signal(ReadPages.pause)

    async def resume(self) -> None:
        if self._child is not None:
            with _unless_over():
                await self._child.signal(ReadPages.resume)

    async def reprioritise(self, level: int) -> None:
        if self._child is not None:
            with _unless_over():
                await self._child.signal(ReadPages.reprioritise, level)

    def _child_pages(self) -> int:
        # Short documents, nearly all, are spared the mark in their histories.
        if self._plan.page_count <= policies.CHILD_PAGES:
            return policies.CHILD_PAGES
        if workflow.patched(SHORTER_PAGE_RANGES):
            return policies.CHILD_PAGES
        return policies.FORMER_CHILD_PAGES

    async def _read_by_children(self, child_pages: int) -> ReadPagesResult:
        """One page range after the other: each keeps a full window in flight, so that more at once
        would only take slots from other documents."""
        total = ReadPagesResult()
        for first in range(1, self._plan.page_count + 1, child_pages):
            await self._steering.unpaused()
            level = self._steering.level
            self._child = await self._start_child(first, child_pages)
            # What was said while it started did not reach it.
            if self._steering.paused:
                await self.pause()
            if self._steering.level != level:
                await self.reprioritise(self._steering.level)
            part = await self._child
            self._child = None
            total = total.plus(part)
            self._on_pages(total)
        return total

    async def _start_child(
        self, first_page: int, child_pages: int
    ) -> ChildWorkflowHandle[ReadPages, ReadPagesResult]:
        last_page = min(first_page + child_pages - 1, self._plan.page_count)
        version = self._version
        return await workflow.start_child_workflow(
            ReadPages.run,
            ReadPagesInput(
                version=version,
                plan=self._plan.plan,
                first_page=first_page,
                last_page=last_page,
                document_pages=self._plan.page_count,
                ocr_pages=clip_ranges(self._plan.ocr_pages, first_page, last_page),
                priority=self._steering.level,
                gpu_wait_seconds=self._plan.gpu_wait_seconds,
            ),
            id=f"read-{version.version_id}-{version.job_id}-{first_page}",
            # A parent that ends in failure takes its engines with it, orderly.
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            static_summary=f"pages {first_page}–{last_page}",
            priority=self._steering.priority,
        )

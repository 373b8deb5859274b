"""The stage `read` of a page range: batches, a bounded window of them in flight."""

import asyncio
from collections.abc import Callable

from temporalio import workflow

from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.read import (
    ReadActivities,
    ReadBatchInput,
    ReadBatchResult,
    ReadPagesResult,
)
from workflows.batches import Batch
from workflows.policies import READ_OCR, READ_TEXT, WINDOW
from workflows.steering import Steering


class Reading:
    """Reads batches and counts their pages; `on_batch` hears after each."""

    def __init__(
        self,
        version: VersionReference,
        plan: Artifact,
        steering: Steering,
        on_batch: Callable[[ReadPagesResult], None] = lambda _: None,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._version = version
        self._plan = plan
        self._steering = steering
        self._on_batch = on_batch
        self._has_room = has_room
        self.result = ReadPagesResult()
        self.left: list[Batch] = []
        """The batches at the end that were not begun, since the history had no more room."""

    async def read(self, batches: list[Batch]) -> ReadPagesResult:
        """All batches, at most WINDOW at a time. When one fails for good the others are cancelled
        and gone before the failure leaves here."""
        window = asyncio.Semaphore(WINDOW)

        async def in_window(batch: Batch) -> None:
            async with window:
                if self.left or not self._has_room():
                    self.left.append(batch)
                    return
                self._add(await self._steering.when_unpaused(lambda: self._batch(batch)))

        tasks = [asyncio.create_task(in_window(batch)) for batch in batches]
        try:
            for finished in workflow.as_completed(tasks):
                await finished
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await workflow.wait(tasks)
        return self.result

    async def _batch(self, batch: Batch) -> ReadBatchResult:
        policy = READ_OCR if batch.needs_ocr else READ_TEXT
        return await workflow.execute_activity_method(
            ReadActivities.read_pages,
            ReadBatchInput(
                version=self._version,
                plan=self._plan,
                first_page=batch.first_page,
                last_page=batch.last_page,
            ),
            **self._steering.configured(policy, f"pages {batch.first_page}–{batch.last_page}"),
        )

    def _add(self, batch: ReadBatchResult) -> None:
        self.result = self.result.plus(
            ReadPagesResult(
                pages_done=batch.pages_done,
                pages_reused=batch.pages_reused,
                pages_failed=len(batch.failed),
            )
        )
        self._on_batch(self.result)

"""The stage `read` of a page range: batches, a bounded window of them in flight."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception
from temporalio.workflow import ActivityConfig

from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.read import (
    ReadActivities,
    ReadBatchInput,
    ReadBatchResult,
    ReadPagesResult,
)
from workflows.batches import Batch
from workflows.endings import to_the_end
from workflows.failures import is_erased, is_paused
from workflows.policies import (
    GPU_RECOVERY,
    READ_OCR,
    READ_TEXT,
    WHOLE_HEARTED,
    Pace,
    read_gpu,
)
from workflows.steering import Steering


class Reading:
    """Reads batches and counts their pages; `on_batch` hears after each.

    With `gpu_wait_seconds`, batches that need OCR go to the GPU queue first, and to the CPU queue
    when they wait there for longer or fail there.
    """

    def __init__(
        self,
        version: VersionReference,
        plan: Artifact,
        steering: Steering,
        on_batch: Callable[[ReadPagesResult], None] = lambda _: None,
        gpu_wait_seconds: float | None = None,
        has_room: Callable[[], bool] = lambda: True,
        pace: Pace = WHOLE_HEARTED,
    ) -> None:
        self._version = version
        self._plan = plan
        self._steering = steering
        self._on_batch = on_batch
        self._gpu_wait = None if gpu_wait_seconds is None else timedelta(seconds=gpu_wait_seconds)
        self._gpu_again_at: datetime | None = None
        self._has_room = has_room
        self._pace = pace
        self.result = ReadPagesResult()
        self.left: list[Batch] = []
        """The batches at the end that were not begun, since the history had no more room."""

    async def read(self, batches: list[Batch]) -> ReadPagesResult:
        """All batches, at most the pace's window at a time. When one fails for good the others are cancelled
        and gone before the failure leaves here."""
        window = asyncio.Semaphore(self._pace.window)

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
        except (FailureError, asyncio.CancelledError):
            for task in tasks:
                task.cancel()
            await to_the_end(workflow.wait(tasks))
            raise
        return self.result

    async def _batch(self, batch: Batch) -> ReadBatchResult:
        if not batch.needs_ocr:
            return await self._read(batch, self._pace.of(READ_TEXT))
        if self._gpu_wait is not None and self._may_use_gpu():
            try:
                return await self._read(batch, read_gpu(self._gpu_wait))
            except ActivityError as error:
                if is_cancelled_exception(error) or is_paused(error) or is_erased(error):
                    raise
                # Whatever it was, the CPU queue depends on less: pages already read are kept, and
                # what is the document's own fault will come out there, too.
                self._gpu_again_at = workflow.now() + GPU_RECOVERY
        return await self._read(batch, self._pace.of(READ_OCR))

    def _may_use_gpu(self) -> bool:
        return self._gpu_again_at is None or workflow.now() >= self._gpu_again_at

    async def _read(self, batch: Batch, policy: ActivityConfig) -> ReadBatchResult:
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

"""Thousands of files, a bounded number of them at work at a time."""

import asyncio
from collections.abc import Coroutine
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import (
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from muniment.contracts.ingest_batch import (
    CANCEL_UPDATE,
    PAUSE_UPDATE,
    RESUME_UPDATE,
    STOP_SIGNAL,
    WORKFLOW,
    AdmitInput,
    AdmittedFile,
    BatchActivities,
    BatchReference,
    BatchState,
    ImportActivities,
    IngestBatchInput,
    RecordBatchInput,
    RunningFile,
    TakeInInput,
    WatchInput,
)
from muniment.errors import Conflict
from workflows import policies
from workflows.endings import to_the_end
from workflows.failures import failure, problem
from workflows.ingestion_child import start_ingestion_child
from workflows.steering import Steering

CANCELLED_ACTIVITY = "cancelled-activity"
"""Patch of 2026-11: before it, a batch that was cancelled while an activity ran ended as failed."""


@workflow.defn(name=WORKFLOW)
class IngestBatch:
    """Pausing and cancelling govern what is not begun; cancelling ends what is at work, too.

    The ingestions are children that outlive it: each is a job of its own, whose row says how it
    fared. So the window is carried through a continuation as new.
    """

    @workflow.init
    def __init__(self, request: IngestBatchInput) -> None:
        self._request = request
        self._steering = Steering(request.priority, str(request.tenant_id), paused=request.paused)
        self._listed = request.listed
        self._running = {file.job_id: file.workflow_id for file in request.running}
        self._stopped = request.stopped
        self._is_last = False
        self._ended = False
        self._recording = asyncio.Lock()

    @workflow.run
    async def run(self, request: IngestBatchInput) -> BatchState:
        try:
            state = await self._work()
        except (asyncio.CancelledError, FailureError) as error:
            # An activity that was cancelled fails with its cancellation as the cause.
            if isinstance(error, FailureError) and not (
                is_cancelled_exception(error) and workflow.patched(CANCELLED_ACTIVITY)
            ):
                await to_the_end(self._end(BatchState.FAILED))
                raise
            await to_the_end(self._stop_running())
            await to_the_end(self._end(BatchState.CANCELLED))
            raise
        await to_the_end(self._end(state))
        return state

    async def _work(self) -> BatchState:
        await self._record()
        if self._request.imports and not self._listed:
            await self._unless_stopped(self._list())
        while not self._stopped:
            if not self._steering.paused:
                await self._fill_window()
                if self._is_last and not self._running:
                    return BatchState.COMPLETED
            await self._wait_for_news()
            await self._continue_when_long()
        await self._stop_running()
        return BatchState.CANCELLED

    async def _fill_window(self) -> None:
        free = policies.BATCH_WINDOW - len(self._running)
        if free <= 0 or self._is_last:
            return
        if self._request.imports:
            await self._unless_stopped(self._take_in(free))
        admitted = await workflow.execute_activity_method(
            BatchActivities.admit_files,
            AdmitInput(
                tenant_id=self._request.tenant_id,
                batch_id=self._request.batch_id,
                running=tuple(self._running),
                # What became files before a stop is begun still, so that it can be cancelled.
                limit=0 if self._stopped else free,
            ),
            **self._steering.configured(policies.ADMIT, f"{free} places"),
        )
        self._is_last = admitted.is_last
        for file in admitted.files:
            if file.starts:
                await self._start(file)
            self._running[file.version.job_id] = file.workflow_id

    async def _start(self, file: AdmittedFile) -> None:
        try:
            child = await start_ingestion_child(file.version, file.workflow_id, self._steering)
        except WorkflowAlreadyStartedError:
            # The reconciler was quicker.
            return
        # How it ends is read from its job's row; nobody awaits the child itself.
        child.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _list(self) -> None:
        await workflow.execute_activity_method(
            ImportActivities.list_objects,
            BatchReference(tenant_id=self._request.tenant_id, batch_id=self._request.batch_id),
            **self._steering.configured(policies.LIST_OBJECTS, "the source"),
        )
        self._listed = True

    async def _take_in(self, limit: int) -> None:
        await workflow.execute_activity_method(
            ImportActivities.take_in_objects,
            TakeInInput(
                tenant_id=self._request.tenant_id, batch_id=self._request.batch_id, limit=limit
            ),
            **self._steering.configured(policies.TAKE_IN, f"{limit} at most"),
        )

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Carries the work out; cancels it when the batch is."""
        working = asyncio.create_task(work)
        try:
            await workflow.wait_condition(lambda: working.done() or self._stopped)
        finally:
            working.cancel()
            await workflow.wait([working])
        failed = None if working.cancelled() else working.exception()
        if failed is not None and not self._stopped:
            raise failed

    async def _wait_for_news(self) -> None:
        """Until an ingestion is over, or a person said something."""
        if not self._running:
            await workflow.wait_condition(lambda: self._stopped or not self._steering.paused)
            return
        paused = self._steering.paused
        watching = asyncio.create_task(self._watch(tuple(self._running)))
        try:
            await workflow.wait_condition(
                lambda: watching.done() or self._stopped or self._steering.paused != paused
            )
        except asyncio.CancelledError:
            watching.cancel()
            await to_the_end(workflow.wait([watching]))
            raise
        watching.cancel()
        await workflow.wait([watching])
        if not watching.cancelled() and watching.exception() is None:
            for job_id in watching.result():
                self._running.pop(job_id, None)
        elif not (watching.cancelled() or self._stopped or self._steering.paused != paused):
            watching.result()

    async def _watch(self, job_ids: tuple[UUID, ...]) -> tuple[UUID, ...]:
        request = WatchInput(tenant_id=self._request.tenant_id, job_ids=job_ids)
        result = await workflow.execute_activity_method(
            BatchActivities.watch_jobs,
            request,
            **self._steering.configured(policies.WATCH, f"{len(job_ids)} at work"),
        )
        return result.over

    async def _stop_running(self) -> None:
        for workflow_id in self._running.values():
            try:
                await workflow.get_external_workflow_handle(workflow_id).cancel()
            except FailureError:
                workflow.logger.info("ingestion already over", extra={"workflow_id": workflow_id})
        until = workflow.now() + policies.INGESTION_END
        while self._running and workflow.now() < until:
            for job_id in await self._watch(tuple(self._running)):
                self._running.pop(job_id, None)

    async def _continue_when_long(self) -> None:
        if workflow.info().get_current_history_length() < policies.HISTORY_EVENTS:
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        running = tuple(
            RunningFile(job_id=job_id, workflow_id=workflow_id)
            for job_id, workflow_id in self._running.items()
        )
        workflow.continue_as_new(
            self._request.model_copy(
                update={
                    "running": running,
                    "listed": self._listed,
                    "paused": self._steering.paused,
                    "stopped": self._stopped,
                }
            )
        )

    # ── messages ────────────────────────────────────────────────────────────────────────────────

    @workflow.update(name=PAUSE_UPDATE)
    async def pause(self) -> None:
        """No further file begins; those at work go on to their end."""
        self._steering.paused = True
        await self._record()

    @workflow.update(name=RESUME_UPDATE)
    async def resume(self) -> None:
        self._steering.paused = False
        await self._record()

    @workflow.update(name=CANCEL_UPDATE)
    async def cancel(self) -> None:
        """Returns at once; the batch is over when its ingestions are."""
        self._stopped = True

    @pause.validator
    def _may_pause(self) -> None:
        self._refuse_when_stopped()

    @resume.validator
    def _may_resume(self) -> None:
        self._refuse_when_stopped()

    @workflow.signal(name=STOP_SIGNAL)
    def stop(self) -> None:
        self._stopped = True

    def _refuse_when_stopped(self) -> None:
        if self._stopped or self._ended:
            raise failure(problem(Conflict("The batch is being cancelled, or is over.")))

    # ── bookkeeping ─────────────────────────────────────────────────────────────────────────────

    async def _end(self, state: BatchState) -> None:
        self._ended = True
        await self._write(state)
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _record(self) -> None:
        paused = self._steering.paused
        await self._write(BatchState.PAUSED if paused else BatchState.RUNNING)

    async def _write(self, state: BatchState) -> None:
        """One at a time: the row follows the order of what happened."""
        async with self._recording:
            await workflow.execute_activity_method(
                BatchActivities.record_batch,
                RecordBatchInput(
                    tenant_id=self._request.tenant_id,
                    batch_id=self._request.batch_id,
                    state=state,
                ),
                **self._steering.configured(policies.RECORD, state.value),
            )

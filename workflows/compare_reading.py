"""Reads a published version by a candidate and compares the two readings; the file stays as it is."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.assemble import AssembleActivities, AssembleInput, AssembleResult
from muniment.contracts.compare_reading import (
    WORKFLOW,
    CompareActivities,
    CompareInput,
    CompareReadingInput,
    CompareReadingResult,
    CompareResult,
    ComparisonPlan,
)
from muniment.contracts.erase_file import ERASURE_SIGNAL
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobProgress, JobState, Problem, StageName
from muniment.contracts.lifecycle import LifecycleActivities, RecordProgressInput
from muniment.contracts.read import ReadPagesResult
from muniment.contracts.search_attributes import OUTCOME
from muniment.errors import DamagedDocument
from workflows import policies
from workflows.batches import batches_of
from workflows.endings import to_the_end
from workflows.failures import failure, is_withdrawn, problem, problem_of
from workflows.reading import Reading
from workflows.steering import Steering


@workflow.defn(name=WORKFLOW)
class CompareReading:
    """Ends completed, failed with the problem, or cancelled: then nothing of it is left, whether it
    was told to stop or the file was taken away."""

    @workflow.init
    def __init__(self, request: CompareReadingInput) -> None:
        self._version = request.version
        # A turn of its own: what the tenant itself gave the last priority does not queue behind it.
        self._steering = Steering(request.priority, f"{request.version.tenant_id}/aside")
        self._stage = StageName.READ
        self._read = ReadPagesResult()
        self._main: asyncio.Task[CompareResult] | None = None
        self._is_erased = False

    @workflow.run
    async def run(self, request: CompareReadingInput) -> CompareReadingResult:
        self._main = asyncio.create_task(self._compare())
        try:
            result = await self._main
        except (FailureError, asyncio.CancelledError) as error:
            is_over = self._is_erased or is_withdrawn(error)
            if not (is_over or is_cancelled_exception(error)):
                known = problem_of(error)
                await to_the_end(self._record(JobState.FAILED, known))
                raise failure(known) from error
            await to_the_end(self._withdraw())
            if not is_over:
                raise
            return CompareReadingResult(state=JobState.CANCELLED)
        await to_the_end(self._record(JobState.COMPLETED))
        return CompareReadingResult(state=JobState.COMPLETED, pages_compared=result.pages_compared)

    async def _compare(self) -> CompareResult:
        plan = await self._plan()
        await self._read_pages(plan.inspected)
        self._stage = StageName.ASSEMBLE
        document = await self._assemble(plan.inspected)
        request = CompareInput(
            version=self._version,
            present_job_id=plan.present_job_id,
            document=document.document,
        )
        return await workflow.execute_activity_method(
            CompareActivities.compare_readings, request, **self._aside(policies.COMPARE, "compare")
        )

    async def _plan(self) -> ComparisonPlan:
        return await workflow.execute_activity_method(
            CompareActivities.plan_comparison,
            self._version,
            **self._steering.configured(policies.RECORD, "plan"),
        )

    async def _read_pages(self, inspected: InspectResult) -> None:
        reading = Reading(self._version, inspected.plan, self._steering, pace=policies.ASIDE)
        self._read = await reading.read(batches_of(inspected))
        if self._read.pages_done == 0:
            raise failure(problem(DamagedDocument("The candidate could not read a single page.")))

    async def _assemble(self, inspected: InspectResult) -> AssembleResult:
        return await workflow.execute_activity_method(
            AssembleActivities.assemble_document,
            AssembleInput(version=self._version, plan=inspected.plan),
            **self._aside(policies.ASSEMBLE, "assemble"),
        )

    def _aside(self, policy: workflow.ActivityConfig, summary: str) -> workflow.ActivityConfig:
        return self._steering.configured(policies.ASIDE.of(policy), summary)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    async def _withdraw(self) -> None:
        """The job's end first: an activity that is still at work then keeps nothing any more."""
        await self._record(JobState.CANCELLED)
        await workflow.execute_activity_method(
            CompareActivities.withdraw_comparison,
            self._version,
            **self._steering.configured(policies.WITHDRAW, "withdraw"),
        )

    async def _record(self, state: JobState, error: Problem | None = None) -> None:
        workflow.upsert_search_attributes([OUTCOME.value_set(state.value)])
        progress = JobProgress(
            job_id=self._version.job_id,
            state=state,
            stage=self._stage,
            degraded=self._read.pages_failed > 0,
            priority=self._steering.level,
            error=error,
        )
        await workflow.execute_activity_method(
            LifecycleActivities.record_progress,
            RecordProgressInput(version=self._version, progress=progress),
            **self._steering.configured(policies.RECORD, state.value),
        )

    @workflow.signal(name=ERASURE_SIGNAL)
    def erasure_requested(self) -> None:
        """The file is being erased: the comparison stops and leaves nothing."""
        self._is_erased = True
        if self._main is not None:
            self._main.cancel()

"""An index version is built from stored passages, batch by batch, and measured."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from muniment.contracts.reindex import (
    LOOK,
    WORKFLOW,
    EndReindexInput,
    FillState,
    Outcome,
    ReindexActivities,
    ReindexInput,
)
from workflows.endings import to_the_end
from workflows.policies import EVALUATE_INDEX, FILL, FILL_BATCHES, FILL_PAUSE, RECORD


@workflow.defn(name=WORKFLOW)
class Reindex:
    """Keeps nothing between batches: the index version's row knows what is left, and whether it is paused
    or cancelled."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=LOOK)
    def look(self) -> None:
        self._is_woken = True

    @workflow.run
    async def run(self, request: ReindexInput) -> None:
        try:
            state = await self._fill(request)
            if state is FillState.FILLED:
                await workflow.execute_activity_method(
                    ReindexActivities.evaluate_index, request, **EVALUATE_INDEX
                )
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await to_the_end(self._end(request, Outcome.CANCELLED))
            elif _is_in_vain(error):
                await to_the_end(self._end(request, Outcome.FAILED))
            # Else what was made stays, and a worker starts it again.
            raise
        if state is FillState.MORE:
            workflow.continue_as_new(request)

    async def _fill(self, request: ReindexInput) -> FillState:
        """How it ended; `more` when it is time to continue as new."""
        for _ in range(FILL_BATCHES):
            self._is_woken = False
            filled = await workflow.execute_activity_method(
                ReindexActivities.fill_index, request, **FILL
            )
            if filled.state is FillState.PAUSED:
                await self._woken()
            elif filled.state is not FillState.MORE:
                return filled.state
        return FillState.MORE

    async def _woken(self) -> None:
        """Until somebody lets it go on. A signal may be lost with the API: it looks by itself too."""
        try:
            await workflow.wait_condition(lambda: self._is_woken, timeout=FILL_PAUSE)
        except TimeoutError:
            return

    async def _end(self, request: ReindexInput, outcome: Outcome) -> None:
        end = EndReindexInput(
            tenant_id=request.tenant_id,
            index_version_id=request.index_version_id,
            outcome=outcome,
        )
        await workflow.execute_activity_method(ReindexActivities.end_reindex, end, **RECORD)


def _is_in_vain(error: BaseException) -> bool:
    """Whether no other attempt would succeed."""
    cause = error.__cause__
    return isinstance(cause, ApplicationError) and cause.non_retryable

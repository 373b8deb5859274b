"""The questions of a set are asked, batch by batch, and what came of them is summed up."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.evaluate_retrieval import (
    WORKFLOW,
    EndEvaluationInput,
    EvaluateQuestionsInput,
    EvaluateRetrievalInput,
    EvaluationActivities,
    EvaluationBegun,
    EvaluationState,
)
from workflows.endings import to_the_end
from workflows.policies import EVALUATE, EVALUATE_BATCHES, RECORD


@workflow.defn(name=WORKFLOW)
class EvaluateRetrieval:
    """Keeps nothing between batches: rows know which questions were asked, so that whoever begins again
    goes on there."""

    def __init__(self) -> None:
        self._batches = 0

    @workflow.run
    async def run(self, request: EvaluateRetrievalInput) -> None:
        # Once begun, runs are ended too, whatever comes meanwhile: nobody else would.
        begun = await to_the_end(self._begin(request))
        left = list(begun.run_ids)
        failure: FailureError | None = None
        while left:
            try:
                is_over = await self._evaluate(request.tenant_id, left[0])
            except (asyncio.CancelledError, FailureError) as error:
                if not isinstance(error, FailureError) or is_cancelled_exception(error):
                    await self._end_all(request.tenant_id, left)
                    raise
                # The tenant's other sets are evaluated all the same.
                failure = error
                await to_the_end(self._end(request.tenant_id, left.pop(0), EvaluationState.FAILED))
                continue
            if not is_over:
                workflow.continue_as_new(request.model_copy(update={"run_ids": tuple(left)}))
            await to_the_end(self._end(request.tenant_id, left.pop(0), EvaluationState.COMPLETED))
        if failure is not None:
            raise failure

    async def _begin(self, request: EvaluateRetrievalInput) -> EvaluationBegun:
        return await workflow.execute_activity_method(
            EvaluationActivities.begin_evaluation, request, **RECORD
        )

    async def _evaluate(self, tenant_id: UUID, run_id: UUID) -> bool:
        """Whether all questions were asked; if not, it is time to continue as new."""
        batch = EvaluateQuestionsInput(tenant_id=tenant_id, run_id=run_id)
        while self._batches < EVALUATE_BATCHES:
            if workflow.cancellation_reason() is not None:
                # It came while something was carried out to its end, which then knows nothing of it.
                raise asyncio.CancelledError
            self._batches += 1
            done = await workflow.execute_activity_method(
                EvaluationActivities.evaluate_questions, batch, **EVALUATE
            )
            workflow.set_current_details(f"{done.done} of {done.total} questions")
            if done.is_last:
                return True
        return False

    async def _end_all(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
        for run_id in run_ids:
            await to_the_end(self._end(tenant_id, run_id, EvaluationState.CANCELLED))

    async def _end(self, tenant_id: UUID, run_id: UUID, state: EvaluationState) -> None:
        await workflow.execute_activity_method(
            EvaluationActivities.end_evaluation,
            EndEvaluationInput(tenant_id=tenant_id, run_id=run_id, state=state),
            **RECORD,
        )

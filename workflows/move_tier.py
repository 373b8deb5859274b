"""A tenant's content goes to the tier where it is to lie, blob by blob."""

from temporalio import workflow

from muniment.contracts.move_tier import (
    WORKFLOW,
    MoveBatchInput,
    MoveTierInput,
    TierActivities,
)
from workflows.policies import MOVE, MOVE_BATCHES, RECORD


@workflow.defn(name=WORKFLOW)
class MoveTier:
    """Passes once over all that is on its way: what fails has its next turn in the next run. Ended at
    any point it leaves nothing that the next run does not find in rows."""

    @workflow.run
    async def run(self, request: MoveTierInput) -> None:
        if request.after is None:
            await workflow.execute_activity_method(TierActivities.plan_moves, request, **RECORD)
        batch = MoveBatchInput(tenant_id=request.tenant_id, after=request.after)
        for _ in range(MOVE_BATCHES):
            done = await workflow.execute_activity_method(TierActivities.move_batch, batch, **MOVE)
            if done.last is None:
                return
            batch = MoveBatchInput(tenant_id=request.tenant_id, after=done.last)
        workflow.continue_as_new(MoveTierInput(tenant_id=request.tenant_id, after=batch.after))

"""A tenant's data keys are wrapped anew, batch by batch, and the versions that wrapped them retired."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.rotate_keys import (
    WORKFLOW,
    EndRotationInput,
    KeyRotationActivities,
    RotateKeysInput,
    RotationState,
)
from workflows.endings import to_the_end
from workflows.policies import RECORD, REWRAP, REWRAP_BATCHES, ROTATE


@workflow.defn(name=WORKFLOW)
class RotateKeys:
    """Keeps nothing between batches: the rotation's row knows what is left."""

    @workflow.run
    async def run(self, request: RotateKeysInput) -> None:
        try:
            await workflow.execute_activity_method(
                KeyRotationActivities.begin_key_rotation, request, **ROTATE
            )
            is_rewrapped = await self._rewrap(request)
            if is_rewrapped:
                await workflow.execute_activity_method(
                    KeyRotationActivities.finish_key_rotation, request, **ROTATE
                )
        except (asyncio.CancelledError, FailureError) as error:
            is_cancelled = is_cancelled_exception(error)
            state = RotationState.CANCELLED if is_cancelled else RotationState.FAILED
            await to_the_end(self._end(request, state))
            raise
        if not is_rewrapped:
            workflow.continue_as_new(request)

    async def _rewrap(self, request: RotateKeysInput) -> bool:
        """Whether all is re-wrapped; if not, it is time to continue as new."""
        for _ in range(REWRAP_BATCHES):
            batch = await workflow.execute_activity_method(
                KeyRotationActivities.rewrap_keys, request, **REWRAP
            )
            if batch.is_last:
                return True
            if batch.wait_seconds:
                await workflow.sleep(batch.wait_seconds)
        return False

    async def _end(self, request: RotateKeysInput, state: RotationState) -> None:
        end = EndRotationInput(
            tenant_id=request.tenant_id, rotation_id=request.rotation_id, state=state
        )
        await workflow.execute_activity_method(
            KeyRotationActivities.end_key_rotation, end, **RECORD
        )

"""A tenant's blobs are read again, batch by batch, and compared with what was stored."""

import asyncio
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.verify_integrity import (
    WORKFLOW,
    EndVerificationInput,
    IntegrityActivities,
    VerificationState,
    VerifyBatchInput,
    VerifyIntegrityInput,
)
from workflows.endings import to_the_end
from workflows.policies import RECORD, VERIFY, VERIFY_BATCHES


@workflow.defn(name=WORKFLOW)
class VerifyIntegrity:
    """Keeps nothing between batches: the run's row knows what is left, so that whoever takes it over
    goes on there."""

    @workflow.run
    async def run(self, request: VerifyIntegrityInput) -> None:
        begun = await workflow.execute_activity_method(
            IntegrityActivities.begin_verification, request, **RECORD
        )
        if begun.run_id is None:
            return
        try:
            is_over = await self._verify(request.tenant_id, begun.run_id)
        except (asyncio.CancelledError, FailureError) as error:
            is_cancelled = is_cancelled_exception(error)
            state = VerificationState.CANCELLED if is_cancelled else VerificationState.FAILED
            await to_the_end(self._end(request.tenant_id, begun.run_id, state))
            raise
        if not is_over:
            workflow.continue_as_new(request)
        await to_the_end(self._end(request.tenant_id, begun.run_id, VerificationState.COMPLETED))

    async def _verify(self, tenant_id: UUID, run_id: UUID) -> bool:
        """Whether the run is over; if not, it is time to continue as new."""
        batch = VerifyBatchInput(tenant_id=tenant_id, run_id=run_id)
        for _ in range(VERIFY_BATCHES):
            done = await workflow.execute_activity_method(
                IntegrityActivities.verify_batch, batch, **VERIFY
            )
            if done.is_last:
                return True
        return False

    async def _end(self, tenant_id: UUID, run_id: UUID, state: VerificationState) -> None:
        await workflow.execute_activity_method(
            IntegrityActivities.end_verification,
            EndVerificationInput(tenant_id=tenant_id, run_id=run_id, state=state),
            **RECORD,
        )

"""A tenant's files are judged, page by page, and what nothing keeps any more is disposed of."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

from muniment.contracts.retention_sweep import (
    LOOK,
    WORKFLOW,
    RetentionActivities,
    RetentionSweepInput,
    SweepStep,
)
from workflows.endings import to_the_end
from workflows.policies import RECORD, SWEEP_RETENTION, SWEEP_STEPS


@workflow.defn(name=WORKFLOW)
class RetentionSweep:
    """Keeps nothing between steps: the sweep's row knows what is left, so that whoever takes it over goes on
    there."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=LOOK)
    def look(self) -> None:
        self._is_woken = True

    @workflow.run
    async def run(self, request: RetentionSweepInput) -> None:
        begun = await workflow.execute_activity_method(
            RetentionActivities.begin_retention_sweep, request, **RECORD
        )
        if begun.sweep_id is None:
            return
        try:
            is_over = await self._sweep(request.tenant_id, begun.sweep_id)
        except (asyncio.CancelledError, FailureError):
            await to_the_end(self._cancel(request.tenant_id, begun.sweep_id))
            raise
        if not is_over:
            workflow.continue_as_new(request)

    async def _sweep(self, tenant_id: UUID, sweep_id: UUID) -> bool:
        """Whether it is over; if not, it is time to continue as new."""
        for _ in range(SWEEP_STEPS):
            self._is_woken = False
            done = await workflow.execute_activity_method(
                RetentionActivities.step_retention_sweep,
                SweepStep(tenant_id=tenant_id, sweep_id=sweep_id),
                **SWEEP_RETENTION,
            )
            if done.is_over:
                return True
            if done.wait_seconds:
                workflow.set_current_details(
                    f"More files are due than a sweep disposes of by itself: the retention sweep {sweep_id}"
                    " waits for a decision (`muniment retention sweeps`)."
                )
                with suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: self._is_woken, timeout=timedelta(seconds=done.wait_seconds)
                    )
                workflow.set_current_details("")
        return False

    async def _cancel(self, tenant_id: UUID, sweep_id: UUID) -> None:
        await workflow.execute_activity_method(
            RetentionActivities.cancel_retention_sweep,
            SweepStep(tenant_id=tenant_id, sweep_id=sweep_id),
            **RECORD,
        )

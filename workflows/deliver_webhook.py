"""One event is sent to one endpoint, again and again by the published schedule."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.deliver_webhook import (
    FINAL_OUTCOMES,
    WORKFLOW,
    Attempt,
    AttemptInput,
    DeliverWebhookInput,
    Outcome,
    RecordAttemptInput,
    WebhookActivities,
)
from workflows.endings import to_the_end
from workflows.policies import DELIVERY_JITTER, RECORD, deliver


@workflow.defn(name=WORKFLOW)
class DeliverWebhook:
    """Ten attempts are some 150 events: the history needs no cutting."""

    def __init__(self) -> None:
        self._number = 0

    @workflow.run
    async def run(self, request: DeliverWebhookInput) -> None:
        try:
            await self._deliver(request)
        except (asyncio.CancelledError, FailureError) as error:
            is_cancelled = is_cancelled_exception(error)
            outcome = Outcome.CANCELLED if is_cancelled else Outcome.LOST
            await to_the_end(self._record(request, Attempt(outcome=outcome), None))
            raise

    async def _deliver(self, request: DeliverWebhookInput) -> None:
        pause: timedelta | None = _jittered(request.delays_seconds[0])
        while pause is not None:
            if pause:
                await workflow.sleep(pause)
            self._number += 1
            attempt = await workflow.execute_activity_method(
                WebhookActivities.send_webhook,
                AttemptInput(
                    tenant_id=request.tenant_id,
                    webhook_id=request.webhook_id,
                    delivery_id=request.delivery_id,
                    round=request.round,
                    number=self._number,
                ),
                **deliver(request.tenant_id),
            )
            pause = self._following_pause(request, attempt)
            await self._record(request, attempt, pause)

    def _following_pause(self, request: DeliverWebhookInput, attempt: Attempt) -> timedelta | None:
        """None where this attempt was the last. A receiver may ask for a longer one, not for a
        shorter."""
        if attempt.outcome in FINAL_OUTCOMES or self._number >= len(request.delays_seconds):
            return None
        scheduled = _jittered(request.delays_seconds[self._number])
        return max(scheduled, timedelta(seconds=attempt.retry_after_seconds or 0))

    async def _record(
        self, request: DeliverWebhookInput, attempt: Attempt, pause: timedelta | None
    ) -> None:
        await workflow.execute_activity_method(
            WebhookActivities.record_attempt,
            RecordAttemptInput(
                tenant_id=request.tenant_id,
                delivery_id=request.delivery_id,
                round=request.round,
                number=self._number,
                attempt=attempt,
                next_attempt_at=None if pause is None else workflow.now() + pause,
            ),
            **RECORD,
        )


def _jittered(seconds: float) -> timedelta:
    """Else everything that a receiver missed while it was away would come at the same moment."""
    return timedelta(seconds=seconds * workflow.random().uniform(*DELIVERY_JITTER))

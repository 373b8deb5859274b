"""A legal hold is attended to, from its placing to the end of its cooling-off."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from muniment.contracts.attend_hold import (
    LOOK,
    WORKFLOW,
    HoldAttended,
    LegalHoldActivities,
    LegalHoldInput,
)
from muniment.contracts.erase_file import HOLD_SIGNAL
from muniment.contracts.search_attributes import OUTCOME
from muniment.contracts.tasks import TaskKind
from workflows.policies import ATTEND_HOLD


@workflow.defn(name=WORKFLOW)
class LegalHold:
    """Keeps nothing between looks: rows know who was told, and whether the matter is released."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=LOOK)
    def look(self) -> None:
        self._is_woken = True

    @workflow.run
    async def run(self, request: LegalHoldInput) -> None:
        workflow.set_current_details(
            f"Matter `{request.hold_id}`. What waits for people is in `/v1/tasks`:"
            f" `{TaskKind.HOLD_REVIEW}`, `{TaskKind.HOLD_ACKNOWLEDGEMENT}`."
        )
        while True:
            attended = await self._attend(request)
            await self._wake_erasures(attended)
            if attended.is_over:
                workflow.upsert_search_attributes([OUTCOME.value_set("released")])
                return
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._is_woken, timeout=timedelta(seconds=attended.wait_seconds)
                )
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(request)

    async def _attend(self, request: LegalHoldInput) -> HoldAttended:
        self._is_woken = False
        return await workflow.execute_activity_method(
            LegalHoldActivities.attend_hold, request, **ATTEND_HOLD
        )

    async def _wake_erasures(self, attended: HoldAttended) -> None:
        for workflow_id in attended.erasures:
            try:
                await workflow.get_external_workflow_handle(workflow_id).signal(HOLD_SIGNAL)
            except FailureError:
                workflow.logger.info("erasure already over", extra={"workflow_id": workflow_id})

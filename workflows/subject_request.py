"""What there is of a person is found, confirmed by people, and handed out or erased."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from muniment.contracts.search_attributes import OUTCOME
from muniment.contracts.subject_requests import (
    LOOK,
    WORKFLOW,
    EndSubjectInput,
    SubjectRequestActivities,
    SubjectRequestInput,
    SubjectStanding,
    SubjectState,
)
from workflows.endings import to_the_end
from workflows.failures import problem_of
from workflows.policies import ERASE, EXPORT_SUBJECT, FIND_SUBJECT, RECORD, SUBJECT_LOOKS

_STEPS = {
    SubjectState.FINDING: SubjectRequestActivities.find_subject,
    SubjectState.WAITING: SubjectRequestActivities.attend_subject_request,
    SubjectState.EXPORTING: SubjectRequestActivities.export_subject,
    SubjectState.ERASING: SubjectRequestActivities.erase_subject,
}
_POLICIES = {
    SubjectState.FINDING: FIND_SUBJECT,
    SubjectState.WAITING: RECORD,
    SubjectState.EXPORTING: EXPORT_SUBJECT,
    SubjectState.ERASING: ERASE,
}
_WAITING = (SubjectState.WAITING, SubjectState.ERASING)
"""For a person, or for erasures that others carry out."""


@workflow.defn(name=WORKFLOW)
class SubjectRequest:
    """Keeps nothing between steps: the row knows how far the search has come, and what was decided. A
    decision is valid by its row alone; a signal only says that it is time to look."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=LOOK)
    def look(self) -> None:
        self._is_woken = True

    @workflow.run
    async def run(self, request: SubjectRequestInput) -> None:
        try:
            state = await self._carry_out(request)
        except (asyncio.CancelledError, FailureError) as error:
            # Nobody cancels it but an operator, in Temporal.
            reason = (
                "it was cancelled"
                if isinstance(error, asyncio.CancelledError)
                else problem_of(error).detail
            )
            await to_the_end(self._fail(request, reason))
            raise
        if not state.is_over:
            workflow.continue_as_new(request)
        workflow.upsert_search_attributes([OUTCOME.value_set(state.value)])

    async def _carry_out(self, request: SubjectRequestInput) -> SubjectState:
        """Until it is over, or it is time to continue as new."""
        state = SubjectState.WAITING
        for _ in range(SUBJECT_LOOKS):
            self._is_woken = False
            standing = await self._step(request, state)
            if standing.state.is_over:
                return standing.state
            if standing.state is state and state in _WAITING:
                await self._woken(standing.wait_seconds)
            state = standing.state
        return state

    async def _step(self, request: SubjectRequestInput, state: SubjectState) -> SubjectStanding:
        standing: SubjectStanding = await workflow.execute_activity_method(
            _STEPS[state], request, **_POLICIES[state]
        )
        workflow.set_current_details(
            f"{standing.state}: {standing.found} of {standing.looked_at} files"
        )
        return standing

    async def _woken(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._is_woken, timeout=timedelta(seconds=seconds)
            )

    async def _fail(self, request: SubjectRequestInput, reason: str) -> None:
        end = EndSubjectInput(request=request, reason=reason)
        await workflow.execute_activity_method(
            SubjectRequestActivities.end_subject_request, end, **RECORD
        )

"""The questions of a list are answered, batch by batch."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.answer_questions import (
    LOOK,
    PROGRESS,
    WORKFLOW,
    AnsweredSoFar,
    AnsweringState,
    AnswerQuestionsInput,
    EndListInput,
    ListState,
    QuestionListActivities,
)
from workflows.endings import to_the_end
from workflows.failures import problem_of
from workflows.policies import ANSWER, ANSWER_BATCHES, ANSWER_PAUSE, RECORD


@workflow.defn(name=WORKFLOW)
class AnswerQuestions:
    """Keeps nothing between batches: rows know which questions were answered, and whether the list is
    paused or over."""

    def __init__(self) -> None:
        self._is_woken = False
        self._answered = AnsweredSoFar()

    @workflow.signal(name=LOOK)
    def look(self) -> None:
        self._is_woken = True

    @workflow.query(name=PROGRESS)
    def progress(self) -> AnsweredSoFar:
        """As of the last batch."""
        return self._answered

    @workflow.run
    async def run(self, request: AnswerQuestionsInput) -> None:
        try:
            await self._answer(request)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await to_the_end(self._end(request, ListState.CANCELLED))
            else:
                reason = problem_of(error).detail
                await to_the_end(self._end(request, ListState.FAILED, reason))
            raise
        if self._answered.state in (AnsweringState.MORE, AnsweringState.PAUSED):
            workflow.continue_as_new(request)
        if self._answered.state is AnsweringState.ANSWERED:
            await to_the_end(self._end(request, ListState.COMPLETED))

    async def _answer(self, request: AnswerQuestionsInput) -> None:
        """Until all are answered, the list is over, or it is time to continue as new."""
        for _ in range(ANSWER_BATCHES):
            if workflow.cancellation_reason() is not None:
                # It came while a batch was carried out to its end, which then knows nothing of it.
                raise asyncio.CancelledError
            self._is_woken = False
            self._answered = await workflow.execute_activity_method(
                QuestionListActivities.answer_questions, request, **ANSWER
            )
            workflow.set_current_details(
                f"{self._answered.done} of {self._answered.total} questions"
            )
            if self._answered.state is AnsweringState.PAUSED:
                await self._woken()
            elif self._answered.state is not AnsweringState.MORE:
                return

    async def _woken(self) -> None:
        """Until somebody lets it go on. A signal may be lost with the API: it looks by itself too."""
        try:
            await workflow.wait_condition(lambda: self._is_woken, timeout=ANSWER_PAUSE)
        except TimeoutError:
            return

    async def _end(self, request: AnswerQuestionsInput, state: ListState, reason: str = "") -> None:
        end = EndListInput(
            tenant_id=request.tenant_id, list_id=request.list_id, state=state, reason=reason
        )
        await workflow.execute_activity_method(
            QuestionListActivities.end_question_list, end, **RECORD
        )

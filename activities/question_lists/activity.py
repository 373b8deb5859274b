"""Temporal's face of lists of questions."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import FailureError

from activities.failures import application_error, is_final, reason_of
from activities.heartbeats import heartbeats
from db.audit import Act, record
from db.models import QuestionList, QuestionListItem
from db.queries import question_lists
from db.queries.question_lists import Outcome
from db.session import Access, Database
from muniment.contracts.answer_questions import (
    AnsweredSoFar,
    AnsweringState,
    AnswerQuestionsInput,
    EndListInput,
    ListedAnswer,
    ListedQuestion,
    ListState,
    QuestionListActivities,
    QuestionOutcome,
)
from muniment.errors import (
    DatabaseTooSlow,
    Forbidden,
    MunimentError,
    TokenBudgetExhausted,
)
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import answer_place, question_place
from retrieval.listed_questions import Answered, ListAsking, ListedQuestions
from retrieval.request import Generate

logger = logging.getLogger(__name__)

BATCH_SECONDS = 5.0
"""No further question is begun after so long: lists of other tenants take turns with this one."""
BATCH_QUESTIONS = 50
SLOW_QUESTION_ATTEMPTS = 3
"""A search that outlasts its limit so often is given up: others wait behind it."""
ASKED_AGAIN = 3
"""A question whose sources went out of reach while it was answered is asked anew so often."""

TENANT_TOKENS_USED = "the tenant's tokens of this month are used up"
LIST_TOKENS_USED = "the tokens that the list may cost are used up"
OUT_OF_REACH = "documents went out of reach while it was answered"


class QuestionLists(QuestionListActivities):
    """Each question is asked with the rights of that moment: nothing of them is remembered."""

    def __init__(self, database: Database, texts: SealedTexts, questions: ListedQuestions) -> None:
        self._database = database
        self._texts = texts
        self._questions = questions

    @activity.defn(name="answer_questions")
    async def answer_questions(self, request: AnswerQuestionsInput) -> AnsweredSoFar:
        async with _attempt(), heartbeats() as beating:
            async with self._database.transaction(Access(request.tenant_id)) as session:
                found = await question_lists.get_list(session, request.list_id)
                if found is None or found.finished_at is not None:
                    return AnsweredSoFar(state=AnsweringState.OVER)
                await question_lists.begin(session, found.id)
                waiting = await question_lists.unanswered(session, found.id, BATCH_QUESTIONS)
                counts = (await question_lists.counts_of(session, [found.id]))[found.id]
            done = sum(counts.values()) - counts["tokens"]
            total = found.question_count
            until = time.monotonic() + BATCH_SECONDS
            for item in waiting:
                state = await self._answer_next(found, item)
                if state is not AnsweringState.MORE:
                    return AnsweredSoFar(state=state, done=done, total=total)
                done += 1
                beating.advance(AnsweredSoFar(done=done, total=total))
                if time.monotonic() > until:
                    break
            is_last = len(waiting) < BATCH_QUESTIONS and done >= total
            state = AnsweringState.ANSWERED if is_last else AnsweringState.MORE
            return AnsweredSoFar(state=state, done=done, total=total)

    async def _answer_next(self, found: QuestionList, item: QuestionListItem) -> AnsweringState:
        """`more` once it was answered. Raises Forbidden where who asked may no longer come in."""
        state = await self._standing(found)
        if state is not AnsweringState.MORE:
            return state
        access = Access(found.tenant_id, found.principal_id)
        tokens = 0
        for _ in range(ASKED_AGAIN):
            try:
                outcome = await self._outcome(access, found, item)
            except TokenBudgetExhausted:
                await self._pause(found, TENANT_TOKENS_USED)
                return AnsweringState.PAUSED
            # What an answer that is not kept cost was paid for all the same.
            tokens += outcome.tokens
            outcome = replace(outcome, tokens=tokens)
            async with self._database.transaction(access) as session:
                if await question_lists.keep_outcome(session, found.id, item.ordinal, outcome):
                    return AnsweringState.MORE
        outcome = replace(await self._failed(found, item, OUT_OF_REACH), tokens=tokens)
        async with self._database.transaction(access) as session:
            await question_lists.keep_outcome(session, found.id, item.ordinal, outcome)
        return AnsweringState.MORE

    async def _standing(self, found: QuestionList) -> AnsweringState:
        """Whether a further question may be asked at this moment."""
        async with self._database.transaction(Access(found.tenant_id)) as session:
            now = await question_lists.standing(session, found.id)
        if now is None or now.state not in (ListState.RUNNING, ListState.PAUSED):
            return AnsweringState.OVER
        if now.is_disabled:
            raise Forbidden("the principal whose questions they are has been disabled")
        if now.state is ListState.PAUSED:
            return AnsweringState.PAUSED
        if now.max_tokens is not None and now.tokens >= now.max_tokens:
            await self._pause(found, LIST_TOKENS_USED)
            return AnsweringState.PAUSED
        return AnsweringState.MORE

    async def _pause(self, found: QuestionList, reason: str) -> None:
        async with self._database.transaction(Access(found.tenant_id)) as session:
            row = await question_lists.get_list(session, found.id, for_update=True)
            if row is not None and row.state == ListState.RUNNING:
                row.state, row.reason = ListState.PAUSED.value, reason
                record(session, _act("question_list.paused", row, {"reason": reason}))

    async def _outcome(
        self, access: Access, found: QuestionList, item: QuestionListItem
    ) -> Outcome:
        """What is wrong with one question is told of it, and the others are asked all the same. Raises what
        may pass, and what holds for all of them."""
        question = await self._question(found, item)
        try:
            answered = await self._questions.answer(access, _asking(found), question)
        except (Forbidden, TokenBudgetExhausted):
            raise
        except Exception as error:
            if not _is_lost(error, activity.info().attempt):
                raise
            reason = reason_of(error)
            logger.warning("a question of a list was not answered", extra={"reason": reason})
            return await self._failed(found, item, reason)
        return await self._sealed(found, item, answered)

    async def _question(self, found: QuestionList, item: QuestionListItem) -> ListedQuestion:
        place = question_place(found.tenant_id, found.id, item.ordinal)
        sealed = SealedText(found.tenant_id, found.text_key_id, place, item.question)
        (question,) = await self._texts.opened([sealed], ListedQuestion)
        return question

    async def _sealed(
        self, found: QuestionList, item: QuestionListItem, answered: Answered
    ) -> Outcome:
        return Outcome(
            QuestionOutcome.ANSWERED if answered.is_found else QuestionOutcome.UNANSWERED,
            await self._seal(found, item, answered.answer),
            answered.sources,
            answered.tokens,
        )

    async def _failed(self, found: QuestionList, item: QuestionListItem, reason: str) -> Outcome:
        said = await self._seal(found, item, ListedAnswer(reasons=(reason,)))
        return Outcome(QuestionOutcome.FAILED, said, frozenset(), 0)

    async def _seal(
        self, found: QuestionList, item: QuestionListItem, answer: ListedAnswer
    ) -> bytes:
        key = await self._texts.key(found.tenant_id, found.text_key_id)
        place = answer_place(found.tenant_id, found.id, item.ordinal)
        return key.seal(answer.model_dump_json().encode(), place)

    @activity.defn(name="end_question_list")
    async def end_question_list(self, request: EndListInput) -> None:
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            found = await question_lists.get_list(session, request.list_id, for_update=True)
            if found is None or found.finished_at is not None:
                return
            await question_lists.end_list(session, found, request.state, request.reason or None)
            counts = await _counts(session, found.id)
            record(session, _act("question_list.ended", found, {"state": found.state, **counts}))
        logger.info(
            "a list of questions has ended",
            extra={"list_id": str(request.list_id), "state": request.state.value, **counts},
        )


async def _counts(session: AsyncSession, list_id: UUID) -> dict[str, int]:
    return dict((await question_lists.counts_of(session, [list_id]))[list_id])


def _act(action: str, found: QuestionList, payload: dict[str, JsonValue]) -> Act:
    return Act(action, "question_list", found.id, found.tenant_id, payload=payload)


def _asking(found: QuestionList) -> ListAsking:
    return ListAsking(found.collection, Generate(found.generate), found.top_k)


def _is_lost(error: Exception, attempts: int) -> bool:
    """Whether the question would fail again: `attempts` are the batch's, the most that its own can be."""
    if isinstance(error, DatabaseTooSlow):
        return attempts >= SLOW_QUESTION_ATTEMPTS
    return is_final(error, attempts)


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except FailureError:
        raise
    except Exception as error:
        if not isinstance(error, MunimentError):
            logger.exception("a list of questions failed unexpectedly")
        raise application_error(error, activity.info().attempt) from error

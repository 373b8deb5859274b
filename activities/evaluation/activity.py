"""Temporal's face of the evaluation of searches and answers."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import FailureError

from activities.failures import application_error, is_final, reason_of
from activities.heartbeats import heartbeats
from db.audit import Act, record
from db.models import EvaluationRun, EvaluationSet
from db.queries import evaluations
from db.session import Access, Database
from muniment.contracts.evaluate_retrieval import (
    EndEvaluationInput,
    EvaluatedAnswers,
    EvaluateQuestionsInput,
    EvaluateQuestionsResult,
    EvaluateRetrievalInput,
    EvaluationActivities,
    EvaluationBegun,
)
from muniment.errors import DatabaseTooSlow, Forbidden, MunimentError
from retrieval.evaluation_summary import summarise
from retrieval.question_evaluation import Asking, Measured, Question, QuestionEvaluator
from retrieval.request import SearchMode

logger = logging.getLogger(__name__)

BATCH_SECONDS = 5.0
"""No further question is begun after so long: evaluations of other tenants take turns with this one."""
BATCH_QUESTIONS = 50
SLOW_QUESTION_ATTEMPTS = 3
"""A search that outlasts its limit so often is left out: others wait behind it."""


class Evaluations(EvaluationActivities):
    """Every night's, and those that somebody asked for."""

    def __init__(self, database: Database, evaluator: QuestionEvaluator) -> None:
        self._database = database
        self._evaluator = evaluator

    @activity.defn(name="begin_evaluation")
    async def begin_evaluation(self, request: EvaluateRetrievalInput) -> EvaluationBegun:
        mine = activity.info().workflow_id or ""
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            if request.run_ids:
                run_ids = await evaluations.begin_runs(session, request.run_ids, mine)
            else:
                await evaluations.lock_sets(session, request.tenant_id)
                run_ids = await evaluations.begin_nightly_runs(session, mine)
            return EvaluationBegun(run_ids=tuple(run_ids))

    @activity.defn(name="evaluate_questions")
    async def evaluate_questions(self, request: EvaluateQuestionsInput) -> EvaluateQuestionsResult:
        async with _attempt(), heartbeats() as beating:
            async with self._database.transaction(Access(request.tenant_id)) as session:
                found = await evaluations.get_run(session, request.run_id)
                if found is None or not _is_mine(found[0]):
                    return EvaluateQuestionsResult(is_last=True)
                run, asked = found
                await evaluations.note_index(session, run)
                access = await _access(session, asked)
                waiting = await evaluations.unasked_questions(session, run, BATCH_QUESTIONS)
                done = (await evaluations.count_results(session, [run.id])).get(run.id, 0)
            total = asked.question_count
            if not waiting:
                return EvaluateQuestionsResult(is_last=True, done=done, total=total)
            until = time.monotonic() + BATCH_SECONDS
            for row in waiting:
                question = Question(row["text"], row["judgements"], row["answers"])
                await self._evaluate(run, asked, access, row["ordinal"], question)
                done += 1
                beating.advance(EvaluateQuestionsResult(is_last=False, done=done, total=total))
                if time.monotonic() > until:
                    break
            return EvaluateQuestionsResult(is_last=False, done=done, total=total)

    async def _evaluate(
        self,
        run: EvaluationRun,
        asked: EvaluationSet,
        access: Access,
        ordinal: int,
        question: Question,
    ) -> None:
        measured = await self._measured(access, _asking(asked), question)
        async with self._database.transaction(Access(run.tenant_id)) as session:
            await evaluations.keep_result(session, run, ordinal, measured.figures)
            await evaluations.add_notes(session, run.id, sorted(measured.notes))

    async def _measured(self, access: Access, asking: Asking, question: Question) -> Measured:
        """What is wrong with one question is counted with it, and the others are asked all the same. Raises
        what may pass, and what holds for all of them."""
        try:
            measured = await self._evaluator.evaluate(access, asking, question)
        except Exception as error:
            if isinstance(error, Forbidden) or not _is_lost(error, activity.info().attempt):
                raise
            reason = reason_of(error)
            logger.warning("a question was not evaluated", extra={"reason": reason})
            return Measured({"failed": 1.0}, {f"some questions failed: {reason}"})
        measured.figures["failed"] = 0.0
        return measured

    @activity.defn(name="end_evaluation")
    async def end_evaluation(self, request: EndEvaluationInput) -> None:
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            found = await evaluations.get_run(session, request.run_id, for_update=True)
            if found is None or not _is_mine(found[0]):
                return
            run, _ = found
            figures = await evaluations.all_figures(session, run.id)
            await evaluations.end_run(session, run, request.state, summarise(figures))
            payload = {"state": request.state.value, "questions": len(figures)}
            act = Act("evaluation.ended", "evaluation", run.id, run.tenant_id, payload={**payload})
            record(session, act)
        logger.info("searches were evaluated", extra={"run_id": str(request.run_id), **payload})


def _is_mine(run: EvaluationRun) -> bool:
    """Whether it is open, and nobody has taken it over."""
    return run.finished_at is None and run.workflow_id == activity.info().workflow_id


def _is_lost(error: Exception, attempts: int) -> bool:
    """Whether the question would fail again."""
    if isinstance(error, DatabaseTooSlow):
        return attempts >= SLOW_QUESTION_ATTEMPTS
    return is_final(error, attempts)


async def _access(session: AsyncSession, asked: EvaluationSet) -> Access:
    """Under whose rights it is searched. Raises Forbidden where they may no longer come in."""
    if await evaluations.is_disabled(session, asked.principal_id):
        raise Forbidden("the principal whose evaluation it is has been disabled")
    return Access(asked.tenant_id, asked.principal_id)


def _asking(asked: EvaluationSet) -> Asking:
    return Asking(
        SearchMode(asked.mode),
        asked.collection,
        asked.identified_by,
        EvaluatedAnswers(asked.answers),
        asked.is_judged,
    )


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except FailureError:
        raise
    except Exception as error:
        if not isinstance(error, MunimentError):
            logger.exception("an evaluation failed unexpectedly")
        raise application_error(error, activity.info().attempt) from error

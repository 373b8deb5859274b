"""Temporal's face of the evaluation of searches and answers."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.audit import Act, record
from db.models import EvaluationRun, EvaluationSet, now
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
    EvaluationState,
)
from muniment.errors import Forbidden, MunimentError
from retrieval.evaluation_summary import summarise
from retrieval.question_evaluation import Asking, Question, QuestionEvaluator
from retrieval.request import SearchMode

logger = logging.getLogger(__name__)

BATCH_SECONDS = 5.0
"""No further question is begun after so long: evaluations of other tenants take turns with this one."""
BATCH_QUESTIONS = 50


class Evaluations(EvaluationActivities):
    """`kept`: for how long what was measured is told."""

    def __init__(self, database: Database, evaluator: QuestionEvaluator, kept: timedelta) -> None:
        self._database = database
        self._evaluator = evaluator
        self._kept = kept

    @activity.defn(name="begin_evaluation")
    async def begin_evaluation(self, request: EvaluateRetrievalInput) -> EvaluationBegun:
        mine = activity.info().workflow_id or ""
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            if request.run_ids:
                runs = await evaluations.open_runs(session, request.run_ids)
            else:
                runs = await evaluations.open_nightly_runs(session, mine)
            for run in runs:
                run.state = EvaluationState.RUNNING.value
            return EvaluationBegun(run_ids=tuple(run.id for run in runs))

    @activity.defn(name="evaluate_questions")
    async def evaluate_questions(self, request: EvaluateQuestionsInput) -> EvaluateQuestionsResult:
        async with _attempt(), heartbeats() as beating:
            async with self._database.transaction(Access(request.tenant_id)) as session:
                found = await evaluations.get_run(session, request.run_id)
                if found is None or found[0].finished_at is not None:
                    return EvaluateQuestionsResult(is_last=True)
                run, asked = found
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
        measured = await self._evaluator.evaluate(access, _asking(asked), question)
        async with self._database.transaction(Access(run.tenant_id)) as session:
            await evaluations.keep_result(session, run, ordinal, measured.figures)
            await evaluations.add_notes(session, run.id, sorted(measured.notes))

    @activity.defn(name="end_evaluation")
    async def end_evaluation(self, request: EndEvaluationInput) -> None:
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            found = await evaluations.get_run(session, request.run_id, for_update=True)
            if found is None or found[0].finished_at is not None:
                return
            run, _ = found
            figures = await evaluations.all_figures(session, run.id)
            await evaluations.write_metrics(session, run, summarise(figures))
            run.state, run.finished_at = request.state.value, now()
            payload = {"state": request.state.value, "questions": len(figures)}
            act = Act("evaluation.ended", "evaluation", run.id, run.tenant_id, payload={**payload})
            record(session, act)
            await session.flush()
            await evaluations.forget_older(session, self._kept)
        logger.info("searches were evaluated", extra={"run_id": str(request.run_id), **payload})


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
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error

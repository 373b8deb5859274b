"""Evaluations: made, looked up, told."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.evaluations.schemas import Evaluation, Metric, NewEvaluation
from api.idempotency import hash_of
from db.audit import record
from db.models import EvaluationQuestion, EvaluationRun, EvaluationSet, new_id
from db.queries import evaluations
from muniment.contracts.evaluate_retrieval import (
    EvaluatedAnswers,
    EvaluationState,
    workflow_id,
)
from muniment.errors import Conflict, NotFound, TooManyRequests
from retrieval.evaluation_summary import compare, summarise
from retrieval.request import SearchMode

MAX_OPEN_RUNS = 10
"""Of a tenant: each asks thousands of questions, beside what people ask."""


OTHERS = "audit:read"


def whose(caller: Caller) -> UUID | None:
    """Whose evaluations the caller sees: its own, or (None) everyone's of the tenant, for administrators with
    a key that may look at what others do."""
    return None if caller.is_admin and OTHERS in caller.scopes else caller.principal_id


async def make(
    session: AsyncSession, caller: Caller, body: NewEvaluation
) -> tuple[EvaluationRun, EvaluationSet]:
    """The open run of the caller's set, or a new one. Raises TooManyRequests, and Conflict for one nightly
    set too many."""
    asked = await _set(session, caller, body)
    is_at_work = await evaluations.has_open_run(session, asked.id)
    if not is_at_work and await evaluations.count_open_runs(session) >= MAX_OPEN_RUNS:
        raise TooManyRequests(
            f"{MAX_OPEN_RUNS} evaluations of the tenant are at work",
            remedy="Wait for one of them to end, or cancel it.",
        )
    run_id = new_id()
    run = await evaluations.open_run(session, asked, run_id, workflow_id(run_id))
    payload: dict[str, JsonValue] = {
        "set_id": str(asked.id),
        "questions": asked.question_count,
    }
    record(session, caller.act("evaluation.requested", "evaluation", run.id, payload))
    return run, asked


async def _set(session: AsyncSession, caller: Caller, body: NewEvaluation) -> EvaluationSet:
    digest = _digest(body)
    await evaluations.lock_sets(session, caller.tenant_id)
    asked = await evaluations.find_set(session, caller.principal_id, digest)
    if body.nightly and not (asked and asked.is_nightly):
        nightly = await evaluations.count_nightly_sets(session)
        if nightly >= evaluations.MAX_NIGHTLY_SETS:
            raise Conflict(
                f"{nightly} sets of the tenant are evaluated every night already",
                remedy="Delete one of them, or start this one without `nightly`.",
            )
    if asked is not None:
        asked.name, asked.is_nightly, asked.tolerance = body.name, body.nightly, body.tolerance
        return asked
    return await _new_set(session, caller, body, digest)


async def _new_set(
    session: AsyncSession, caller: Caller, body: NewEvaluation, digest: bytes
) -> EvaluationSet:
    asked = EvaluationSet(
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        name=body.name,
        digest=digest,
        is_nightly=body.nightly,
        mode=body.mode.value,
        collection=body.collection,
        identified_by=body.identified_by,
        answers=body.answers.value,
        is_judged=body.judge,
        tolerance=body.tolerance,
        question_count=len(body.questions),
    )
    session.add(asked)
    await session.flush()
    session.add_all(
        EvaluationQuestion(
            set_id=asked.id,
            ordinal=ordinal,
            tenant_id=caller.tenant_id,
            question_id=question.id,
            text=question.text,
            judgements={**question.relevant},
            answers=question.answers,
        )
        for ordinal, question in enumerate(body.questions)
    )
    await session.flush()
    return asked


def _digest(body: NewEvaluation) -> bytes:
    """Of what decides what is measured."""
    return hash_of(body.model_dump_json(exclude={"name", "nightly", "tolerance"}))


async def require_run(
    session: AsyncSession, caller: Caller, run_id: UUID
) -> tuple[EvaluationRun, EvaluationSet]:
    """Raises NotFound for what is not the caller's to see."""
    found = await evaluations.get_run(session, run_id)
    if found is None or whose(caller) not in (None, found[1].principal_id):
        raise NotFound("there is no such evaluation")
    return found


async def is_to_start(session: AsyncSession, run_id: UUID) -> bool:
    """Whether it is open, and its own workflow's, which may not have been started."""
    found = await evaluations.get_run(session, run_id)
    return found is not None and (
        found[0].finished_at is None and found[0].workflow_id == workflow_id(run_id)
    )


async def end_as_cancelled(session: AsyncSession, caller: Caller, run_id: UUID) -> Evaluation:
    """With what was measured by now, as its workflow would; one that has ended stays as it is."""
    found = await evaluations.get_run(session, run_id, for_update=True)
    if found is None:
        raise NotFound("there is no such evaluation")
    run, _ = found
    if run.finished_at is None:
        figures = await evaluations.all_figures(session, run.id)
        await evaluations.end_run(session, run, EvaluationState.CANCELLED, summarise(figures))
        payload: dict[str, JsonValue] = {"state": run.state, "questions": len(figures)}
        record(session, caller.act("evaluation.ended", "evaluation", run.id, payload))
    (view,) = await views(session, [found])
    return view


async def delete(session: AsyncSession, caller: Caller, run_id: UUID) -> None:
    """The whole set of the run. Raises Conflict while one of its runs is open."""
    _, asked = await require_run(session, caller, run_id)
    if await evaluations.has_open_run(session, asked.id):
        raise Conflict(
            "the set is being evaluated", remedy="Cancel the evaluation, and wait for its end."
        )
    await evaluations.delete_set(session, asked.id)
    record(session, caller.act("evaluation.deleted", "evaluation", asked.id))


async def views(
    session: AsyncSession, found: Sequence[tuple[EvaluationRun, EvaluationSet]]
) -> list[Evaluation]:
    ids = [run.id for run, _ in found]
    before = await evaluations.previous_runs(session, ids)
    metrics = await evaluations.metrics_of(session, [*ids, *before.values()])
    done = await evaluations.count_results(session, ids)
    return [
        _view(run, asked, done.get(run.id, 0), before.get(run.id), metrics) for run, asked in found
    ]


def _view(
    run: EvaluationRun,
    asked: EvaluationSet,
    done: int,
    previous: UUID | None,
    metrics: dict[UUID, dict[str, float]],
) -> Evaluation:
    then = metrics.get(previous, {}) if previous else {}
    changes = compare(metrics.get(run.id, {}), then, asked.tolerance)
    return Evaluation(
        id=run.id,
        set_id=asked.id,
        name=asked.name,
        state=EvaluationState(run.state),
        created_at=run.created_at,
        finished_at=run.finished_at,
        questions=asked.question_count,
        done=done,
        nightly=asked.is_nightly,
        mode=SearchMode(asked.mode),
        collection=asked.collection,
        answers=EvaluatedAnswers(asked.answers),
        judge=asked.is_judged,
        identified_by=asked.identified_by,
        tolerance=asked.tolerance,
        compared_with=previous,
        index_version_id=run.index_version_id,
        metrics=[
            Metric(
                name=name,
                value=change.value,
                before=change.before,
                difference=change.difference,
                is_worse=change.is_worse,
            )
            for name, change in changes.items()
        ],
        notes=run.notes,
    )

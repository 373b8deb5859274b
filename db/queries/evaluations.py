"""Evaluations: sets of questions, runs over them, and what those measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import RowMapping, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import (
    EvaluationMetric,
    EvaluationQuestion,
    EvaluationResult,
    EvaluationRun,
    EvaluationSet,
    Principal,
    new_id,
    now,
)
from db.queries.vectors import active_index
from muniment.contracts.evaluate_retrieval import EvaluationState
from muniment.contracts.evaluate_retrieval import workflow_id as own_workflow_id

MAX_NIGHTLY_SETS = 20
"""Of a tenant."""
LOST_AFTER = timedelta(minutes=10)
"""Whoever made a run starts its workflow within seconds, and workers begin it soon."""
OTHER_INDEX = "another index version was activated while it ran"
LONGEST_RUN = timedelta(days=1)
"""Of one that is not over then the workflow may be lost, as after a restore; one that is not stops by itself
when another has taken its run."""


@dataclass(frozen=True)
class MeasuredQuestion:
    """A question of a set, and what came of it in a run."""

    ordinal: int
    question_id: str
    text: str
    figures: Mapping[str, JsonValue]


async def lock_sets(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction ends nobody else makes a set, or asks for a run, of the tenant's."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('evaluation_set:' || :id, 0))"),
        {"id": str(tenant_id)},
    )


async def find_set(
    session: AsyncSession, principal_id: UUID, digest: bytes
) -> EvaluationSet | None:
    """The principal's set with these questions, asked in this way; locked."""
    found: EvaluationSet | None = await session.scalar(
        select(EvaluationSet)
        .where(col(EvaluationSet.principal_id) == principal_id, col(EvaluationSet.digest) == digest)
        .with_for_update()
    )
    return found


async def count_nightly_sets(session: AsyncSession) -> int:
    """Of principals that may still come in."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM evaluation_set asked JOIN principal ON principal.id = asked.principal_id"
            " WHERE is_nightly AND principal.disabled_at IS NULL"
        )
    )
    return int(found.scalar_one())


async def count_open_runs(session: AsyncSession) -> int:
    """Those that somebody asked for: of the night's, all but one wait."""
    found = await session.execute(
        select(col(EvaluationRun.id), col(EvaluationRun.workflow_id)).where(
            col(EvaluationRun.finished_at).is_(None)
        )
    )
    return sum(name == own_workflow_id(run_id) for run_id, name in found)


async def open_run(
    session: AsyncSession, asked: EvaluationSet, run_id: UUID, workflow_id: str
) -> EvaluationRun:
    """The set's open run, or a new one by that id for that workflow."""
    while True:  # a further turn needs a run that ended between two statements
        if (run := await _open_run(session, asked, run_id, workflow_id)) is not None:
            return run


async def _open_run(
    session: AsyncSession, asked: EvaluationSet, run_id: UUID, workflow_id: str
) -> EvaluationRun | None:
    """None where the one that was open has just ended."""
    await session.execute(
        text(
            "INSERT INTO evaluation_run (id, tenant_id, set_id, workflow_id, state, created_at)"
            " VALUES (:id, :tenant_id, :set_id, :workflow_id, 'queued', now())"
            " ON CONFLICT (set_id) WHERE finished_at IS NULL DO NOTHING"
        ),
        {
            "id": run_id,
            "tenant_id": asked.tenant_id,
            "set_id": asked.id,
            "workflow_id": workflow_id,
        },
    )
    found = await session.scalars(
        select(EvaluationRun).where(
            col(EvaluationRun.set_id) == asked.id, col(EvaluationRun.finished_at).is_(None)
        )
    )
    return found.one_or_none()


async def begin_nightly_runs(session: AsyncSession, mine: str) -> list[UUID]:
    """Begins a run of each set that is evaluated every night, of principals that may still come in, oldest
    set first. And those of earlier nights, and those that were made and never begun, since whoever was to
    evaluate them died, and what is not over after a day. What another workflow is at is left to it."""
    sets = await session.scalars(
        select(EvaluationSet)
        .join(Principal, col(Principal.id) == col(EvaluationSet.principal_id))
        .where(col(EvaluationSet.is_nightly), col(Principal.disabled_at).is_(None))
        .order_by(col(EvaluationSet.id))
        .limit(MAX_NIGHTLY_SETS)
    )
    nightly = [await open_run(session, each, new_id(), mine) for each in sets.all()]
    found = await session.scalars(
        select(EvaluationRun)
        .where(col(EvaluationRun.finished_at).is_(None))
        .order_by(col(EvaluationRun.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    long_ago, long_lost = now() - LOST_AFTER, now() - LONGEST_RUN
    taken = [
        run
        for run in found
        if run.workflow_id != own_workflow_id(run.id)
        or (run.state == EvaluationState.QUEUED and run.created_at < long_ago)
        or run.created_at < long_lost
    ]
    for run in taken:
        run.workflow_id, run.state = mine, EvaluationState.RUNNING.value
    rank = {run.id: place for place, run in enumerate(nightly)}
    return sorted((run.id for run in taken), key=lambda run_id: rank.get(run_id, len(rank)))


async def get_run(
    session: AsyncSession, run_id: UUID, *, for_update: bool = False
) -> tuple[EvaluationRun, EvaluationSet] | None:
    run = await session.get(EvaluationRun, run_id, with_for_update=for_update)
    if run is None:
        return None
    return run, await session.get_one(EvaluationSet, run.set_id)


async def begin_runs(session: AsyncSession, run_ids: Sequence[UUID], mine: str) -> list[UUID]:
    """Those of them that are that workflow's and not over, in the order of their making."""
    found = await session.scalars(
        text(
            "UPDATE evaluation_run SET state = 'running' WHERE id = ANY(:ids)"
            " AND workflow_id = :mine AND finished_at IS NULL RETURNING id"
        ),
        {"ids": list(run_ids), "mine": mine},
    )
    return sorted(found)


async def note_index(session: AsyncSession, run: EvaluationRun) -> None:
    """Which index version is searched now: the run's first is kept, and that there was another is noted."""
    searched = await active_index(session)
    if searched is None or searched.id == run.index_version_id:
        return
    if run.index_version_id is not None:
        await add_notes(session, run.id, [OTHER_INDEX])
        return
    run.index_version_id = searched.id
    await session.flush()


async def end_run(
    session: AsyncSession, run: EvaluationRun, state: EvaluationState, metrics: Mapping[str, float]
) -> None:
    """Of a run that is open, and locked."""
    session.add_all(
        EvaluationMetric(run_id=run.id, name=name, tenant_id=run.tenant_id, value=value)
        for name, value in metrics.items()
    )
    run.state, run.finished_at = state.value, now()
    await session.flush()


async def is_disabled(session: AsyncSession, principal_id: UUID) -> bool:
    principal = await session.get_one(Principal, principal_id)
    return principal.disabled_at is not None


_NEXT = text(
    """
    SELECT question.ordinal, question.text, question.judgements, question.answers
    FROM evaluation_question question
    WHERE question.set_id = :set_id
      AND NOT EXISTS (SELECT 1 FROM evaluation_result result
                      WHERE result.run_id = :run_id AND result.ordinal = question.ordinal)
    ORDER BY question.ordinal
    LIMIT :max_rows
    """
)


async def unasked_questions(
    session: AsyncSession, run: EvaluationRun, max_rows: int
) -> Sequence[RowMapping]:
    """`ordinal`, `text`, `judgements` and `answers` of the next questions of the run."""
    rows = await session.execute(
        _NEXT, {"set_id": run.set_id, "run_id": run.id, "max_rows": max_rows}
    )
    return rows.mappings().all()


async def keep_result(
    session: AsyncSession, run: EvaluationRun, ordinal: int, figures: Mapping[str, float]
) -> None:
    """What came first of a question stays; nothing is kept of a run that is over, or another workflow's."""
    await session.execute(
        text(
            "INSERT INTO evaluation_result (run_id, ordinal, tenant_id, figures)"
            " SELECT id, :ordinal, tenant_id, :figures FROM evaluation_run"
            " WHERE id = :run_id AND workflow_id = :workflow_id AND finished_at IS NULL"
            # As the notes after it, so that two never wait for each other.
            " FOR NO KEY UPDATE"
            " ON CONFLICT (run_id, ordinal) DO NOTHING"
        ).bindparams(bindparam("figures", type_=JSONB)),
        {
            "run_id": run.id,
            "workflow_id": run.workflow_id,
            "ordinal": ordinal,
            "figures": dict(figures),
        },
    )


async def add_notes(session: AsyncSession, run_id: UUID, notes: Sequence[str]) -> None:
    """Each once."""
    if notes:
        await session.execute(
            text(
                "UPDATE evaluation_run SET notes = ARRAY(SELECT DISTINCT note"
                " FROM unnest(notes || CAST(:notes AS varchar[])) AS note ORDER BY note)"
                " WHERE id = :run_id AND finished_at IS NULL"
                " AND NOT notes @> CAST(:notes AS varchar[])"
            ),
            {"run_id": run_id, "notes": list(notes)},
        )


async def count_results(session: AsyncSession, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many questions were asked, by run."""
    rows = await session.execute(
        text(
            "SELECT run_id, count(*) FROM evaluation_result WHERE run_id = ANY(:ids)"
            " GROUP BY run_id"
        ),
        {"ids": list(run_ids)},
    )
    return {run_id: int(count) for run_id, count in rows}


async def documents_by_metadata(
    session: AsyncSession, file_ids: Sequence[UUID], name: str
) -> dict[UUID, str]:
    """What the files call themselves in that field of their metadata."""
    rows = await session.execute(
        text(
            "SELECT id, metadata ->> :name AS value FROM file WHERE id = ANY(:ids)"
            " AND metadata ->> :name IS NOT NULL"
        ),
        {"ids": list(file_ids), "name": name},
    )
    return {row.id: row.value for row in rows}


async def all_figures(session: AsyncSession, run_id: UUID) -> list[Mapping[str, JsonValue]]:
    """Of each question that was asked."""
    rows = await session.scalars(
        select(col(EvaluationResult.figures))
        .where(col(EvaluationResult.run_id) == run_id)
        .order_by(col(EvaluationResult.ordinal))
    )
    return list(rows.all())


async def measured_questions(session: AsyncSession, run: EvaluationRun) -> list[MeasuredQuestion]:
    """Those that were asked, in the order of the set."""
    rows = await session.execute(
        select(EvaluationQuestion, EvaluationResult)
        .join(EvaluationResult, col(EvaluationResult.ordinal) == col(EvaluationQuestion.ordinal))
        .where(col(EvaluationQuestion.set_id) == run.set_id, col(EvaluationResult.run_id) == run.id)
        .order_by(col(EvaluationQuestion.ordinal))
    )
    return [
        MeasuredQuestion(question.ordinal, question.question_id, question.text, result.figures)
        for question, result in rows
    ]


async def metrics_of(
    session: AsyncSession, run_ids: Sequence[UUID]
) -> dict[UUID, dict[str, float]]:
    """By run, then by name."""
    rows = await session.scalars(
        select(EvaluationMetric)
        .where(col(EvaluationMetric.run_id).in_(run_ids))
        .order_by(col(EvaluationMetric.name))
    )
    found: dict[UUID, dict[str, float]] = {}
    for metric in rows:
        found.setdefault(metric.run_id, {})[metric.name] = metric.value
    return found


async def previous_runs(session: AsyncSession, run_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """By run the last one of the same set before it that was completed."""
    rows = await session.execute(
        text(
            """
            SELECT run.id, earlier.id AS previous_id
            FROM evaluation_run run
            CROSS JOIN LATERAL (
                SELECT id FROM evaluation_run before
                WHERE before.set_id = run.set_id AND before.state = 'completed'
                  AND (before.created_at, before.id) < (run.created_at, run.id)
                ORDER BY before.created_at DESC, before.id DESC LIMIT 1
            ) earlier
            WHERE run.id = ANY(:ids)
            """
        ),
        {"ids": list(run_ids)},
    )
    return {row.id: row.previous_id for row in rows}


async def list_runs(
    session: AsyncSession,
    principal_id: UUID | None,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[tuple[EvaluationRun, EvaluationSet]]:
    """Newest first; only that principal's where one is given."""
    statement = (
        select(EvaluationRun, EvaluationSet)
        .join(EvaluationSet, col(EvaluationSet.id) == col(EvaluationRun.set_id))
        .order_by(col(EvaluationRun.created_at).desc(), col(EvaluationRun.id).desc())
        .limit(limit)
    )
    if principal_id is not None:
        statement = statement.where(col(EvaluationSet.principal_id) == principal_id)
    if after is not None:
        at, run_id = after
        statement = statement.where(
            text("(evaluation_run.created_at, evaluation_run.id) < (:at, :run_id)").bindparams(
                at=at, run_id=run_id
            )
        )
    return [(run, asked) for run, asked in (await session.execute(statement)).all()]


async def has_open_run(session: AsyncSession, set_id: UUID) -> bool:
    found = await session.scalar(
        select(col(EvaluationRun.id)).where(
            col(EvaluationRun.set_id) == set_id, col(EvaluationRun.finished_at).is_(None)
        )
    )
    return found is not None


async def delete_set(session: AsyncSession, set_id: UUID) -> None:
    """With its questions, its runs and what they measured."""
    await session.execute(delete(EvaluationSet).where(col(EvaluationSet.id) == set_id))


async def forget_older(session: AsyncSession, kept: timedelta) -> None:
    """Drops runs that ended longer ago than that, and sets that have none left and get none by night: those
    of principals that may no longer come in too."""
    await session.execute(
        text("DELETE FROM evaluation_run WHERE finished_at < now() - CAST(:kept AS interval)"),
        {"kept": kept},
    )
    spent = await session.scalars(
        text(
            "SELECT id FROM evaluation_set asked WHERE created_at < now() - CAST(:kept AS interval)"
            " AND (NOT is_nightly OR EXISTS (SELECT 1 FROM principal"
            " WHERE principal.id = asked.principal_id AND disabled_at IS NOT NULL))"
            " AND NOT EXISTS (SELECT 1 FROM evaluation_run WHERE set_id = asked.id)"
            " FOR UPDATE SKIP LOCKED"
        ),
        {"kept": kept},
    )
    # Looked at again: one that was locked a moment ago may have a run by now, or be of every night.
    await session.execute(
        text(
            "DELETE FROM evaluation_set WHERE id = ANY(:ids)"
            " AND NOT EXISTS (SELECT 1 FROM evaluation_run WHERE set_id = evaluation_set.id)"
        ),
        {"ids": list(spent)},
    )

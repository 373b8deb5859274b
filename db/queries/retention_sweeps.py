"""Sweeps of what retention has ended for: which files are next, how far one has come, what was decided."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import File, RetentionDecision, RetentionPolicy, RetentionSweep
from muniment.contracts.jobs import FileState
from muniment.contracts.retention import Disposition
from muniment.contracts.retention_sweep import RetentionVerdict, SweepState

GONE = (FileState.RESTRICTED, FileState.ERASING, FileState.ERASED)
"""Of files in these states nothing is to become any more."""


async def disposes_of_anything(session: AsyncSession) -> bool:
    """Whether a policy that stands says that something becomes of its files."""
    found = await session.scalar(
        select(col(RetentionPolicy.id))
        .where(
            col(RetentionPolicy.ended_at).is_(None),
            col(RetentionPolicy.disposition) != Disposition.NONE,
        )
        .limit(1)
    )
    return found is not None


async def open_sweep(session: AsyncSession, wanted: RetentionSweep) -> RetentionSweep:
    """The tenant's open sweep, or this new one; locked."""
    await session.execute(
        text(
            "INSERT INTO retention_sweep (id, tenant_id, workflow_id, state, is_dry_run, as_of,"
            " requested_by, created_at, files, held, due_deletions, due_reviews, due_relabelings,"
            " acted, deleted, reviews, relabelled, passed_over)"
            " VALUES (:id, :tenant_id, :workflow_id, 'judging', :is_dry_run, :as_of, :requested_by,"
            " now(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
            " ON CONFLICT (tenant_id) WHERE finished_at IS NULL DO NOTHING"
        ),
        {
            "id": wanted.id,
            "tenant_id": wanted.tenant_id,
            "workflow_id": wanted.workflow_id,
            "is_dry_run": wanted.is_dry_run,
            "as_of": wanted.as_of,
            "requested_by": wanted.requested_by,
        },
    )
    found = await session.scalars(
        select(RetentionSweep).where(col(RetentionSweep.finished_at).is_(None)).with_for_update()
    )
    return found.one()


async def is_open_for(session: AsyncSession, workflow_id: str) -> bool:
    """Whether the open sweep is that workflow's."""
    statement = select(col(RetentionSweep.id)).where(
        col(RetentionSweep.finished_at).is_(None), col(RetentionSweep.workflow_id) == workflow_id
    )
    return await session.scalar(statement) is not None


async def sweep_at_work(
    session: AsyncSession, sweep_id: UUID, workflow_id: str
) -> RetentionSweep | None:
    """The sweep, locked; None once it is over, or another workflow's."""
    sweep = await session.get(RetentionSweep, sweep_id, with_for_update=True)
    if sweep is None or sweep.finished_at is not None or sweep.workflow_id != workflow_id:
        return None
    return sweep


async def next_files(session: AsyncSession, after: UUID | None, max_rows: int) -> list[UUID]:
    """Ids of files behind that one, in their order."""
    statement = select(col(File.id)).where(col(File.state).not_in(GONE)).order_by(col(File.id))
    if after is not None:
        statement = statement.where(col(File.id) > after)
    return list(await session.scalars(statement.limit(max_rows)))


async def lock_files(session: AsyncSession, file_ids: Sequence[UUID]) -> Sequence[File]:
    """Those of them that are still there, in the order of their ids."""
    found = await session.scalars(
        select(File)
        .where(col(File.id).in_(file_ids), col(File.state).not_in(GONE))
        .order_by(col(File.id))
        .with_for_update(of=File)
        .execution_options(populate_existing=True)
    )
    return found.all()


async def verdict_on(session: AsyncSession, sweep: RetentionSweep) -> RetentionVerdict | None:
    """What was decided about what the sweep found last; of what it found before nothing counts."""
    decided = await session.scalar(
        select(col(RetentionDecision.verdict))
        .where(
            col(RetentionDecision.sweep_id) == sweep.id,
            col(RetentionDecision.created_at) >= sweep.judged_at,
        )
        .order_by(col(RetentionDecision.created_at), col(RetentionDecision.id))
        .limit(1)
    )
    return None if decided is None else RetentionVerdict(decided)


async def get_sweep(
    session: AsyncSession, sweep_id: UUID, *, for_update: bool = False
) -> RetentionSweep | None:
    return await session.get(RetentionSweep, sweep_id, with_for_update=for_update)


async def list_sweeps(
    session: AsyncSession,
    states: Sequence[SweepState],
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[RetentionSweep]:
    """Newest first, behind `after` (time, id); in any state where none is given."""
    statement = select(RetentionSweep).order_by(
        col(RetentionSweep.created_at).desc(), col(RetentionSweep.id).desc()
    )
    if states:
        statement = statement.where(col(RetentionSweep.state).in_(states))
    if after is not None:
        order = tuple_(col(RetentionSweep.created_at), col(RetentionSweep.id))
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def decisions_about(
    session: AsyncSession, *, sweep_id: UUID | None = None, disposition_id: UUID | None = None
) -> Sequence[RetentionDecision]:
    """In the order in which they were made."""
    column, value = (
        (col(RetentionDecision.sweep_id), sweep_id)
        if disposition_id is None
        else (col(RetentionDecision.disposition_id), disposition_id)
    )
    found = await session.scalars(
        select(RetentionDecision)
        .where(column == value)
        .order_by(col(RetentionDecision.created_at), col(RetentionDecision.id))
    )
    return found.all()

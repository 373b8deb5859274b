"""Files that wait for people to say whether they are deleted."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Disposition, new_id
from muniment.contracts.retention_sweep import DispositionState


async def open_disposition(
    session: AsyncSession, tenant_id: UUID, file_id: UUID, sweep_id: UUID, policies: Sequence[UUID]
) -> UUID | None:
    """Its id; None where the file waits already, or somebody said that it is kept for longer."""
    made = await session.execute(
        text(
            "INSERT INTO disposition (id, tenant_id, file_id, sweep_id, state, policies, created_at)"
            " SELECT :id, :tenant_id, :file_id, :sweep_id, 'open', :policies, now()"
            " WHERE NOT EXISTS (SELECT FROM disposition former WHERE former.file_id = :file_id"
            " AND former.keep_until > now())"
            " ON CONFLICT (file_id) WHERE ended_at IS NULL DO NOTHING RETURNING id"
        ),
        {
            "id": new_id(),
            "tenant_id": tenant_id,
            "file_id": file_id,
            "sweep_id": sweep_id,
            "policies": list(policies),
        },
    )
    return made.scalar_one_or_none()


async def withdraw(session: AsyncSession, file_ids: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """Those that wait for these files; their ids, and the files'."""
    if not file_ids:
        return []
    rows = await session.execute(
        text(
            "UPDATE disposition SET state = 'withdrawn', ended_at = now()"
            " WHERE file_id = ANY(:file_ids) AND ended_at IS NULL RETURNING id, file_id"
        ),
        {"file_ids": list(file_ids)},
    )
    return [(row.id, row.file_id) for row in rows]


async def withdraw_gone(session: AsyncSession, max_rows: int) -> list[tuple[UUID, UUID]]:
    """As `withdraw`, those of files that are erased, or to be, by whatever way."""
    rows = await session.scalars(
        text(
            "SELECT disposition.file_id FROM disposition JOIN file ON file.id = disposition.file_id"
            " WHERE disposition.ended_at IS NULL"
            " AND file.state IN ('restricted', 'erasing', 'erased') LIMIT :max_rows"
        ),
        {"max_rows": max_rows},
    )
    return await withdraw(session, list(rows))


async def get_disposition(
    session: AsyncSession, disposition_id: UUID, *, for_update: bool = False
) -> Disposition | None:
    return await session.get(Disposition, disposition_id, with_for_update=for_update)


async def list_dispositions(
    session: AsyncSession,
    states: Sequence[DispositionState],
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[Disposition]:
    """Newest first, behind `after` (time, id); in any state where none is given."""
    statement = select(Disposition).order_by(
        col(Disposition.created_at).desc(), col(Disposition.id).desc()
    )
    if states:
        statement = statement.where(col(Disposition.state).in_(states))
    if after is not None:
        order = tuple_(col(Disposition.created_at), col(Disposition.id))
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()

"""The activity feed, as far as the caller may see what it speaks of now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.activity_feed import OF_GRANTS, OF_SHARES, ActivityKind
from db.models import Activity, File, FileVersion, Job, Principal
from db.queries.files import TO_BE_ERASED, has_level
from muniment.contracts.jobs import FileState

_Caller = aliased(Principal)
MOST_LOOKED_THROUGH = 10_000
"""Entries for one page of the feed: whoever may see few of many does not keep the database busy."""
_FORGOTTEN = (*TO_BE_ERASED, FileState.ERASED)


@dataclass(frozen=True)
class ActivityFilter:
    """Which entries to list; None and empty mean any."""

    file_id: UUID | None = None
    actor_id: UUID | None = None
    kinds: Sequence[str] = ()


@dataclass(frozen=True)
class ActivityEntry:
    """An entry with the names of the present: of the file, and of who did it (None: nobody did, or
    whoever did was deleted)."""

    activity: Activity
    file_name: str
    actor_name: str | None
    version_number: int | None


async def list_activity(
    session: AsyncSession,
    wanted: ActivityFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> list[ActivityEntry]:
    """Newest first; nothing of a file that the caller may not read now, or that is to be erased. Of the
    next MOST_LOOKED_THROUGH entries only: `looked_up_to` says where to go on."""
    looked_at = (
        _looked_at(wanted, after).limit(MOST_LOOKED_THROUGH).cte().prefix_with("MATERIALIZED")
    )
    number = func.coalesce(col(Activity.version_number), col(FileVersion.number))
    statement = (
        select(Activity, col(File.name), col(Principal.name), number)
        .join(File, col(File.id) == col(Activity.file_id))
        .outerjoin(
            Principal,
            and_(col(Principal.id) == col(Activity.actor_id), col(Principal.deleted_at).is_(None)),
        )
        .outerjoin(Job, col(Job.id) == col(Activity.job_id))
        .outerjoin(FileVersion, col(FileVersion.id) == col(Job.version_id))
        .where(col(Activity.id).in_(select(looked_at.c.id)), *_allowed(), *_of_kinds(wanted))
        .order_by(col(Activity.at).desc(), col(Activity.id).desc())
        .limit(limit)
    )
    rows = await session.execute(statement)
    return [ActivityEntry(row[0], row[1], row[2], row[3]) for row in rows]


async def looked_up_to(
    session: AsyncSession, wanted: ActivityFilter, after: tuple[datetime, UUID] | None
) -> tuple[datetime, UUID] | None:
    """The last entry that `list_activity` looks at; None when it comes to the end."""
    last = _looked_at(wanted, after).offset(MOST_LOOKED_THROUGH - 1).limit(1)
    row = (await session.execute(last)).one_or_none()
    return None if row is None else (row.at, row.id)


def _looked_at(
    wanted: ActivityFilter, after: tuple[datetime, UUID] | None
) -> Select[UUID, datetime]:
    """In the order of an index, whatever the caller may see of them."""
    statement = select(col(Activity.id), col(Activity.at)).order_by(
        col(Activity.at).desc(), col(Activity.id).desc()
    )
    if wanted.file_id is not None:
        statement = statement.where(col(Activity.file_id) == wanted.file_id)
    if wanted.actor_id is not None:
        statement = statement.where(col(Activity.actor_id) == wanted.actor_id)
    if after is not None:
        statement = statement.where(tuple_(col(Activity.at), col(Activity.id)) < after)
    return statement


def _allowed() -> list[ColumnElement[bool]]:
    principal = func.current_principal()
    administrators = select(col(_Caller.id)).where(col(_Caller.is_admin))
    return [
        col(File.state).not_in(_FORGOTTEN),
        has_level(col(Activity.file_id), "read"),
        or_(col(Activity.kind).not_in(OF_GRANTS), has_level(col(Activity.file_id), "manage")),
        or_(
            col(Activity.kind).not_in(OF_SHARES),
            col(Activity.actor_id) == principal,
            principal.in_(administrators),
        ),
    ]


def _of_kinds(wanted: ActivityFilter) -> list[ColumnElement[bool]]:
    return [col(Activity.kind).in_(wanted.kinds or [*ActivityKind])]

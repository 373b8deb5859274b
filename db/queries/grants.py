"""Grants, as far as the caller may see them: those on what it manages, and those to itself or a
group of its."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from db.models import AccessGrant, Collection, File, GroupMember, new_id, now
from db.queries.collections import allowed
from db.queries.files import visible


@dataclass(frozen=True)
class GrantPair:
    """To whom (a principal or a group), and on what (a file or a collection): of each two, one."""

    principal_id: UUID | None = None
    group_id: UUID | None = None
    file_id: UUID | None = None
    collection_id: UUID | None = None


def _visible() -> ColumnElement[bool]:
    principal = func.current_principal()
    groups = select(col(GroupMember.group_id)).where(col(GroupMember.principal_id) == principal)
    # For each grant by its file: all that the caller manages may be a million.
    files = select(col(File.id)).where(col(File.id) == col(AccessGrant.file_id), visible("manage"))
    managed = select(col(Collection.id)).where(allowed("manage"))
    return or_(
        col(AccessGrant.principal_id) == principal,
        col(AccessGrant.group_id).in_(groups),
        files.exists(),
        col(AccessGrant.collection_id).in_(managed),
    )


async def get_grant(
    session: AsyncSession, grant_id: UUID, *, for_update: bool = False
) -> AccessGrant | None:
    statement = select(AccessGrant).where(col(AccessGrant.id) == grant_id, _visible())
    if for_update:
        statement = statement.with_for_update(of=AccessGrant)
    return (await session.scalars(statement)).one_or_none()


async def list_grants(
    session: AsyncSession,
    wanted: GrantPair,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[AccessGrant]:
    """Newest first; None means any."""
    statement = (
        select(AccessGrant)
        .where(_visible(), *_matching(wanted))
        .order_by(col(AccessGrant.created_at).desc(), col(AccessGrant.id).desc())
        .limit(limit)
    )
    if after is not None:
        key = tuple_(col(AccessGrant.created_at), col(AccessGrant.id))
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


def _matching(wanted: GrantPair) -> list[ColumnElement[bool]]:
    return [column == value for column, value in _columns(wanted) if value is not None]


def _columns(pair: GrantPair) -> tuple[tuple[Mapped[UUID | None], UUID | None], ...]:
    return (
        (col(AccessGrant.principal_id), pair.principal_id),
        (col(AccessGrant.group_id), pair.group_id),
        (col(AccessGrant.file_id), pair.file_id),
        (col(AccessGrant.collection_id), pair.collection_id),
    )


async def find_pair(session: AsyncSession, pair: GrantPair) -> AccessGrant | None:
    """The grant of exactly this pair, locked; of what the caller was already found to manage. By
    equality and IS NULL, which an index serves and IS NOT DISTINCT FROM does not."""
    found = await session.scalars(
        select(AccessGrant)
        .where(
            *(
                column == value if value is not None else column.is_(None)
                for column, value in _columns(pair)
            )
        )
        .with_for_update()
    )
    return found.one_or_none()


async def add_grant(
    session: AsyncSession, tenant_id: UUID, pair: GrantPair, level: str
) -> AccessGrant:
    """The grant; of two that are added at once for one pair the later level counts."""
    statement = (
        insert(AccessGrant)
        .values(
            id=new_id(),
            tenant_id=tenant_id,
            principal_id=pair.principal_id,
            group_id=pair.group_id,
            file_id=pair.file_id,
            collection_id=pair.collection_id,
            level=level,
            created_at=now(),
        )
        .on_conflict_do_update(constraint="ux_access_grant_pair", set_={"level": level})
        .returning(AccessGrant)
    )
    return (await session.scalars(statement)).one()

"""Names of principals and groups, for whoever grants something to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Principal, PrincipalGroup


@dataclass(frozen=True)
class Named:
    """`kind`: user, service or group."""

    kind: str
    id: UUID
    name: str


async def find_names(session: AsyncSession, query: str, *, limit: int) -> Sequence[Named]:
    """Those that hold the query, whatever the case of its letters; what begins with it first."""
    principals = select(col(Principal.kind), col(Principal.id), col(Principal.name)).where(
        col(Principal.disabled_at).is_(None),
        col(Principal.deleted_at).is_(None),
        col(Principal.name).icontains(query, autoescape=True),
    )
    groups = select(
        literal("group").label("kind"), col(PrincipalGroup.id), col(PrincipalGroup.name)
    ).where(col(PrincipalGroup.name).icontains(query, autoescape=True))
    named = union_all(principals, groups).subquery()
    begins = named.c.name.istartswith(query, autoescape=True)
    rows = await session.execute(
        select(named.c.kind, named.c.id, named.c.name)
        .order_by(begins.desc(), named.c.name, named.c.id)
        .limit(limit)
    )
    return [Named(*row) for row in rows]

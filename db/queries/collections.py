"""Collections, as far as the caller may see or change them.

A principal sees a collection of the whole tenant, one of its own, one granted to it or to a group of
its, and every collection when it is an administrator. It may put files into those of the whole
tenant, and into others with a `write` grant; it changes those it owns or has a `manage` grant for. One
that is disabled has none of that, in what goes on in its name either.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import AccessGrant, Collection, File, GroupMember, Principal, now
from muniment.contracts.jobs import FileState
from muniment.contracts.language_models import ModelUse
from muniment.contracts.text_modes import TextMode

_LEVELS = ("read", "write", "manage")


@cache
def allowed(level: str) -> ColumnElement[bool]:
    """Whether the current principal has the level (`read`, `write`, `manage`) on a collection. Made once
    for each: it takes longer to be made than to be sent."""
    principal = func.current_principal()
    groups = select(col(GroupMember.group_id)).where(col(GroupMember.principal_id) == principal)
    administrator = select(col(Principal.id)).where(
        col(Principal.id) == principal, col(Principal.is_admin)
    )
    grant = select(col(AccessGrant.id)).where(
        col(AccessGrant.collection_id) == col(Collection.id),
        col(AccessGrant.level).in_(_LEVELS[_LEVELS.index(level) :]),
        or_(
            col(AccessGrant.principal_id) == principal,
            col(AccessGrant.group_id).in_(groups),
        ),
    )
    conditions = [
        principal.is_(None),
        administrator.exists(),
        col(Collection.owner_id) == principal,
        grant.exists(),
    ]
    if level != "manage":
        conditions.append(col(Collection.visibility) == "tenant")
    disabled = select(col(Principal.id)).where(
        col(Principal.id) == principal, col(Principal.disabled_at).is_not(None)
    )
    return and_(or_(*conditions), ~disabled.exists())


async def list_collections(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> Sequence[Collection]:
    """Newest first."""
    statement = (
        select(Collection)
        .where(allowed("read"))
        .order_by(col(Collection.created_at).desc(), col(Collection.id).desc())
        .limit(limit)
    )
    if after is not None:
        key = tuple_(col(Collection.created_at), col(Collection.id))
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


async def get_collection(
    session: AsyncSession, collection_id: UUID, *, level: str = "read", for_update: bool = False
) -> Collection | None:
    """With the level `write` it is not deleted before the end of the transaction, so that a file can
    be put into it."""
    statement = _of_level(col(Collection.id) == collection_id, level)
    if for_update:
        statement = statement.with_for_update(of=Collection)
    return (await session.scalars(statement)).one_or_none()


async def find_collection(
    session: AsyncSession, name_or_id: str, *, level: str = "read"
) -> Collection | None:
    """By name or, when no name fits, by id; kept from being deleted as by `get_collection`."""
    by_name = _of_level(col(Collection.name) == name_or_id, level)
    found = (await session.scalars(by_name)).one_or_none()
    if found is not None:
        return found
    try:
        collection_id = UUID(name_or_id)
    except ValueError:
        return None
    return await get_collection(session, collection_id, level=level)


async def uses_of_searched(session: AsyncSession, name_or_id: str | None) -> frozenset[ModelUse]:
    """What models may read of what a question asks of this collection, or of all that the tenant has; NONE
    where the caller may not read the one that is named."""
    if name_or_id is not None:
        found = await find_collection(session, name_or_id)
        return frozenset({ModelUse(found.language_models) if found else ModelUse.NONE})
    rows = await session.scalars(select(col(Collection.language_models)).distinct())
    return frozenset(map(ModelUse, rows))


def _of_level(wanted: ColumnElement[bool], level: str) -> Select[Collection]:
    statement = select(Collection).where(wanted, allowed(level))
    if level == "write":
        return statement.with_for_update(read=True, key_share=True, of=Collection)
    return statement


async def collection_names(session: AsyncSession, ids: set[UUID]) -> dict[UUID, str]:
    """The names by id, for showing files that the caller already may see."""
    if not ids:
        return {}
    rows = await session.execute(
        select(col(Collection.id), col(Collection.name)).where(col(Collection.id).in_(ids))
    )
    return {row[0]: row[1] for row in rows}


async def name_is_taken(session: AsyncSession, name: str) -> bool:
    found = await session.scalars(select(col(Collection.id)).where(col(Collection.name) == name))
    return found.one_or_none() is not None


async def text_mode_of(session: AsyncSession, collection_id: UUID) -> TextMode:
    """Of a collection that the caller's file lies in, whatever the caller may see of it."""
    statement = select(col(Collection.text_mode)).where(col(Collection.id) == collection_id)
    return TextMode((await session.scalars(statement)).one())


async def holds_content(session: AsyncSession, collection_id: UUID) -> bool:
    """Whether the collection has files of which something may be kept, those in the trash included: any
    that is not erased."""
    statement = (
        select(col(File.id))
        .where(col(File.collection_id) == collection_id, col(File.state) != FileState.ERASED)
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none() is not None


async def let_go_of_erased_files(session: AsyncSession, collection_id: UUID, most: int) -> int:
    """What remains of so many erased files, or of fewer if there are no more, belongs to no collection from
    now on; of how many."""
    chosen = (
        select(col(File.id))
        .where(col(File.collection_id) == collection_id, col(File.state) == FileState.ERASED)
        .limit(most)
    )
    let_go = await session.execute(
        update(File)
        .where(col(File.id).in_(chosen))
        .values(collection_id=None, revision=col(File.revision) + 1, updated_at=now())
        .returning(col(File.id))
        .execution_options(synchronize_session=False)
    )
    return len(let_go.all())

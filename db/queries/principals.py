"""Principals and groups: who there is, who belongs to what, and what a principal owns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import (
    AccessGrant,
    ApiKey,
    Batch,
    Collection,
    ExternalIdentity,
    File,
    GroupMember,
    Principal,
    PrincipalGroup,
    PrincipalPassword,
    now,
)
from db.queries.invitations import forget_of_principal
from db.queries.sign_ins import end_sign_ins
from muniment.contracts.jobs import FileState


@dataclass(frozen=True)
class PrincipalFilter:
    """Which principals to list; None means any."""

    name: str | None = None
    kind: str | None = None
    group_id: UUID | None = None


@dataclass(frozen=True)
class Owned:
    """What a principal owns: files that are not erased, collections, and batches under way, whose
    files become its own."""

    files: int
    collections: int
    batches: int

    def __bool__(self) -> bool:
        return any((self.files, self.collections, self.batches))


# ── principals ──────────────────────────────────────────────────────────────────────────────────


async def get_principal(
    session: AsyncSession, principal_id: UUID, *, for_update: bool = False, stays: bool = False
) -> Principal | None:
    """None when there is none, or it was deleted. `for_update`: nothing that would belong to it is
    committed before the end of the transaction. `stays`: it is not deleted before then; nobody who
    does its work waits for that."""
    statement = select(Principal).where(
        col(Principal.id) == principal_id, col(Principal.deleted_at).is_(None)
    )
    if for_update:
        statement = statement.with_for_update()
    elif stays:
        statement = statement.with_for_update(read=True, key_share=True)
    return (await session.scalars(statement)).one_or_none()


async def list_principals(
    session: AsyncSession,
    wanted: PrincipalFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[Principal]:
    """Newest first, those that were deleted left out."""
    statement = (
        select(Principal)
        .where(col(Principal.deleted_at).is_(None))
        .order_by(col(Principal.created_at).desc(), col(Principal.id).desc())
        .limit(limit)
    )
    if wanted.name is not None:
        statement = statement.where(col(Principal.name) == wanted.name)
    if wanted.kind is not None:
        statement = statement.where(col(Principal.kind) == wanted.kind)
    if wanted.group_id is not None:
        members = select(col(GroupMember.principal_id)).where(
            col(GroupMember.group_id) == wanted.group_id
        )
        statement = statement.where(col(Principal.id).in_(members))
    if after is not None:
        key = tuple_(col(Principal.created_at), col(Principal.id))
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


async def is_administrator(session: AsyncSession, principal_id: UUID) -> bool:
    """Whether it is one now; unlocked, so that it may cease to be, or begin."""
    found = await session.scalar(
        select(col(Principal.is_admin)).where(col(Principal.id) == principal_id)
    )
    return bool(found)


async def lock_administrators(session: AsyncSession) -> set[UUID]:
    """The administrators who can come in, none of whom ceases to be one before the end of the
    transaction. Whoever is about to end one's administration calls this before it locks a principal:
    so two who end each other's at once take turns, and do not wait for each other."""
    found = await session.scalars(
        select(col(Principal.id))
        .where(
            col(Principal.is_admin),
            col(Principal.disabled_at).is_(None),
        )
        .order_by(col(Principal.id))
        .with_for_update(key_share=True)
    )
    return set(found)


async def count_owned(session: AsyncSession, principal_id: UUID) -> Owned:
    async def count(*conditions: ColumnElement[bool]) -> int:
        return await session.scalar(select(func.count()).where(*conditions)) or 0

    return Owned(
        files=await count(col(File.owner_id) == principal_id, *_NOT_ERASED),
        collections=await count(col(Collection.owner_id) == principal_id),
        batches=await count(*_open_batches(principal_id)),
    )


async def hand_over(session: AsyncSession, principal_id: UUID, successor_id: UUID) -> None:
    """Everything that `count_owned` counts becomes the successor's."""
    await session.execute(
        update(File)
        .where(col(File.owner_id) == principal_id, *_NOT_ERASED)
        .values(owner_id=successor_id)
    )
    await session.execute(
        update(Collection)
        .where(col(Collection.owner_id) == principal_id)
        .values(owner_id=successor_id)
    )
    await session.execute(
        update(Batch).where(*_open_batches(principal_id)).values(requested_by=successor_id)
    )


_NOT_ERASED = (col(File.state) != FileState.ERASED.value,)


def _open_batches(principal_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (col(Batch.requested_by) == principal_id, col(Batch.finished_at).is_(None))


async def strip(session: AsyncSession, principal: Principal) -> None:
    """Takes from a principal that is being deleted its name, its rights and every way in. The row
    stays: jobs and audit events name it."""
    await session.execute(
        update(ApiKey)
        .where(col(ApiKey.principal_id) == principal.id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=now())
    )
    await end_sign_ins(session, principal.id)
    await session.execute(
        delete(PrincipalPassword).where(col(PrincipalPassword.principal_id) == principal.id)
    )
    await session.execute(
        update(ExternalIdentity)
        .where(col(ExternalIdentity.principal_id) == principal.id)
        .values(issuer=None, subject=None)
    )
    await session.execute(delete(GroupMember).where(col(GroupMember.principal_id) == principal.id))
    await session.execute(delete(AccessGrant).where(col(AccessGrant.principal_id) == principal.id))
    await forget_of_principal(session, principal.id)
    principal.name = str(principal.id)
    principal.is_admin = False
    principal.deleted_at = now()
    principal.disabled_at = principal.disabled_at or principal.deleted_at


# ── groups ──────────────────────────────────────────────────────────────────────────────────────


async def get_group(
    session: AsyncSession, group_id: UUID, *, for_update: bool = False
) -> PrincipalGroup | None:
    statement = select(PrincipalGroup).where(col(PrincipalGroup.id) == group_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_groups(
    session: AsyncSession,
    *,
    name: str | None = None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[PrincipalGroup]:
    """Newest first."""
    statement = (
        select(PrincipalGroup)
        .order_by(col(PrincipalGroup.created_at).desc(), col(PrincipalGroup.id).desc())
        .limit(limit)
    )
    if name is not None:
        statement = statement.where(col(PrincipalGroup.name) == name)
    if after is not None:
        key = tuple_(col(PrincipalGroup.created_at), col(PrincipalGroup.id))
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


async def add_member(
    session: AsyncSession, tenant_id: UUID, group_id: UUID, principal_id: UUID
) -> bool:
    """Whether it was none before, or only by an issuer's word: from now on no token ends it."""
    added = await session.execute(
        insert(GroupMember)
        .values(
            tenant_id=tenant_id, group_id=group_id, principal_id=principal_id, from_issuer=False
        )
        .on_conflict_do_update(
            index_elements=["group_id", "principal_id"],
            set_={"from_issuer": False},
            where=col(GroupMember.from_issuer).is_(True),
        )
        .returning(col(GroupMember.principal_id))
    )
    return added.one_or_none() is not None


async def remove_member(session: AsyncSession, group_id: UUID, principal_id: UUID) -> bool:
    """Whether it was one before."""
    removed = await session.execute(
        delete(GroupMember)
        .where(
            col(GroupMember.group_id) == group_id,
            col(GroupMember.principal_id) == principal_id,
        )
        .returning(col(GroupMember.principal_id))
    )
    return removed.one_or_none() is not None

"""Whom an issuer of tokens means: external identities, and the groups that come with them.

The subject is looked up by its hash, under whatever tenant the token is for, before anything of that
tenant may be read. All else happens under row-level security.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import ExternalIdentity, GroupMember, Principal, PrincipalGroup


@dataclass(frozen=True)
class FoundIdentity:
    """In the tenant that a token is for. No principal: the subject is nobody's yet. A principal that
    was deleted is disabled, too."""

    tenant_id: UUID
    principal_id: UUID | None
    is_admin: bool
    is_disabled: bool
    groups_at: datetime | None


def identity_hash(issuer: str, subject: str) -> bytes:
    """SHA-256 of both, with the length of the first, so that no two pairs agree."""
    parts = (issuer.encode(), subject.encode())
    return hashlib.sha256(len(parts[0]).to_bytes(8, "big") + b"".join(parts)).digest()


async def find_identity(
    session: AsyncSession, tenant_name: str, hashed: bytes
) -> FoundIdentity | None:
    """None where there is no such tenant, or it is disabled; needs no tenant to be set."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, principal_id, is_admin, is_disabled, groups_at"
            " FROM find_external_identity(:tenant, :hash)"
        ),
        {"tenant": tenant_name, "hash": hashed},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return FoundIdentity(
        row.tenant_id, row.principal_id, bool(row.is_admin), row.is_disabled, row.groups_at
    )


async def lock_identity(session: AsyncSession, hashed: bytes) -> None:
    """Until the end of the transaction nobody else binds this identity, in whichever tenant."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:hash, 19))"), {"hash": hashed.hex()}
    )


async def get_identity(
    session: AsyncSession, hashed: bytes, *, for_update: bool = False
) -> ExternalIdentity | None:
    """The tenant's, by what it is of."""
    statement = select(ExternalIdentity).where(col(ExternalIdentity.identity_hash) == hashed)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def identity_of(session: AsyncSession, principal_id: UUID) -> ExternalIdentity | None:
    statement = select(ExternalIdentity).where(col(ExternalIdentity.principal_id) == principal_id)
    return (await session.scalars(statement)).one_or_none()


async def may_come_in(session: AsyncSession, hashed: bytes, principal_id: UUID) -> bool:
    """Whether the identity still means this principal, and that is not disabled."""
    found = await session.scalars(
        select(col(Principal.id))
        .join(ExternalIdentity, col(ExternalIdentity.principal_id) == col(Principal.id))
        .where(
            col(Principal.id) == principal_id,
            col(Principal.disabled_at).is_(None),
            col(ExternalIdentity.identity_hash) == hashed,
        )
    )
    return found.one_or_none() is not None


async def forget_identity(session: AsyncSession, principal_id: UUID) -> None:
    """With the memberships that came of it."""
    await session.execute(
        delete(ExternalIdentity).where(col(ExternalIdentity.principal_id) == principal_id)
    )
    await session.execute(
        delete(GroupMember).where(
            col(GroupMember.principal_id) == principal_id, col(GroupMember.from_issuer)
        )
    )


@dataclass(frozen=True)
class ChangedGroups:
    added: list[UUID]
    removed: list[UUID]


async def take_groups(
    session: AsyncSession, tenant_id: UUID, principal_id: UUID, names: Collection[str]
) -> ChangedGroups:
    """Has the principal belong to the tenant's groups of these names, and of those that an issuer put
    it into to no others. What somebody here put it into stays. None of these groups is deleted before
    the end of the transaction."""
    wanted = (
        await session.scalars(
            select(col(PrincipalGroup.id))
            .where(col(PrincipalGroup.name).in_(names))
            .order_by(col(PrincipalGroup.id))
            .with_for_update(read=True, key_share=True)
        )
    ).all()
    removed = await session.scalars(
        delete(GroupMember)
        .where(
            col(GroupMember.principal_id) == principal_id,
            col(GroupMember.from_issuer),
            col(GroupMember.group_id).not_in(wanted),
        )
        .returning(col(GroupMember.group_id))
    )
    if not wanted:
        return ChangedGroups([], list(removed))
    added = await session.scalars(
        insert(GroupMember)
        .values(
            [
                {
                    "tenant_id": tenant_id,
                    "group_id": group_id,
                    "principal_id": principal_id,
                    "from_issuer": True,
                }
                for group_id in wanted
            ]
        )
        .on_conflict_do_nothing()
        .returning(col(GroupMember.group_id))
    )
    return ChangedGroups(list(added), list(removed))

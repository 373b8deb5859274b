"""Invitations: how one is found by its secret, and what becomes of it.

Before the secret is proved no tenant is known: `across_tenants` then. All else happens under row-level
security.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Invitation, InvitationGroup, Principal, PrincipalGroup, now

KEPT = timedelta(days=30)
"""For so long one that is over is listed: it holds a name."""
_MOST_FORGOTTEN = 500
_MOST_TENANTS = 100


@dataclass(frozen=True)
class FoundInvitation:
    tenant_id: UUID
    invitation_id: UUID


async def find_invitation(session: AsyncSession, token_hash: bytes) -> FoundInvitation | None:
    """None as well while its maker is no administrator who can come in; needs no tenant to be set."""
    rows = await session.execute(
        text("SELECT tenant_id, invitation_id FROM find_invitation(:hash)"), {"hash": token_hash}
    )
    row = rows.one_or_none()
    return None if row is None else FoundInvitation(row.tenant_id, row.invitation_id)


async def hold_tenant(session: AsyncSession) -> None:
    """Nobody disables the transaction's tenant before its end. Before any principal of it is locked, as
    whoever disables it does: each would else wait for the other."""
    await session.execute(text("SELECT hold_tenant()"))


async def lock_acceptable(session: AsyncSession, invitation_id: UUID) -> Invitation | None:
    """The invitation, if it may still be accepted; it and its maker stay as they are until the end of the
    transaction. The maker is locked first, as wherever one is deleted."""
    made_by = select(col(Invitation.created_by)).where(col(Invitation.id) == invitation_id)
    maker = await session.scalars(
        select(col(Principal.id))
        .where(
            col(Principal.id) == made_by.scalar_subquery(),
            col(Principal.is_admin),
            col(Principal.disabled_at).is_(None),
        )
        .with_for_update(read=True)
    )
    if maker.one_or_none() is None:
        return None
    found = await session.scalars(
        select(Invitation)
        .where(
            col(Invitation.id) == invitation_id,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
            col(Invitation.expires_at) > now(),
        )
        .with_for_update()
    )
    return found.one_or_none()


async def get_invitation(
    session: AsyncSession, invitation_id: UUID, *, for_update: bool = False
) -> Invitation | None:
    statement = select(Invitation).where(col(Invitation.id) == invitation_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_invitations(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> Sequence[Invitation]:
    """Newest first."""
    statement = (
        select(Invitation)
        .order_by(col(Invitation.created_at).desc(), col(Invitation.id).desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(col(Invitation.created_at), col(Invitation.id)) < after)
    return (await session.scalars(statement)).all()


async def groups_of(
    session: AsyncSession, invitation_ids: Collection[UUID]
) -> dict[UUID, list[UUID]]:
    """By invitation; a group that was deleted is none any more."""
    rows = await session.execute(
        select(col(InvitationGroup.invitation_id), col(InvitationGroup.group_id))
        .where(col(InvitationGroup.invitation_id).in_(invitation_ids))
        .order_by(col(InvitationGroup.group_id))
    )
    groups: dict[UUID, list[UUID]] = {each: [] for each in invitation_ids}
    for invitation_id, group_id in rows:
        groups[invitation_id].append(group_id)
    return groups


async def lock_groups(session: AsyncSession, group_ids: Collection[UUID]) -> set[UUID]:
    """Those that there are; none of them is deleted before the end of the transaction."""
    found = await session.scalars(
        select(col(PrincipalGroup.id))
        .where(col(PrincipalGroup.id).in_(group_ids))
        .order_by(col(PrincipalGroup.id))
        .with_for_update(read=True)
    )
    return set(found)


async def count_open(session: AsyncSession) -> int:
    """The tenant's, counted by one transaction at a time."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock("
            "hashtextextended('invitation ' || (SELECT current_tenant())::text, 0))"
        )
    )
    counted = (
        select(func.count())
        .select_from(Invitation)
        .where(
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
            col(Invitation.expires_at) > now(),
        )
    )
    return int((await session.execute(counted)).scalar_one())


async def has_principal(session: AsyncSession, name: str) -> bool:
    """Whether somebody of the tenant has the name."""
    found = await session.scalars(
        select(col(Principal.id)).where(
            col(Principal.name) == name, col(Principal.deleted_at).is_(None)
        )
    )
    return found.first() is not None


async def close_expired(session: AsyncSession, name: str) -> None:
    """Those of this name that nobody accepted in time, so that it may be invited anew. They were over
    when they ended, which is how they are told from what was revoked."""
    await session.execute(
        update(Invitation)
        .where(
            col(Invitation.name) == name,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
            col(Invitation.expires_at) <= now(),
        )
        .values(revoked_at=col(Invitation.expires_at))
    )


async def tenants_with_spent(session: AsyncSession, after: UUID | None) -> list[UUID]:
    """Those with invitations that are over for `KEPT`; in the order of their ids, some at a time."""
    rows = await session.execute(
        text(
            "SELECT tenant_id FROM tenants_with_spent_invitations("
            ":kept, CAST(:after AS uuid), :max_rows)"
        ),
        {"kept": KEPT, "after": after, "max_rows": _MOST_TENANTS},
    )
    return list(rows.scalars())


async def forget_spent(session: AsyncSession) -> int:
    """Some of the tenant's that are over for `KEPT`, but none that somebody works on; how many."""
    over_since = func.coalesce(
        col(Invitation.accepted_at), col(Invitation.revoked_at), col(Invitation.expires_at)
    )
    over = (
        select(col(Invitation.id))
        .where(over_since < now() - KEPT)
        .limit(_MOST_FORGOTTEN)
        .with_for_update(skip_locked=True)
    )
    forgotten = await session.scalars(
        delete(Invitation).where(col(Invitation.id).in_(over)).returning(col(Invitation.id))
    )
    return len(forgotten.all())


async def forget_of_principal(session: AsyncSession, principal_id: UUID) -> None:
    """Of somebody who is deleted: the one that holds its name, and what it made and nobody accepted."""
    await session.execute(delete(Invitation).where(col(Invitation.principal_id) == principal_id))
    await session.execute(
        update(Invitation)
        .where(
            col(Invitation.created_by) == principal_id,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
        )
        .values(revoked_at=now())
    )

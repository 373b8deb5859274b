"""Invitations: making, showing, taking back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.invitations.schemas import Invitation, NewInvitation, State
from api.principals.service import TAKEN, require_may_empower, require_may_manage
from db.audit import record
from db.models import Invitation as InvitationRecord
from db.models import InvitationGroup, now
from db.queries import invitations
from muniment.api_keys import Prefix, hash_api_key
from muniment.checked_secrets import new_secret
from muniment.errors import Conflict, NotFound, Unprocessable

LIFETIME = timedelta(days=7)
LONGEST_LIFETIME = timedelta(days=30)
MOST_OPEN = 1_000
"""Of a tenant: each is a way in."""


@dataclass(frozen=True)
class Made:
    view: Invitation
    token: str = field(repr=False)


async def create(session: AsyncSession, caller: Caller, body: NewInvitation) -> Made:
    """Raises Forbidden for whom the caller may not let in, Conflict for a name that is taken or invited,
    Unprocessable for groups that there are not and times out of bounds."""
    require_may_empower(caller, is_admin=body.is_admin)
    expires_at = _end(body.expires_at)
    wanted = set(body.groups)
    if wanted - await invitations.lock_groups(session, wanted):
        raise _refused("groups", "names a group that there is not")
    if await invitations.count_open(session) >= MOST_OPEN:
        raise Conflict(
            f"{MOST_OPEN} invitations are open", remedy="Revoke those that nobody will accept."
        )
    await invitations.close_expired(session, body.name)
    if await invitations.has_principal(session, body.name):
        raise Conflict(TAKEN)
    token = new_secret(Prefix.INVITATION)
    made = InvitationRecord(
        tenant_id=caller.tenant_id,
        created_by=caller.principal_id,
        name=body.name,
        is_admin=body.is_admin,
        token_hash=hash_api_key(token),
        expires_at=expires_at,
    )
    session.add(made)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(
            "this name is invited already", remedy="Revoke that invitation to make another."
        ) from error
    for group_id in sorted(wanted):
        session.add(
            InvitationGroup(invitation_id=made.id, group_id=group_id, tenant_id=caller.tenant_id)
        )
    payload: dict[str, JsonValue] = {
        "is_admin": made.is_admin,
        "groups": [str(group_id) for group_id in sorted(wanted)],
        **_came_with(caller),
    }
    record(session, caller.act("invitation.created", "invitation", made.id, payload))
    return Made(_view(made, sorted(wanted)), token)


async def require_invitation(
    session: AsyncSession, invitation_id: UUID, *, for_update: bool = False
) -> InvitationRecord:
    found = await invitations.get_invitation(session, invitation_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such invitation")
    return found


async def revoke(session: AsyncSession, caller: Caller, invitation_id: UUID) -> Invitation:
    """One that was revoked stays so. Raises Conflict for one that was accepted."""
    found = await require_invitation(session, invitation_id, for_update=True)
    require_may_manage(caller, is_admin=found.is_admin)
    if found.accepted_at is not None:
        raise Conflict(
            "the invitation was accepted",
            remedy="Disable or delete the principal that came of it.",
        )
    if found.revoked_at is None:
        found.revoked_at = now()
        record(session, caller.act("invitation.revoked", "invitation", found.id))
    return (await views(session, [found]))[0]


async def views(session: AsyncSession, found: Sequence[InvitationRecord]) -> list[Invitation]:
    groups = await invitations.groups_of(session, [each.id for each in found])
    return [_view(each, groups[each.id]) for each in found]


def _view(found: InvitationRecord, groups: list[UUID]) -> Invitation:
    return Invitation(
        groups=groups,
        state=_state_of(found),
        **found.model_dump(exclude={"tenant_id", "token_hash"}),
    )


def _state_of(found: InvitationRecord) -> State:
    if found.accepted_at is not None:
        return "accepted"
    if found.revoked_at is not None and found.revoked_at != found.expires_at:
        return "revoked"
    return "expired" if found.expires_at <= now() else "open"


def _came_with(caller: Caller) -> dict[str, JsonValue]:
    """By which what a copied token or key invited is found and revoked."""
    ways = {"sign_in_id": caller.sign_in_id, "key_id": caller.key_id}
    return {name: str(way) for name, way in ways.items() if way is not None}


def _end(wanted: datetime | None) -> datetime:
    moment = now()
    if wanted is None:
        return moment + LIFETIME
    if not moment < wanted <= moment + LONGEST_LIFETIME:
        raise _refused("expires_at", f"lies within the next {LONGEST_LIFETIME.days} days")
    return wanted


def _refused(name: str, detail: str) -> Unprocessable:
    return Unprocessable(f"{name} {detail}", errors=[{"field": name, "detail": detail}])

"""Accepting an invitation: whoever shows its secret becomes a principal, with a way in of its own."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.invitations.schemas import Acceptance, AcceptedInvitation
from api.oidc.people import Issuer, prove
from api.oidc.service import bind_subject
from api.services import Services
from api.sign_ins.attempts import attempting
from db.audit import Act, record
from db.models import Invitation, Principal, Tenant, now
from db.queries import invitations, principals, sign_ins
from db.queries.invitations import FoundInvitation
from db.session import Access, Database
from muniment.api_keys import Prefix, hash_api_key, is_well_formed
from muniment.errors import Conflict, NotFound
from muniment.telemetry import context


@dataclass(frozen=True)
class _Password:
    hashed: str


@dataclass(frozen=True)
class _Subject:
    issuer: Issuer
    subject: str


async def accept(request: Request, services: Services, body: Acceptance) -> AcceptedInvitation:
    """Raises NotFound in the same words for every secret that opens nothing, TooManyAttempts,
    Unauthenticated for an issuer's token that does not count, and Conflict where the name was taken
    meanwhile."""
    secret = body.token.get_secret_value()
    hashed = hash_api_key(secret)
    limits = services.people.limits
    async with attempting(services.database, limits, request, "", hashed.hex()) as attempt:
        found = await _find(services.database, secret, hashed)
        if found is None:
            attempt.failed = True
            raise _gone()
        way_in = await _way_in(services, found, body)
        async with services.database.transaction(Access(found.tenant_id)) as session:
            accepted = await _become(session, found, way_in)
        attempt.succeeded = True
    return accepted


async def _find(database: Database, secret: str, hashed: bytes) -> FoundInvitation | None:
    if not is_well_formed(secret, Prefix.INVITATION):
        return None
    async with database.across_tenants() as session:
        return await invitations.find_invitation(session, hashed)


async def _way_in(
    services: Services, found: FoundInvitation, body: Acceptance
) -> _Password | _Subject:
    if body.password is not None:
        return _Password(await services.people.passwords.hash(body.password))
    issuer = services.people.issuer
    if issuer is None or body.issuer_token is None:
        raise Conflict(
            "there is no issuer whose tokens are taken", remedy="Choose a password instead."
        )
    async with services.database.transaction(Access(found.tenant_id)) as session:
        tenant = await session.get_one(Tenant, found.tenant_id)
    token = body.issuer_token.get_secret_value()
    return _Subject(issuer, await prove(issuer, token, tenant.name))


async def _become(
    session: AsyncSession, found: FoundInvitation, way_in: _Password | _Subject
) -> AcceptedInvitation:
    """Of two who come at once with one secret, the second finds it used."""
    await invitations.hold_tenant(session)
    invitation = await invitations.lock_acceptable(session, found.invitation_id)
    if invitation is None:
        raise _gone()
    tenant = await session.get_one(Tenant, invitation.tenant_id)
    made = await _add_principal(session, invitation)
    if isinstance(way_in, _Password):
        await sign_ins.set_password(session, made.tenant_id, made.id, way_in.hashed)
        record(session, _act(made, "password.set", "principal", made.id))
    else:
        await bind_subject(session, way_in.issuer, made, way_in.subject)
        record(session, _act(made, "principal.identity_bound", "principal", made.id))
    invitation.accepted_at = now()
    invitation.principal_id = made.id
    payload: dict[str, JsonValue] = {"principal_id": str(made.id)}
    record(session, _act(made, "invitation.accepted", "invitation", invitation.id, payload))
    return AcceptedInvitation(principal_id=made.id, name=made.name, tenant=tenant.name)


async def _add_principal(session: AsyncSession, invitation: Invitation) -> Principal:
    groups = (await invitations.groups_of(session, [invitation.id]))[invitation.id]
    kept = await invitations.lock_groups(session, groups)
    made = Principal(
        tenant_id=invitation.tenant_id,
        kind="user",
        name=invitation.name,
        is_admin=invitation.is_admin,
    )
    session.add(made)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(
            "somebody else has the name by now",
            remedy="If you came in already, ask for the groups; else for an invitation of another name.",
        ) from error
    payload: dict[str, JsonValue] = {
        "kind": made.kind,
        "is_admin": made.is_admin,
        "invitation_id": str(invitation.id),
    }
    record(session, _act(made, "principal.created", "principal", made.id, payload))
    member: dict[str, JsonValue] = {"principal_id": str(made.id)}
    for group_id in sorted(kept):
        await principals.add_member(session, made.tenant_id, group_id, made.id)
        record(session, _act(made, "group.member_added", "group", group_id, member))
    return made


def _gone() -> NotFound:
    return NotFound(
        "there is no such invitation, or it is over",
        remedy="Ask whoever invited you for another one; who accepted it signs in.",
    )


def _act(
    actor: Principal,
    action: str,
    object_type: str,
    object_id: UUID,
    payload: dict[str, JsonValue] | None = None,
) -> Act:
    """Of the one who came of it: whoever made it did so before."""
    return Act(
        action=action,
        object_type=object_type,
        object_id=object_id,
        tenant_id=actor.tenant_id,
        actor_id=actor.id,
        request_id=context.request_id(),
        payload=payload or {},
    )

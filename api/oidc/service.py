"""Binding principals to subjects of the issuer."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.oidc.people import Issuer
from api.oidc.schemas import Identity, NewIdentity
from api.preconditions import require_match
from api.principals.service import (
    entity_tag,
    require_may_empower,
    require_may_manage,
    require_principal,
)
from db.audit import record
from db.models import ExternalIdentity, Principal
from db.queries import identities, principals
from db.queries.identities import identity_hash
from muniment.errors import Conflict, NotFound


async def show(session: AsyncSession, principal_id: UUID) -> Identity:
    await require_principal(session, principal_id)
    return _view(await _require_bound(session, principal_id))


async def bind(
    session: AsyncSession,
    caller: Caller,
    issuer: Issuer | None,
    if_match: str | None,
    principal_id: UUID,
    body: NewIdentity,
) -> Identity:
    """Raises Forbidden for whom the caller may not let in, and Conflict for a subject that means
    another principal, and where no issuer is configured."""
    found = await require_principal(session, principal_id, for_update=True)
    require_match(if_match, entity_tag(found))
    require_may_empower(caller, is_admin=found.is_admin)
    if issuer is None:
        raise Conflict(
            "there is no issuer whose subjects could be bound",
            remedy="The operator sets MUNIMENT_OIDC__ISSUER.",
        )
    hashed = identity_hash(issuer.name, body.subject)
    await identities.lock_identity(session, hashed)
    bound = await identities.get_identity(session, hashed)
    if bound is not None and bound.principal_id == found.id:
        return _view(bound)
    made = await bind_subject(session, issuer, found, body.subject)
    found.revision += 1
    record(session, caller.act("principal.identity_bound", "principal", found.id))
    return _view(made)


async def bind_subject(
    session: AsyncSession, issuer: Issuer, principal: Principal, subject: str
) -> ExternalIdentity:
    """In place of the one before. Raises Conflict for a subject that means another principal."""
    hashed = identity_hash(issuer.name, subject)
    await identities.lock_identity(session, hashed)
    bound = await identities.get_identity(session, hashed)
    if bound is not None and bound.principal_id != principal.id:
        await _require_free(session, bound)
    await identities.forget_identity(session, principal.id)
    made = ExternalIdentity(
        tenant_id=principal.tenant_id,
        identity_hash=hashed,
        principal_id=principal.id,
        issuer=issuer.name,
        subject=subject,
    )
    session.add(made)
    await session.flush()
    return made


async def unbind(
    session: AsyncSession, caller: Caller, if_match: str | None, principal_id: UUID
) -> None:
    """The memberships that came of the issuer's word go with it."""
    found = await require_principal(session, principal_id, for_update=True)
    require_match(if_match, entity_tag(found))
    require_may_manage(caller, is_admin=found.is_admin)
    await _require_bound(session, found.id)
    await identities.forget_identity(session, found.id)
    found.revision += 1
    record(session, caller.act("principal.identity_unbound", "principal", found.id))


async def _require_free(session: AsyncSession, bound: ExternalIdentity) -> None:
    """That of a principal who was deleted is, for whom an administrator means by it now."""
    if await principals.get_principal(session, bound.principal_id) is not None:
        raise Conflict(
            "another principal is bound to this subject", remedy="Unbind that one first."
        )
    await identities.forget_identity(session, bound.principal_id)


async def _require_bound(session: AsyncSession, principal_id: UUID) -> ExternalIdentity:
    bound = await identities.identity_of(session, principal_id)
    if bound is None:
        raise NotFound("the principal is bound to no subject")
    return bound


def _view(bound: ExternalIdentity) -> Identity:
    return Identity.model_validate(bound, from_attributes=True)

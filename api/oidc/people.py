"""Whom an issuer's token means here: its principal, who may be made for it, with its groups."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.oidc.verifying import NotAccepted, Proven, TokenVerifier
from api.principals.schemas import clean_name
from db.audit import Act, record
from db.models import ExternalIdentity, Principal
from db.queries import identities
from db.queries.access import Authenticated
from db.queries.identities import FoundIdentity, identity_hash
from db.session import Access, Database
from muniment.api_keys import scopes_of_role
from muniment.errors import Unauthenticated
from muniment.telemetry import context

MAX_NAME_CHARACTERS = 200
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IssuerPolicy:
    """What the operator lets the issuer say."""

    tenant: str
    tenant_claim: str | None
    creates: bool
    name_claim: str
    groups_claim: str | None
    scopes: Literal["role", "token"]


@dataclass(frozen=True)
class Issuer:
    """One for each process, where one is configured."""

    verifier: TokenVerifier
    policy: IssuerPolicy

    @property
    def name(self) -> str:
        return self.verifier.issuer


def looks_issued(secret: str) -> bool:
    """Whether it has the form of a signed token (RFC 7515, 7.1), which none of our secrets has."""
    return secret.count(".") == 2


async def recognise(database: Database, issuer: Issuer, token: str) -> Authenticated:
    """Raises Unauthenticated in the same words for whatever is wrong, but that a token ran out, and
    IssuerUnavailable. The log says more."""
    try:
        proven = await issuer.verifier.verify(token)
        return await _principal_of(database, issuer, proven)
    except NotAccepted as refused:
        raise _refusal(refused) from None


async def prove(issuer: Issuer, token: str, tenant: str) -> str:
    """The subject of a token that is for this tenant, whether it means a principal yet or not. Raises
    what `recognise` raises."""
    try:
        proven = await issuer.verifier.verify(token)
        if _tenant_of(issuer.policy, proven) != tenant:
            raise NotAccepted("the token is for another tenant")
    except NotAccepted as refused:
        raise _refusal(refused) from None
    return proven.subject


def _refusal(refused: NotAccepted) -> Unauthenticated:
    """For whoever came with the token; the log says more."""
    logger.warning("a token of the issuer was refused", extra={"reason": refused.reason})
    if refused.is_expired:
        return Unauthenticated(
            "the access token has expired", remedy="Get a new one from its issuer."
        )
    return Unauthenticated(
        "the access token is not accepted here",
        remedy="Ask the operator; the API's log has the reason under this request's id.",
    )


async def _principal_of(database: Database, issuer: Issuer, proven: Proven) -> Authenticated:
    policy = issuer.policy
    hashed = identity_hash(issuer.name, proven.subject)
    tenant = _tenant_of(policy, proven)
    async with database.across_tenants() as session:
        found = await identities.find_identity(session, tenant, hashed)
    if found is None:
        raise NotAccepted("there is no such tenant, or it is disabled")
    if found.principal_id is None:
        found = await _make(database, issuer, proven, tenant, found)
    if found.is_disabled or found.principal_id is None:
        raise NotAccepted("the principal is disabled, or was deleted")
    if policy.groups_claim is not None and _is_news(found, proven):
        names = _strings(proven.claims.get(policy.groups_claim))
        who = found.principal_id
        await _take_groups(database, found.tenant_id, who, hashed, proven, names)
    scopes = scopes_of_role(is_admin=found.is_admin)
    if policy.scopes == "token":
        scopes &= _scopes_named(proven.claims)
    return Authenticated(
        None,
        found.tenant_id,
        found.principal_id,
        scopes,
        found.is_admin,
        ends_at=proven.ends_at,
        identity_hash=hashed,
    )


def _tenant_of(policy: IssuerPolicy, proven: Proven) -> str:
    if policy.tenant_claim is None:
        return policy.tenant
    named = proven.claims.get(policy.tenant_claim)
    if not isinstance(named, str) or not named.isprintable():
        raise NotAccepted("the claim that names the tenant is missing")
    return named


def _scopes_named(claims: Mapping[str, JsonValue]) -> frozenset[str]:
    """Of `scope` (RFC 8693, 4.2) or `scp`, a string of words or a list of them."""
    named = _strings(claims.get("scope")) | _strings(claims.get("scp"))
    return frozenset(word for each in named for word in each.split(" "))


def _strings(claim: JsonValue) -> frozenset[str]:
    """Those of a claim that is one or a list of them."""
    listed = claim if isinstance(claim, list) else [claim]
    return frozenset(each for each in listed if isinstance(each, str) and each.isprintable())


async def _make(
    database: Database, issuer: Issuer, proven: Proven, tenant: str, found: FoundIdentity
) -> FoundIdentity:
    """A principal for a subject that comes for the first time, who is no administrator."""
    if not issuer.policy.creates:
        raise NotAccepted(
            "the subject is bound to no principal: PUT /v1/principals/{id}/identity binds one, and"
            " MUNIMENT_OIDC__CREATE_PRINCIPALS makes principals of whoever comes"
        )
    name = _name_of(issuer.policy, proven)
    try:
        async with database.transaction(Access(found.tenant_id)) as session:
            await _add_principal(session, found.tenant_id, name, issuer.name, proven.subject)
    except IntegrityError:
        # Whoever has the name is not known to be the same person.
        raise NotAccepted(
            "a principal of this name is bound to no subject: PUT /v1/principals/{id}/identity"
            " binds it, if it is the same person"
        ) from None
    hashed = identity_hash(issuer.name, proven.subject)
    async with database.across_tenants() as session:
        again = await identities.find_identity(session, tenant, hashed)
    return again or found


async def _add_principal(
    session: AsyncSession, tenant_id: UUID, name: str, issuer: str, subject: str
) -> None:
    """Of two who come at once the second finds what the first has made."""
    hashed = identity_hash(issuer, subject)
    await identities.lock_identity(session, hashed)
    if await identities.get_identity(session, hashed) is not None:
        return
    made = Principal(tenant_id=tenant_id, kind="user", name=name)
    session.add(made)
    await session.flush()
    session.add(
        ExternalIdentity(
            tenant_id=tenant_id,
            identity_hash=hashed,
            principal_id=made.id,
            issuer=issuer,
            subject=subject,
        )
    )
    payload: dict[str, JsonValue] = {"kind": "user", "is_admin": False}
    record(session, _act(tenant_id, made.id, "principal.created", "principal", made.id, payload))


def _name_of(policy: IssuerPolicy, proven: Proven) -> str:
    for offered in (proven.claims.get(policy.name_claim), proven.subject):
        if isinstance(offered, str) and 0 < len(offered) <= MAX_NAME_CHARACTERS:
            try:
                return clean_name(offered)
            except ValueError:
                continue
    raise NotAccepted("neither the claim nor the subject makes a name")


def _is_news(found: FoundIdentity, proven: Proven) -> bool:
    """Of several tokens the one that was issued last says which groups there are."""
    return found.groups_at is None or proven.issued_at > found.groups_at


async def _take_groups(
    database: Database,
    tenant_id: UUID,
    principal_id: UUID,
    hashed: bytes,
    proven: Proven,
    names: frozenset[str],
) -> None:
    async with database.transaction(Access(tenant_id)) as session:
        identity = await identities.get_identity(session, hashed, for_update=True)
        if identity is None or identity.principal_id != principal_id:
            return
        if identity.groups_at is not None and identity.groups_at >= proven.issued_at:
            return
        identity.groups_at = proven.issued_at
        changed = await identities.take_groups(session, tenant_id, principal_id, names)
        for action, groups in (
            ("group.member_added", changed.added),
            ("group.member_removed", changed.removed),
        ):
            for group_id in groups:
                payload: dict[str, JsonValue] = {"principal_id": str(principal_id)}
                act = _act(tenant_id, principal_id, action, "group", group_id, payload)
                record(session, act)


def _act(
    tenant_id: UUID,
    actor_id: UUID,
    action: str,
    object_type: str,
    object_id: UUID,
    payload: dict[str, JsonValue],
) -> Act:
    """Of somebody whom the issuer's word made or moved, which the payload says."""
    return Act(
        action=action,
        object_type=object_type,
        object_id=object_id,
        tenant_id=tenant_id,
        actor_id=actor_id,
        request_id=context.request_id(),
        payload={**payload, "issuer": True},
    )

"""Signing in, staying signed in, signing out, and changing one's password."""

import logging
from typing import Literal
from uuid import UUID

from fastapi import Request
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.principals.service import entity_tag, require_may_empower, require_principal
from api.services import Services
from api.sign_ins.attempts import attempting
from api.sign_ins.schemas import Me, NameAndPassword, PasswordChange, PasswordGrant, Tokens
from api.sign_ins.tokens import GivenT, Giving, begin_sign_in, issue
from db.audit import Act, record
from db.models import Principal, SignIn, Tenant, now
from db.queries import sign_ins
from db.queries.sign_ins import FoundPassword, FoundToken
from db.session import Access
from muniment.api_keys import Prefix, hash_api_key, is_well_formed
from muniment.errors import Conflict, Unauthenticated, Unprocessable
from muniment.telemetry import context

logger = logging.getLogger(__name__)
WRONG = "the name or the password is wrong"


async def sign_in(request: Request, services: Services, wanted: PasswordGrant) -> Tokens:
    """Raises what `begin` raises."""
    return await begin(request, services, wanted, issue)


async def begin(
    request: Request, services: Services, wanted: NameAndPassword, give: Giving[GivenT]
) -> GivenT:
    """A new sign-in, and what is given for it. Raises Unauthenticated, in the same words and after the
    same work whether there is such a name or not, and TooManyAttempts."""
    people = services.people
    async with attempting(
        services.database, people.limits, request, wanted.tenant, wanted.username
    ) as attempt:
        async with services.database.across_tenants() as session:
            found = await sign_ins.find_password(session, wanted.tenant, wanted.username)
        stored = found.password_hash if found else None
        is_right = await people.passwords.verify(stored, wanted.password)
        if found is None or not is_right:
            attempt.failed = True
            raise _wrong()
        rehashed = None
        if people.passwords.needs_rehash(found.password_hash):
            rehashed = await people.passwords.hash(wanted.password)
        given = await _begin(services, found, rehashed, give)
        attempt.succeeded = True
    return given


def _wrong() -> Unauthenticated:
    logger.info("somebody did not sign in")
    return Unauthenticated(WRONG, remedy="Check both; an administrator can set a new password.")


async def _begin(
    services: Services, found: FoundPassword, rehashed: str | None, give: Giving[GivenT]
) -> GivenT:
    lifetimes = services.people.lifetimes
    async with services.database.transaction(
        Access(found.tenant_id, found.principal_id)
    ) as session:
        if not await sign_ins.is_still_password(session, found):
            raise _wrong()
        if rehashed is not None:
            await sign_ins.rehash_password(session, found.principal_id, rehashed)
        principal = await require_principal(session, found.principal_id)
        made = await begin_sign_in(session, found.tenant_id, found.principal_id, lifetimes)
        given = await give(session, made, lifetimes, is_admin=principal.is_admin)
        record(session, _act("sign_in.began", made))
    return given


async def refresh(services: Services, refresh_token: str) -> Tokens:
    """Raises Unauthenticated. A token that was used before has been copied: the sign-in ends for
    everybody who has a token of it."""
    found = await _find_refresh(services, refresh_token)
    async with services.database.transaction(Access(found.tenant_id)) as session:
        tokens = await _rotate(session, services, found, hash_api_key(refresh_token))
    if tokens is None:
        raise Unauthenticated(
            "the refresh token was used before: its sign-in has ended",
            remedy="Sign in again; somebody else may have a copy of the token.",
        )
    return tokens


async def _find_refresh(services: Services, refresh_token: str) -> FoundToken:
    if is_well_formed(refresh_token, Prefix.REFRESH_TOKEN):
        async with services.database.across_tenants() as session:
            found = await sign_ins.find_token(
                session, hash_api_key(refresh_token), sign_ins.REFRESH
            )
        if found is not None:
            return found
    raise Unauthenticated(
        "the refresh token is unknown or expired, or its sign-in has ended",
        remedy="Sign in again.",
    )


async def _rotate(
    session: AsyncSession, services: Services, found: FoundToken, token_hash: bytes
) -> Tokens | None:
    """New tokens; None when the token was used before, and the sign-in has therefore ended. Whoever
    comes with the same token at the same time waits here, and comes second."""
    open_one = await sign_ins.lock_open_sign_in(session, found.sign_in_id)
    if open_one is None:
        return None
    if not await sign_ins.use_refresh_token(session, token_hash):
        open_one.ended_at = now()
        record(session, _act("sign_in.token_reused", open_one))
        return None
    await sign_ins.forget_expired_access(session, open_one.id)
    record(session, _act("sign_in.continued", open_one))
    return await issue(session, open_one, services.people.lifetimes, is_admin=found.is_admin)


async def sign_out(services: Services, token: str) -> None:
    """Ends the sign-in that the token, of whichever kind, belongs to; says nothing of one that is
    unknown (RFC 7009)."""
    for prefix, kind in (
        (Prefix.ACCESS_TOKEN, sign_ins.ACCESS),
        (Prefix.REFRESH_TOKEN, sign_ins.REFRESH),
        (Prefix.SESSION, sign_ins.SESSION),
    ):
        if not is_well_formed(token, prefix):
            continue
        async with services.database.across_tenants() as session:
            found = await sign_ins.find_token(session, hash_api_key(token), kind)
        if found is None:
            return
        async with services.database.transaction(Access(found.tenant_id)) as session:
            open_one = await sign_ins.lock_open_sign_in(session, found.sign_in_id)
            if open_one is not None:
                open_one.ended_at = now()
                record(session, _act("sign_in.ended", open_one))


async def me(services: Services, caller: Caller) -> Me:
    async with services.database.transaction(caller.access) as session:
        tenant, principal = await _named(session, caller)
    return Me(
        id=principal.id,
        kind="user" if principal.kind == "user" else "service",
        name=principal.name,
        is_admin=principal.is_admin,
        tenant_id=tenant.id,
        tenant=tenant.name,
        scopes=sorted(caller.scopes),
        came_with=_came_with(caller),
    )


def _came_with(caller: Caller) -> Literal["api_key", "sign_in", "issuer"]:
    if caller.key_id is not None:
        return "api_key"
    return "issuer" if caller.sign_in_id is None else "sign_in"


async def _named(session: AsyncSession, caller: Caller) -> tuple[Tenant, Principal]:
    tenant = await session.get_one(Tenant, caller.tenant_id)
    return tenant, await require_principal(session, caller.principal_id)


async def change_own_password(
    request: Request, services: Services, caller: Caller, body: PasswordChange
) -> None:
    """Ends every other sign-in of the caller. The present password is needed: a token that was
    copied gets nobody further. Counts as an attempt to sign in."""
    async with services.database.transaction(caller.access) as session:
        tenant, principal = await _named(session, caller)
    async with attempting(
        services.database, services.people.limits, request, tenant.name, principal.name
    ) as attempt:
        async with services.database.across_tenants() as session:
            found = await sign_ins.find_password(session, tenant.name, principal.name)
        stored = found.password_hash if found else None
        if not await services.people.passwords.verify(stored, body.current_password):
            attempt.failed = True
            detail = "is not the present password"
            raise Unprocessable(
                f"current_password {detail}",
                errors=[{"field": "current_password", "detail": detail}],
            )
        attempt.succeeded = True
    hashed = await services.people.passwords.hash(body.new_password)
    async with services.database.transaction(caller.access) as session:
        if found is None or not await sign_ins.is_still_password(session, found):
            raise Conflict("the password was changed meanwhile")
        await sign_ins.set_password(session, caller.tenant_id, caller.principal_id, hashed)
        await sign_ins.end_sign_ins(session, caller.principal_id, except_id=caller.sign_in_id)
        record(session, caller.act("password.changed", "principal", caller.principal_id))


async def set_password(
    services: Services,
    caller: Caller,
    if_match: str | None,
    principal_id: UUID,
    password: SecretStr,
) -> None:
    """Of a person, by an administrator; ends all of the person's sign-ins."""
    async with services.database.transaction(caller.access) as session:
        found = await _require_settable(session, caller, principal_id)
        require_match(if_match, entity_tag(found))
    hashed = await services.people.passwords.hash(password)
    async with services.database.transaction(caller.access) as session:
        found = await _require_settable(session, caller, principal_id, for_update=True)
        require_match(if_match, entity_tag(found))
        await sign_ins.set_password(session, caller.tenant_id, found.id, hashed)
        found.revision += 1
        await sign_ins.end_sign_ins(session, found.id)
        record(session, caller.act("password.set", "principal", found.id))


async def _require_settable(
    session: AsyncSession, caller: Caller, principal_id: UUID, *, for_update: bool = False
) -> Principal:
    """Raises Forbidden for whom the caller may not let in, Conflict for a program, and for the caller
    itself: a token that was copied would else become a password."""
    found = await require_principal(session, principal_id, for_update=for_update)
    require_may_empower(caller, is_admin=found.is_admin)
    if found.kind != "user":
        raise Conflict("a service principal has no password", remedy="Make an API key for it.")
    if found.id == caller.principal_id:
        raise Conflict(
            "nobody sets the own password without the present one",
            remedy="Change it at /v1/auth/password; another administrator sets a first one.",
        )
    return found


def _act(action: str, sign_in: SignIn) -> Act:
    return Act(
        action=action,
        object_type="sign_in",
        object_id=sign_in.id,
        tenant_id=sign_in.tenant_id,
        actor_id=sign_in.principal_id,
        request_id=context.request_id(),
    )

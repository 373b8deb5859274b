"""The tokens of a sign-in: short-lived for access, and to get new ones, each good once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.sign_ins.limits import TokenLifetimes
from api.sign_ins.schemas import Tokens
from db.models import BearerToken, SignIn, now
from db.queries import sign_ins
from muniment.api_keys import Prefix, hash_api_key, scopes_of_role
from muniment.checked_secrets import new_secret


@dataclass(frozen=True)
class NewSession:
    """`secret` is what the cookie holds; `ends_at`, when the session does at the latest."""

    secret: str = field(repr=False)
    ends_at: datetime
    scopes: frozenset[str]


GivenT = TypeVar("GivenT", covariant=True)


class Giving(Protocol[GivenT]):
    """What is given for a sign-in that has begun: tokens, or a session."""

    async def __call__(
        self, session: AsyncSession, sign_in: SignIn, lifetimes: TokenLifetimes, *, is_admin: bool
    ) -> GivenT: ...


async def begin_sign_in(
    session: AsyncSession, tenant_id: UUID, principal_id: UUID, lifetimes: TokenLifetimes
) -> SignIn:
    """A new one; forgets on the way those of the tenant that are over."""
    await sign_ins.forget_ended(session)
    made = SignIn(
        tenant_id=tenant_id, principal_id=principal_id, expires_at=now() + lifetimes.sign_in
    )
    session.add(made)
    await session.flush()
    return made


async def issue(
    session: AsyncSession, sign_in: SignIn, lifetimes: TokenLifetimes, *, is_admin: bool
) -> Tokens:
    """An access and a refresh token, neither of which outlives the sign-in."""
    moment = now()
    access_ends = min(moment + lifetimes.access, sign_in.expires_at)
    refresh_ends = min(moment + lifetimes.refresh, sign_in.expires_at)
    return Tokens(
        access_token=_add(session, sign_in, Prefix.ACCESS_TOKEN, sign_ins.ACCESS, access_ends),
        expires_in=_seconds(access_ends - moment),
        refresh_token=_add(session, sign_in, Prefix.REFRESH_TOKEN, sign_ins.REFRESH, refresh_ends),
        refresh_expires_in=_seconds(refresh_ends - moment),
        scope=" ".join(sorted(scopes_of_role(is_admin=is_admin))),
    )


async def open_session(
    session: AsyncSession, sign_in: SignIn, lifetimes: TokenLifetimes, *, is_admin: bool
) -> NewSession:
    """A browser's, which lasts while it is used, and no longer than the sign-in."""
    ends_at = min(now() + lifetimes.refresh, sign_in.expires_at)
    secret = _add(session, sign_in, Prefix.SESSION, sign_ins.SESSION, ends_at)
    return NewSession(secret, sign_in.expires_at, scopes_of_role(is_admin=is_admin))


def _add(
    session: AsyncSession, sign_in: SignIn, prefix: Prefix, kind: str, expires_at: datetime
) -> str:
    """The token, of which the hash is stored."""
    secret = new_secret(prefix)
    session.add(
        BearerToken(
            token_hash=hash_api_key(secret),
            tenant_id=sign_in.tenant_id,
            sign_in_id=sign_in.id,
            kind=kind,
            expires_at=expires_at,
        )
    )
    return secret


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())

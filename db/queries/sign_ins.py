"""Signing in: attempts, passwords, and the tokens of a sign-in.

Before a name or a token is proved no tenant is known: `across_tenants` then, and the functions that
the database has for that. All else happens under row-level security.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import BearerToken, Principal, PrincipalPassword, SignIn, now

ACCESS = "access"
REFRESH = "refresh"
SESSION = "session"
MOST_FORGOTTEN = 500
"""Sign-ins that one who comes in clears away: more are over where nobody came for long."""


@dataclass(frozen=True)
class AttemptLimit:
    """How often something may be tried within the time: a name or an address, by its hash."""

    subject: bytes
    most: int


@dataclass(frozen=True)
class FoundPassword:
    """The password of somebody who may come in."""

    tenant_id: UUID
    principal_id: UUID
    password_hash: str
    changed_at: datetime


@dataclass(frozen=True)
class FoundToken:
    """What a token of a sign-in that has not ended belongs to: one that is not expired, or a refresh
    token that was used."""

    sign_in_id: UUID
    tenant_id: UUID
    principal_id: UUID
    is_admin: bool


# ── across tenants ──────────────────────────────────────────────────────────────────────────────


async def reserve_attempt(
    session: AsyncSession, attempt_id: UUID, limits: list[AttemptLimit], within: timedelta
) -> timedelta | None:
    """Counts the attempt; when it is one too many it is not counted, and the answer says how long to
    wait."""
    waiting = await session.scalar(
        text(
            "SELECT reserve_sign_in(:attempt, CAST(:subjects AS bytea[]),"
            " CAST(:limits AS integer[]), :within)"
        ),
        {
            "attempt": attempt_id,
            "subjects": [limit.subject for limit in limits],
            "limits": [limit.most for limit in limits],
            "within": within,
        },
    )
    return waiting if isinstance(waiting, timedelta) else None


async def fail_attempt(session: AsyncSession, attempt_id: UUID) -> None:
    """The password was compared, and is another."""
    await session.execute(text("SELECT fail_sign_in(:attempt)"), {"attempt": attempt_id})


async def forgive_attempts(
    session: AsyncSession, attempt_id: UUID, name_subject: bytes | None
) -> None:
    """The attempt no longer counts, nor what failed before it at the name where one is given."""
    await session.execute(
        text("SELECT forgive_sign_in(:attempt, CAST(:subject AS bytea))"),
        {"attempt": attempt_id, "subject": name_subject},
    )


async def find_password(
    session: AsyncSession, tenant_name: str, principal_name: str
) -> FoundPassword | None:
    """None as well for whoever is disabled or has no password."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, principal_id, password_hash, changed_at"
            " FROM find_password(:tenant, :name)"
        ),
        {"tenant": tenant_name, "name": principal_name},
    )
    row = rows.one_or_none()
    return None if row is None else FoundPassword(*row)


async def find_token(session: AsyncSession, token_hash: bytes, kind: str) -> FoundToken | None:
    rows = await session.execute(
        text(
            "SELECT sign_in_id, tenant_id, principal_id, is_admin"
            " FROM authenticate_token(:hash, :kind)"
        ),
        {"hash": token_hash, "kind": kind},
    )
    row = rows.one_or_none()
    return None if row is None else FoundToken(*row)


# ── under row-level security ────────────────────────────────────────────────────────────────────


async def is_still_password(session: AsyncSession, found: FoundPassword) -> bool:
    """Whether the password that was verified is still the principal's, who may still come in; both
    stay so until the end of the transaction. The principal is locked first, as wherever a password
    is set."""
    enabled = await session.scalars(
        select(col(Principal.id))
        .where(col(Principal.id) == found.principal_id, col(Principal.disabled_at).is_(None))
        .with_for_update(read=True)
    )
    if enabled.one_or_none() is None:
        return False
    changed = await session.scalars(
        select(col(PrincipalPassword.changed_at))
        .where(col(PrincipalPassword.principal_id) == found.principal_id)
        .with_for_update()
    )
    return changed.one_or_none() == found.changed_at


async def password_of(session: AsyncSession, principal_id: UUID) -> str | None:
    """The hash of the principal's password."""
    found = await session.scalars(
        select(col(PrincipalPassword.password_hash)).where(
            col(PrincipalPassword.principal_id) == principal_id
        )
    )
    return found.one_or_none()


async def set_password(
    session: AsyncSession, tenant_id: UUID, principal_id: UUID, password_hash: str
) -> None:
    values = {"password_hash": password_hash, "changed_at": now()}
    await session.execute(
        insert(PrincipalPassword)
        .values(principal_id=principal_id, tenant_id=tenant_id, **values)
        .on_conflict_do_update(index_elements=["principal_id"], set_=values)
    )


async def rehash_password(session: AsyncSession, principal_id: UUID, password_hash: str) -> None:
    """The same password under other parameters."""
    await session.execute(
        update(PrincipalPassword)
        .where(col(PrincipalPassword.principal_id) == principal_id)
        .values(password_hash=password_hash)
    )


async def forget_ended(session: AsyncSession) -> None:
    """Removes some of the tenant's sign-ins that are over, with their tokens; whoever else is at it
    leaves them alone."""
    over = (
        select(col(SignIn.id))
        .where(col(SignIn.expires_at) < now())
        .order_by(col(SignIn.expires_at))
        .limit(MOST_FORGOTTEN)
        .with_for_update(skip_locked=True)
    )
    await session.execute(delete(SignIn).where(col(SignIn.id).in_(over)))


async def lock_open_sign_in(session: AsyncSession, sign_in_id: UUID) -> SignIn | None:
    """The sign-in if it has not ended, locked."""
    found = await session.scalars(
        select(SignIn)
        .where(
            col(SignIn.id) == sign_in_id,
            col(SignIn.ended_at).is_(None),
            col(SignIn.expires_at) > now(),
        )
        .with_for_update()
    )
    return found.one_or_none()


async def use_refresh_token(session: AsyncSession, token_hash: bytes) -> bool:
    """Whether this was its first use."""
    used = await session.execute(
        update(BearerToken)
        .where(col(BearerToken.token_hash) == token_hash, col(BearerToken.used_at).is_(None))
        .values(used_at=now())
        .returning(col(BearerToken.sign_in_id))
    )
    return used.one_or_none() is not None


async def forget_expired_access(session: AsyncSession, sign_in_id: UUID) -> None:
    await session.execute(
        delete(BearerToken).where(
            col(BearerToken.sign_in_id) == sign_in_id,
            col(BearerToken.kind) == ACCESS,
            col(BearerToken.expires_at) < now(),
        )
    )


async def end_sign_ins(
    session: AsyncSession, principal_id: UUID, *, except_id: UUID | None = None
) -> None:
    """All of the principal's, but one if that is said."""
    statement = update(SignIn).where(
        col(SignIn.principal_id) == principal_id, col(SignIn.ended_at).is_(None)
    )
    if except_id is not None:
        statement = statement.where(col(SignIn.id) != except_id)
    await session.execute(statement.values(ended_at=now()))


async def is_open(session: AsyncSession, sign_in_id: UUID) -> bool:
    """Whether a sign-in of the tenant has not ended, and its principal may still come in."""
    found = await session.scalars(
        select(col(SignIn.id))
        .join(Principal, col(Principal.id) == col(SignIn.principal_id))
        .where(
            col(SignIn.id) == sign_in_id,
            col(SignIn.ended_at).is_(None),
            col(SignIn.expires_at) > now(),
            col(Principal.disabled_at).is_(None),
        )
    )
    return found.one_or_none() is not None

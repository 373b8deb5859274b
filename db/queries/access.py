"""Who calls, which keys there are, and what was audited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import ApiKey, AuditEvent, Principal, StreamTicket, now
from db.queries import sign_ins
from muniment.api_keys import scopes_of_role


@dataclass(frozen=True)
class Authenticated:
    """What a valid key, token or ticket proves: it is of a key, of a sign-in, or else came of an
    issuer's token, which `ends_at` a time that it names itself and is for the subject of
    `identity_hash`."""

    key_id: UUID | None
    tenant_id: UUID
    principal_id: UUID
    scopes: frozenset[str]
    is_admin: bool
    sign_in_id: UUID | None = None
    ends_at: datetime | None = None
    identity_hash: bytes | None = None


async def authenticate(session: AsyncSession, key_hash: bytes) -> Authenticated | None:
    """The owner of a key that is neither expired nor revoked, unless it is disabled; needs no tenant
    to be set."""
    rows = await session.execute(
        text(
            "SELECT key_id, tenant_id, principal_id, scopes, is_admin"
            " FROM authenticate_api_key(:proof)"
        ),
        {"proof": key_hash},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return Authenticated(
        row.key_id, row.tenant_id, row.principal_id, frozenset(row.scopes), row.is_admin
    )


async def authenticate_access_token(
    session: AsyncSession, token_hash: bytes
) -> Authenticated | None:
    """Who signed in, unless the sign-in has ended or its principal is disabled; needs no tenant to be
    set. What the principal is now says which scopes it has."""
    found = await sign_ins.find_token(session, token_hash, sign_ins.ACCESS)
    if found is None:
        return None
    return Authenticated(
        None,
        found.tenant_id,
        found.principal_id,
        scopes_of_role(is_admin=found.is_admin),
        found.is_admin,
        found.sign_in_id,
    )


async def authenticate_session(
    session: AsyncSession, token_hash: bytes, unused: timedelta
) -> Authenticated | None:
    """As of an access token. Its end is put off: it comes when the session was unused for so long."""
    rows = await session.execute(
        text(
            "SELECT sign_in_id, tenant_id, principal_id, is_admin"
            " FROM authenticate_session(:hash, :unused)"
        ),
        {"hash": token_hash, "unused": unused},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    scopes = scopes_of_role(is_admin=row.is_admin)
    return Authenticated(
        None, row.tenant_id, row.principal_id, scopes, row.is_admin, row.sign_in_id
    )


async def is_valid_key(session: AsyncSession, key_id: UUID) -> bool:
    """Whether a key of the tenant is neither expired nor revoked now, and its principal not disabled."""
    found = await session.scalars(
        select(col(ApiKey.id))
        .join(Principal, col(Principal.id) == col(ApiKey.principal_id))
        .where(
            col(Principal.disabled_at).is_(None),
            col(ApiKey.id) == key_id,
            col(ApiKey.revoked_at).is_(None),
            or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now()),
        )
    )
    return found.one_or_none() is not None


async def use_stream_ticket(session: AsyncSession, ticket_hash: bytes) -> Authenticated | None:
    """The owner of a ticket, which is used up by this; needs no tenant to be set."""
    rows = await session.execute(
        text(
            "SELECT key_id, sign_in_id, tenant_id, principal_id, scopes, is_admin, ends_at,"
            " identity_hash FROM use_stream_ticket(:proof)"
        ),
        {"proof": ticket_hash},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    scopes = scopes_of_role(is_admin=row.is_admin)
    if row.sign_in_id is None:
        scopes = frozenset(row.scopes)
    return Authenticated(
        row.key_id,
        row.tenant_id,
        row.principal_id,
        scopes,
        row.is_admin,
        row.sign_in_id,
        row.ends_at,
        row.identity_hash,
    )


async def forget_stream_tickets(session: AsyncSession) -> None:
    """Removes the tenant's tickets whose minute is over."""
    await session.execute(delete(StreamTicket).where(col(StreamTicket.expires_at) < now()))


async def list_api_keys(
    session: AsyncSession,
    *,
    principal_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[ApiKey]:
    """Newest first; of one principal, or of the whole tenant when it is None."""
    statement = (
        select(ApiKey).order_by(col(ApiKey.created_at).desc(), col(ApiKey.id).desc()).limit(limit)
    )
    if principal_id is not None:
        statement = statement.where(col(ApiKey.principal_id) == principal_id)
    if after is not None:
        statement = statement.where(tuple_(col(ApiKey.created_at), col(ApiKey.id)) < after)
    return (await session.scalars(statement)).all()


async def revoke_api_key(
    session: AsyncSession, key_id: UUID, *, principal_id: UUID | None
) -> ApiKey | None:
    """The key, revoked (now or before); None when there is none, or another principal's when one is
    given."""
    statement = select(ApiKey).where(col(ApiKey.id) == key_id).with_for_update()
    if principal_id is not None:
        statement = statement.where(col(ApiKey.principal_id) == principal_id)
    key = (await session.scalars(statement)).one_or_none()
    if key is not None and key.revoked_at is None:
        key.revoked_at = now()
    return key


@dataclass(frozen=True)
class AuditFilter:
    """Which audit events to list; None means any."""

    action: str | None = None
    object_id: UUID | None = None
    actor_id: UUID | None = None


async def list_audit_events(
    session: AsyncSession,
    wanted: AuditFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[AuditEvent]:
    """Newest first."""
    statement = (
        select(AuditEvent)
        .order_by(col(AuditEvent.at).desc(), col(AuditEvent.id).desc())
        .limit(limit)
    )
    if wanted.action is not None:
        statement = statement.where(col(AuditEvent.action) == wanted.action)
    if wanted.object_id is not None:
        statement = statement.where(col(AuditEvent.object_id) == wanted.object_id)
    if wanted.actor_id is not None:
        statement = statement.where(col(AuditEvent.actor_id) == wanted.actor_id)
    if after is not None:
        statement = statement.where(tuple_(col(AuditEvent.at), col(AuditEvent.id)) < after)
    return (await session.scalars(statement)).all()


async def probe(session: AsyncSession) -> None:
    """Returns when the database answers and has our schema; needs no tenant."""
    await session.execute(text("SELECT 1 FROM tenant LIMIT 1"))

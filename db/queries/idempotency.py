"""Idempotency keys: who is answering a request, and what the first answer was.

A row without a status is a lease: its holder is at work until `lease_until`, and writes its answer
only while the lease is still its own. Keys are forgotten after 24 hours.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ColumnElement, delete, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import IdempotencyKey, new_id, now

LEASE = timedelta(seconds=60)
KEPT = timedelta(hours=24)
_IDS = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
"""With hyphens, or without any, as OpenAI's clients see them."""


@dataclass(frozen=True)
class KeyOwner:
    """One key of one principal on one route."""

    tenant_id: UUID
    principal_id: UUID
    route: str
    key: str


@dataclass(frozen=True)
class Leased:
    """The request is the caller's to answer."""

    token: UUID


@dataclass(frozen=True)
class InFlight:
    """Another request holds the lease."""


@dataclass(frozen=True)
class Answered:
    """The first answer, and the hash of the request that it answered."""

    request_hash: bytes
    status: int
    response: dict[str, JsonValue]
    location: str | None


async def claim(session: AsyncSession, owner: KeyOwner) -> Leased | InFlight | Answered:
    """Takes the lease, or says why not. Two requests at once: exactly one gets it.

    Forgets what is past its 24 hours on the way, the tenant's other keys included.
    """
    await session.execute(
        delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < now() - KEPT)
    )
    token = new_id()
    if await _insert(session, owner, token):
        return Leased(token)
    row = await session.get(
        IdempotencyKey,
        (owner.tenant_id, owner.principal_id, owner.route, owner.key),
        with_for_update=True,
    )
    if row is None:  # its holder failed and freed it a moment ago
        return InFlight()
    if row.status is None and row.lease_until > now():
        return InFlight()
    if row.status is None or row.request_hash is None:
        _renew(row, token)
        return Leased(token)
    return Answered(row.request_hash, row.status, row.response or {}, row.location)


async def tells_of_erased(session: AsyncSession, answer: Answered) -> bool:
    """Whether the answer names a file of the tenant that was erased, or is to be: nothing tells what such
    a file was, and the answer may."""
    told = f"{json.dumps(answer.response)} {answer.location or ''}"
    ids = {UUID(found.group()) for found in _IDS.finditer(told)}
    if not ids:
        return False
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM file WHERE id = ANY(:ids)"
            " AND state IN ('restricted', 'erasing', 'erased'))"
        ),
        {"ids": list(ids)},
    )
    return bool(found.scalar_one())


async def _insert(session: AsyncSession, owner: KeyOwner, token: UUID) -> bool:
    """Whether the key was new."""
    inserted = await session.execute(
        insert(IdempotencyKey)
        .values(
            tenant_id=owner.tenant_id,
            principal_id=owner.principal_id,
            route=owner.route,
            key=owner.key,
            lease_token=token,
            lease_until=now() + LEASE,
            created_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(col(IdempotencyKey.lease_token))
    )
    return inserted.one_or_none() is not None


def _renew(row: IdempotencyKey, token: UUID) -> None:
    row.lease_token = token
    row.lease_until = now() + LEASE
    row.created_at = now()
    row.status = None
    row.response = None
    row.location = None
    row.request_hash = None


async def extend(session: AsyncSession, owner: KeyOwner, token: UUID) -> None:
    """Prolongs a lease that is still held; does nothing to a lost one."""
    await session.execute(
        update(IdempotencyKey).where(*_held(owner, token)).values(lease_until=now() + LEASE)
    )


async def complete(session: AsyncSession, owner: KeyOwner, token: UUID, answer: Answered) -> bool:
    """Writes the answer in the transaction of what it reports; False when the lease was lost, and
    then the transaction must not commit."""
    updated = await session.execute(
        update(IdempotencyKey)
        .where(*_held(owner, token))
        .values(
            request_hash=answer.request_hash,
            status=answer.status,
            response=answer.response,
            location=answer.location,
        )
        .returning(col(IdempotencyKey.key))
    )
    return updated.one_or_none() is not None


async def release(session: AsyncSession, owner: KeyOwner, token: UUID) -> None:
    """Frees the key after a failure, so that the request can be repeated at once."""
    await session.execute(delete(IdempotencyKey).where(*_held(owner, token)))


def _held(owner: KeyOwner, token: UUID) -> tuple[ColumnElement[bool], ...]:
    """The row of the key while the lease is the holder's."""
    return (
        col(IdempotencyKey.principal_id) == owner.principal_id,
        col(IdempotencyKey.route) == owner.route,
        col(IdempotencyKey.key) == owner.key,
        col(IdempotencyKey.lease_token) == token,
        col(IdempotencyKey.status).is_(None),
    )

"""Rotations of tenants' keys: which one is open, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Result, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, KeyRotation


@dataclass(frozen=True)
class ShardCounts:
    """What became of the wrapped keys of so many shards."""

    shards: int
    looked_at: int
    rewrapped: int
    unreadable: int


async def open_rotation(session: AsyncSession, tenant_id: UUID, rotation_id: UUID) -> KeyRotation:
    """The tenant's open rotation, or a new one by that id."""
    await session.execute(
        text(
            "INSERT INTO key_rotation (id, tenant_id, state, created_at, round, shards_done,"
            " keys_looked_at, keys_rewrapped, keys_unreadable)"
            " VALUES (:id, :tenant_id, 'queued', now(), 1, 0, 0, 0, 0)"
            " ON CONFLICT (tenant_id) WHERE finished_at IS NULL DO NOTHING"
        ),
        {"id": rotation_id, "tenant_id": tenant_id},
    )
    found = await session.execute(text("SELECT id FROM key_rotation WHERE finished_at IS NULL"))
    return await session.get_one(KeyRotation, found.scalar_one())


async def rotation_at_work(session: AsyncSession, rotation_id: UUID) -> KeyRotation | None:
    """The rotation, locked; None once it is over."""
    rotation = await session.get(KeyRotation, rotation_id, with_for_update=True)
    if rotation is None or rotation.finished_at is not None:
        return None
    return rotation


async def get_rotation(session: AsyncSession, rotation_id: UUID) -> KeyRotation | None:
    return await session.get(KeyRotation, rotation_id)


async def list_rotations(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[KeyRotation]:
    """Newest first."""
    place = tuple_(col(KeyRotation.created_at), col(KeyRotation.id))
    query = select(KeyRotation)
    if after is not None:
        query = query.where(place < tuple_(*after))
    rows = await session.execute(
        query.order_by(col(KeyRotation.created_at).desc(), col(KeyRotation.id).desc()).limit(limit)
    )
    return rows.scalars().all()


async def begin_round(session: AsyncSession, rotation: KeyRotation, wait: timedelta) -> None:
    """The next round, which begins after so long."""
    await session.execute(
        text(
            "UPDATE key_rotation SET round = round + 1, shards_done = 0, keys_unreadable = 0,"
            " state = 'waiting', retire_at = now() + :wait WHERE id = :id"
        ),
        {"id": rotation.id, "wait": wait},
    )
    await session.refresh(rotation)


async def note_replacing(
    session: AsyncSession, rotation_id: UUID, blob_ids: Sequence[UUID]
) -> None:
    """The blobs without rows whose keys are being replaced from here on."""
    await session.execute(
        text("UPDATE key_rotation SET replacing = CAST(:blob_ids AS uuid[]) WHERE id = :id"),
        {"id": rotation_id, "blob_ids": list(blob_ids)},
    )


async def advance(session: AsyncSession, rotation: KeyRotation, counts: ShardCounts) -> bool:
    """Notes that the shards after those that were done are; whether it was this one that did them.
    Another attempt at the same may have come first."""
    moved = await session.execute(
        text(
            "UPDATE key_rotation SET shards_done = shards_done + :shards,"
            " keys_looked_at = keys_looked_at + :looked_at,"
            " keys_rewrapped = keys_rewrapped + :rewrapped,"
            " keys_unreadable = keys_unreadable + :unreadable"
            " WHERE id = :id AND finished_at IS NULL AND round = :round"
            " AND shards_done = :shards_done RETURNING id"
        ),
        {
            "id": rotation.id,
            "round": rotation.round,
            "shards_done": rotation.shards_done,
            "shards": counts.shards,
            "looked_at": counts.looked_at,
            "rewrapped": counts.rewrapped,
            "unreadable": counts.unreadable,
        },
    )
    return moved.first() is not None


@dataclass(frozen=True)
class KnownBlobs:
    """Blobs that have rows. Parts of uploads, and what is still to be committed, have none."""

    living: frozenset[UUID]
    destroyed: frozenset[UUID]


async def lock_against_erasure(session: AsyncSession, blob_ids: Sequence[UUID]) -> KnownBlobs:
    """Those of the blobs that have rows; none that lives is destroyed until this transaction ends."""
    query = select(col(Blob.id), col(Blob.destroyed_at)).where(col(Blob.id).in_(blob_ids))
    return _known(
        await session.execute(query.order_by(col(Blob.id)).with_for_update(key_share=True))
    )


async def known_blobs(session: AsyncSession, blob_ids: Sequence[UUID]) -> KnownBlobs:
    """Those of the blobs that have rows, right now."""
    query = select(col(Blob.id), col(Blob.destroyed_at)).where(col(Blob.id).in_(blob_ids))
    return _known(await session.execute(query))


def _known(found: Result[UUID, datetime | None]) -> KnownBlobs:
    rows = found.all()
    return KnownBlobs(
        living=frozenset(blob_id for blob_id, destroyed_at in rows if destroyed_at is None),
        destroyed=frozenset(blob_id for blob_id, destroyed_at in rows if destroyed_at is not None),
    )

"""Checkpoints over the audit trail, and the events that they cover."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import AuditCheckpoint, AuditEvent, now
from db.queries.audit_tree import range_hashes
from muniment.audit.merkle import consistency_ranges, inclusion_ranges

MOST_UNPLACED = 100
"""One is enough to say that a trail is not what was sealed."""


async def checkpoint_at(session: AsyncSession, size: int) -> AuditCheckpoint | None:
    """The one over so many leaves; there is one for each time that something was sealed."""
    statement = select(AuditCheckpoint).where(col(AuditCheckpoint.size) == size)
    return (await session.scalars(statement)).one_or_none()


async def consistency_proof(session: AsyncSession, old_size: int, size: int) -> list[bytes]:
    """That the tree of the old size is the beginning of the other; nothing between equal ones."""
    return await range_hashes(session, consistency_ranges(old_size, size))


async def inclusion_proof(session: AsyncSession, seq: int, size: int) -> list[bytes]:
    """That the leaf stands in the tree of that size."""
    return await range_hashes(session, inclusion_ranges(seq, size))


_SEALED = """
    SELECT leaf.seq, leaf.event_id AS id, leaf.hash AS leaf_hash, leaf.commitment, leaf.tenant_id,
           event.id IS NULL AS is_removed, event.at, event.actor_id,
           coalesce(event.actor_kind, '') AS actor_kind, coalesce(event.action, '') AS action,
           coalesce(event.object_type, '') AS object_type, event.object_id, event.request_id,
           event.workflow_id, event.origin, event.payload, event.salt
    FROM audit_leaf AS leaf LEFT JOIN audit_event AS event ON event.id = leaf.event_id
    WHERE leaf.tenant_id = current_tenant()
"""


async def sealed_events(
    session: AsyncSession, first: int, behind: int, limit: int
) -> Sequence[RowMapping]:
    """Up to `limit` leaves from `first` on and before `behind`, each with its event where that is there."""
    rows = await session.execute(
        text(
            f"{_SEALED} AND leaf.seq >= :first AND leaf.seq < :behind ORDER BY leaf.seq LIMIT :limit"
        ),
        {"first": first, "behind": behind, "limit": limit},
    )
    return rows.mappings().all()


async def unplaced_events(session: AsyncSession, first: int, behind: int | None) -> Sequence[UUID]:
    """Events that are neither in the tree nor in the queue: put there past the trigger, or past sealing. By
    their ids they lie behind the leaf before `first`, and not behind the last one before `behind`, if that
    is said: whoever asks range by range from 0 on is told all, some hundred at a time at most."""
    rows = await session.execute(
        text(
            "SELECT event.id FROM audit_event AS event WHERE event.tenant_id = current_tenant()"
            " AND event.id > coalesce((SELECT event_id FROM audit_leaf"
            " WHERE tenant_id = current_tenant() AND seq = CAST(:first AS bigint) - 1), :nobody)"
            " AND (CAST(:behind AS bigint) IS NULL OR event.id <= (SELECT event_id FROM audit_leaf"
            " WHERE tenant_id = current_tenant() AND seq = CAST(:behind AS bigint) - 1))"
            " AND NOT EXISTS (SELECT 1 FROM audit_leaf"
            " WHERE audit_leaf.tenant_id = event.tenant_id AND audit_leaf.event_id = event.id)"
            " AND NOT EXISTS (SELECT 1 FROM audit_unsealed AS queued"
            " WHERE queued.tenant_id = event.tenant_id AND queued.id = event.id)"
            " ORDER BY event.id LIMIT :limit"
        ),
        {"first": first, "behind": behind, "nobody": UUID(int=0), "limit": MOST_UNPLACED},
    )
    return rows.scalars().all()


async def checkpoints_between(
    session: AsyncSession, first: int, last: int
) -> Sequence[AuditCheckpoint]:
    """Those over more than `first` leaves, up to `last`, the smallest first."""
    size = col(AuditCheckpoint.size)
    statement = select(AuditCheckpoint).where(size > first, size <= last).order_by(size)
    return (await session.scalars(statement)).all()


async def uncopied_checkpoints(session: AsyncSession, limit: int) -> Sequence[AuditCheckpoint]:
    """Those that do not lie in the second place yet, the smallest first."""
    statement = (
        select(AuditCheckpoint)
        .where(col(AuditCheckpoint.copied_at).is_(None))
        .order_by(col(AuditCheckpoint.size))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def mark_copied(session: AsyncSession, sizes: Sequence[int]) -> None:
    await session.execute(
        update(AuditCheckpoint).where(col(AuditCheckpoint.size).in_(sizes)).values(copied_at=now())
    )


async def seqs_of(session: AsyncSession, event_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The places of those events that are sealed."""
    rows = await session.execute(
        text(
            "SELECT event_id, seq FROM audit_leaf WHERE event_id = ANY (CAST(:event_ids AS uuid[]))"
        ),
        {"event_ids": list(event_ids)},
    )
    return {row.event_id: row.seq for row in rows}


async def has_event(session: AsyncSession, event_id: UUID) -> bool:
    """Whether the tenant has an event of this id, sealed or not."""
    return await session.get(AuditEvent, event_id) is not None


async def erase_details(session: AsyncSession, event_ids: Sequence[UUID]) -> int:
    """Erases payload, origin and salt of those of the events that are sealed; of how many. Their leaves go
    on proving that they were, and when, and whose."""
    found = await session.execute(
        text("SELECT erase_audit_details(CAST(:event_ids AS uuid[]))"),
        {"event_ids": list(event_ids)},
    )
    return int(found.scalar_one())

"""What keeps files from being changed and erased, and the lock under which that is asked.

Whoever changes or destroys asks `standing_preservations` in the transaction that acts; whoever places a
hold takes `lock_holds`. So an act that asked first is over before the hold is placed, and one that asks
later finds it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import now


class PreservationKind(StrEnum):
    """In their order: a hold beats whatever else there is."""

    HOLD = "hold"
    COMPLIANCE_LOCK = "compliance_lock"
    RETENTION = "retention"
    GOVERNANCE_LOCK = "governance_lock"


@dataclass(frozen=True)
class Preservation:
    """Why a file is kept as it is, and `until` when (None: nobody can say). `reference` is the hold, or
    whatever else it goes back to."""

    kind: PreservationKind
    until: datetime | None
    reference: UUID


_HELD = text(
    """
    -- What came out of a held archive is held with it.
    WITH RECURSIVE lineage AS (
        SELECT id AS file_id, id AS ancestor_id, parent_id, collection_id
        FROM file WHERE id = ANY(:file_ids)
        UNION ALL
        SELECT lineage.file_id, file.id, file.parent_id, file.collection_id
        FROM lineage JOIN file ON file.id = lineage.parent_id
    )
    SELECT DISTINCT lineage.file_id, legal_hold.id, legal_hold.cooling_ends_at
    FROM lineage
    JOIN LATERAL (
        SELECT hold_id FROM legal_hold_file WHERE legal_hold_file.file_id = lineage.ancestor_id
        UNION ALL
        SELECT hold_id FROM legal_hold_item
        WHERE legal_hold_item.collection_id = lineage.collection_id
    ) held ON true
    JOIN legal_hold ON legal_hold.id = held.hold_id
    WHERE legal_hold.released_at IS NULL OR legal_hold.cooling_ends_at > :as_of
    ORDER BY legal_hold.id
    """
)


async def preservations(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> Mapping[UUID, Sequence[Preservation]]:
    """Of those files that anything keeps at that time, what does, holds first; in one statement."""
    found: dict[UUID, list[Preservation]] = defaultdict(list)
    if file_ids:
        rows = await session.execute(_HELD, {"file_ids": list(file_ids), "as_of": as_of})
        for file_id, hold_id, cooling_ends_at in rows:
            kept = Preservation(PreservationKind.HOLD, cooling_ends_at, hold_id)
            found[file_id].append(kept)
    return found


async def standing_preservations(
    session: AsyncSession, file_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[Preservation]]:
    """As `preservations`, now; until the transaction ends nobody places a hold in the tenant."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock_shared("
            "hashtextextended('legal_hold:' || current_tenant()::text, 0))"
        )
    )
    return await preservations(session, file_ids, now())


async def is_collection_held(session: AsyncSession, collection_id: UUID) -> bool:
    """Whether a hold names the collection itself, whatever lies in it; asked as `standing_preservations`."""
    await standing_preservations(session, ())
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM legal_hold_item JOIN legal_hold"
            " ON legal_hold.id = legal_hold_item.hold_id"
            " WHERE legal_hold_item.collection_id = :collection_id"
            " AND (legal_hold.released_at IS NULL OR legal_hold.cooling_ends_at > :as_of))"
        ),
        {"collection_id": collection_id, "as_of": now()},
    )
    return bool(found.scalar_one())


async def lock_holds(session: AsyncSession) -> None:
    """For whoever places a hold: when it is granted, no act that asked before is unfinished. Taken before
    anything else is locked, and no row of a file behind it."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock("
            "hashtextextended('legal_hold:' || current_tenant()::text, 0))"
        )
    )

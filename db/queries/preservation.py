"""What keeps files from being changed and erased, and the lock under which that is asked.

Whoever changes or destroys asks `standing_preservations` in the transaction that acts; whoever places a
hold, a lock or a retention policy takes `lock_holds`. So an act that asked first is over before it is
placed, and one that asks later finds it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import now
from db.queries.preservation_kinds import (
    STOPPED_BY,
    GuardedAct,
    Preservation,
    PreservationKind,
)
from db.queries.retention import (
    JUDGED,
    UNTOUCHED,
    Judgement,
    is_collection_named,
    judgement_of,
)

_HELD = """
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
_KEPT = text(
    f"""
    SELECT file_id, hold_ids, hold_ends, kinds, reference_ids, untils, retain_until, is_indefinite,
        boldness, disposition_at, relabel_to, deciding, is_due
    FROM (
        SELECT file_id, array_agg(id ORDER BY id) AS hold_ids,
            array_agg(cooling_ends_at ORDER BY id) AS hold_ends
        FROM ({_HELD}) held GROUP BY file_id
    ) held
    FULL JOIN ({JUDGED}) judged USING (file_id)
    """  # noqa: S608 - constants
)


@dataclass(frozen=True)
class Keeping:
    """All that is known of how long a file is kept."""

    holds: Sequence[Preservation]
    judgement: Judgement


UNKEPT = Keeping((), UNTOUCHED)


async def keepings(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> Mapping[UUID, Keeping]:
    """Of those files that a hold keeps, or a policy or a lock reaches; in one statement. `as_of` is the time
    that is asked for; files, holds, policies and locks are as they are now."""
    if not file_ids:
        return {}
    rows = await session.execute(_KEPT, {"file_ids": list(file_ids), "as_of": as_of})
    return {
        row.file_id: Keeping(
            _holds(row.hold_ids or (), row.hold_ends or ()),
            UNTOUCHED if row.kinds is None else judgement_of(row),
        )
        for row in rows
    }


def _holds(hold_ids: Sequence[UUID], ends: Sequence[datetime | None]) -> tuple[Preservation, ...]:
    return tuple(
        Preservation(PreservationKind.HOLD, end, hold_id)
        for hold_id, end in zip(hold_ids, ends, strict=True)
    )


async def preservations(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> Mapping[UUID, Sequence[Preservation]]:
    """Of those files that anything keeps at that time, what does, holds first; in one statement."""
    found = {
        file_id: [*keeping.holds, *keeping.judgement.standing(as_of)]
        for file_id, keeping in (await keepings(session, file_ids, as_of)).items()
    }
    return {file_id: kept for file_id, kept in found.items() if kept}


async def holds_of(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> Mapping[UUID, Sequence[Preservation]]:
    """As `preservations`, legal holds alone."""
    found: dict[UUID, list[Preservation]] = defaultdict(list)
    if file_ids:
        rows = await session.execute(text(_HELD), {"file_ids": list(file_ids), "as_of": as_of})
        for file_id, hold_id, cooling_ends_at in rows:
            kept = Preservation(PreservationKind.HOLD, cooling_ends_at, hold_id)
            found[file_id].append(kept)
    return found


async def standing_preservations(
    session: AsyncSession, file_ids: Sequence[UUID], act: GuardedAct
) -> Mapping[UUID, Sequence[Preservation]]:
    """Of those files that anything keeps from the act now, what does; until the transaction ends nobody
    places a hold, a lock or a policy in the tenant."""
    await share_holds(session)
    stopping = STOPPED_BY[act]
    if stopping == {PreservationKind.HOLD}:
        return await holds_of(session, file_ids, now())
    kept = await preservations(session, file_ids, now())
    standing = {
        file_id: [each for each in found if each.kind in stopping]
        for file_id, found in kept.items()
    }
    return {file_id: found for file_id, found in standing.items() if found}


async def keeps_what_is_read(session: AsyncSession, file_id: UUID) -> bool:
    """Whether anything keeps the file, of which readers see a version already; asked as
    `standing_preservations`, with the file's row locked. What nobody read yet changes nothing for anybody,
    and may be read for the first time."""
    published = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM file_version"
            " WHERE file_id = :file_id AND published_at IS NOT NULL)"
        ),
        {"file_id": file_id},
    )
    return published.scalar_one() and file_id in await standing_preservations(
        session, [file_id], GuardedAct.CHANGE
    )


async def keeps_collection(session: AsyncSession, collection_id: UUID) -> PreservationKind | None:
    """What names the collection itself, whatever lies in it; asked as `standing_preservations`."""
    await share_holds(session)
    if await _is_held(session, collection_id):
        return PreservationKind.HOLD
    is_named = await is_collection_named(session, collection_id)
    return PreservationKind.RETENTION if is_named else None


async def _is_held(session: AsyncSession, collection_id: UUID) -> bool:
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


async def share_holds(session: AsyncSession) -> None:
    """For whoever changes or destroys: until the transaction ends nobody places a hold in the tenant."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock_shared("
            "hashtextextended('legal_hold:' || current_tenant()::text, 0))"
        )
    )


async def lock_holds(session: AsyncSession) -> None:
    """For whoever places a hold, a lock or a policy: when it is granted, no act that asked before is
    unfinished. Taken before anything else is locked, and no row of a file behind it."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock("
            "hashtextextended('legal_hold:' || current_tenant()::text, 0))"
        )
    )

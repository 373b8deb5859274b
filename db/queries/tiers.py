"""In which tier of the object store content lies, and what is on its way to the other.

A blob's row is locked before that of its move. A request that turns a move around waits for whoever
deletes what the move left behind, so that nothing is deleted which it is about to need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.tier_policies import RULES, ColdPolicy, rule_parameters
from muniment.contracts.move_tier import Tier

SEEN_ANEW = timedelta(days=1)
"""A look at content is noted once in so long: a file that many read costs one write a day."""


@dataclass(frozen=True)
class DueMove:
    """A blob on its way. `tier`: where its row says that it lies."""

    blob_id: UUID
    size: int
    sha256: bytes
    tier: Tier
    destination: Tier
    is_switched: bool
    is_destroyed: bool


@dataclass(frozen=True)
class TierCounts:
    """How many of a file's versions lie where, and how many are on their way."""

    hot: int
    cold: int
    moving: int


async def note_access(
    session: AsyncSession, blob_ids: Sequence[UUID], file_ids: Sequence[UUID]
) -> list[UUID]:
    """Somebody asked for the content, as that of those files. One whose row another transaction holds is
    left out, and what was noted within a day is not noted again. Returns the blobs that are known to lie
    in the cold tier."""
    rows = await session.execute(
        text(
            "WITH noted AS (UPDATE blob SET accessed_at = now() WHERE id IN (SELECT id FROM blob"
            " WHERE id = ANY(:ids) AND coalesce(accessed_at, created_at) < now() - :anew"
            " FOR NO KEY UPDATE SKIP LOCKED)), seen AS (UPDATE file_access SET accessed_at = now()"
            " WHERE file_id IN (SELECT file_id FROM file_access WHERE file_id = ANY(:file_ids)"
            " AND accessed_at < now() - :anew FOR NO KEY UPDATE SKIP LOCKED)), first AS ("
            " INSERT INTO file_access (file_id, tenant_id, accessed_at)"
            " SELECT wanted.id, current_tenant(), now()"
            " FROM (SELECT DISTINCT unnest(CAST(:file_ids AS uuid[])) AS id ORDER BY id) wanted"
            " WHERE NOT EXISTS (SELECT FROM file_access WHERE file_id = wanted.id)"
            " ON CONFLICT DO NOTHING)"
            " SELECT id FROM blob WHERE id = ANY(:ids) AND tier = 'cold' ORDER BY id"
        ),
        {"ids": list(blob_ids), "file_ids": list(file_ids), "anew": SEEN_ANEW},
    )
    return [row.id for row in rows]


async def request_moves(session: AsyncSession, file_id: UUID, destination: Tier) -> int:
    """Notes that the content of all the file's versions is to lie there; how much of it is to be looked
    at. That is all of it: a restored database may know of no move that was made, so that where a row
    says that the content lies is not believed. What somebody brings back counts as asked for, so that no
    policy sends it away at once."""
    # In the order in which an erasure locks them.
    await session.execute(
        text(
            "SELECT 1 FROM blob WHERE id IN (SELECT blob_id FROM file_version"
            " WHERE file_id = :file_id) ORDER BY id FOR NO KEY UPDATE"
        ),
        {"file_id": file_id},
    )
    if destination is Tier.HOT:
        await session.execute(
            text(
                "UPDATE blob SET accessed_at = now() WHERE id IN"
                " (SELECT blob_id FROM file_version WHERE file_id = :file_id)"
            ),
            {"file_id": file_id},
        )
    moves = await session.execute(
        text(
            "INSERT INTO tier_move (blob_id, tenant_id, destination, requested_at)"
            " SELECT blob.id, blob.tenant_id, CAST(:destination AS varchar), now() FROM blob"
            " WHERE blob.id IN (SELECT blob_id FROM file_version WHERE file_id = :file_id)"
            " AND blob.destroyed_at IS NULL ORDER BY blob.id"
            " ON CONFLICT (blob_id) DO UPDATE SET destination = excluded.destination,"
            " requested_at = excluded.requested_at, switched_at = NULL"
            " WHERE tier_move.destination <> excluded.destination RETURNING blob_id"
        ),
        {"file_id": file_id, "destination": destination.value},
    )
    return len(moves.all())


async def count_tiers(session: AsyncSession, file_id: UUID) -> TierCounts:
    found = await session.execute(
        text(
            "SELECT count(*) FILTER (WHERE blob.tier = 'hot'),"
            " count(*) FILTER (WHERE blob.tier = 'cold'),"
            " count(*) FILTER (WHERE tier_move.switched_at IS NULL AND tier_move.blob_id IS NOT NULL)"
            " FROM file_version version JOIN blob ON blob.id = version.blob_id"
            " LEFT JOIN tier_move ON tier_move.blob_id = blob.id"
            " WHERE version.file_id = :file_id"
        ),
        {"file_id": file_id},
    )
    hot, cold, moving = found.one()
    return TierCounts(hot, cold, moving)


async def holds_cold(session: AsyncSession) -> bool:
    """Whether anything of the tenant's is known to lie in the cold tier."""
    found = await session.execute(
        text("SELECT EXISTS (SELECT 1 FROM blob WHERE tier = 'cold' AND destroyed_at IS NULL)")
    )
    return bool(found.scalar_one())


async def cold_blobs(session: AsyncSession, file_id: UUID, max_rows: int) -> list[UUID]:
    """Content of the file's versions that is known to lie in the cold tier, the newest versions' first."""
    rows = await session.execute(
        text(
            "SELECT blob.id FROM file_version version JOIN blob ON blob.id = version.blob_id"
            " WHERE version.file_id = :file_id AND blob.tier = 'cold' AND blob.destroyed_at IS NULL"
            " ORDER BY version.number DESC LIMIT :max_rows"
        ),
        {"file_id": file_id, "max_rows": max_rows},
    )
    return [row.id for row in rows]


async def cold_among(session: AsyncSession, blob_ids: Sequence[UUID]) -> list[UUID]:
    """Those that are known to lie in the cold tier."""
    rows = await session.execute(
        text("SELECT id FROM blob WHERE id = ANY(:ids) AND tier = 'cold' ORDER BY id"),
        {"ids": list(blob_ids)},
    )
    return [row.id for row in rows]


async def plan_moves(session: AsyncSession, installation: ColdPolicy | None, max_rows: int) -> int:
    """Notes what the rules send to the cold tier, first what was asked for longest ago; how much."""
    planned = await session.execute(
        text(
            f"""
            WITH rule AS MATERIALIZED ({RULES})
            INSERT INTO tier_move (blob_id, tenant_id, destination, requested_at)
            SELECT blob.id, blob.tenant_id, 'cold', now()
            FROM blob
            WHERE blob.destroyed_at IS NULL AND blob.kind = 'content' AND blob.tier = 'hot'
              AND coalesce(blob.accessed_at, blob.created_at)
                < now() - (SELECT min(min_age) FROM rule)
              AND NOT EXISTS (SELECT 1 FROM tier_move WHERE tier_move.blob_id = blob.id)
              AND EXISTS (SELECT 1 FROM file_version version WHERE version.blob_id = blob.id)
              AND NOT EXISTS (
                SELECT 1 FROM file_version version
                JOIN file ON file.id = version.file_id
                JOIN rule ON rule.collection_id = file.collection_id
                WHERE version.blob_id = blob.id
                  AND (rule.min_age IS NULL OR blob.size < rule.min_bytes
                    OR coalesce(blob.accessed_at, blob.created_at) >= now() - rule.min_age))
            ORDER BY coalesce(blob.accessed_at, blob.created_at), blob.id
            LIMIT :max_rows
            ON CONFLICT (blob_id) DO NOTHING
            RETURNING blob_id
            """  # noqa: S608 - a constant
        ),
        {"max_rows": max_rows, **rule_parameters(installation)},
    )
    return len(planned.all())


async def due_moves(
    session: AsyncSession, after: UUID | None, grace: timedelta, max_rows: int
) -> list[DueMove]:
    """Moves with something to be done, behind that blob: to copy, or to delete what was left behind."""
    rows = await session.execute(
        text(
            "SELECT move.blob_id, blob.size, blob.sha256, blob.tier, move.destination,"
            " move.switched_at IS NOT NULL AS is_switched,"
            " blob.destroyed_at IS NOT NULL AS is_destroyed"
            " FROM tier_move move JOIN blob ON blob.id = move.blob_id"
            " WHERE (CAST(:after AS uuid) IS NULL OR move.blob_id > :after)"
            " AND (move.switched_at IS NULL OR blob.destroyed_at IS NOT NULL"
            "  OR move.switched_at <= now() - CAST(:grace AS interval))"
            " ORDER BY move.blob_id LIMIT :max_rows"
        ),
        {"after": after, "grace": grace, "max_rows": max_rows},
    )
    return [
        DueMove(
            row["blob_id"],
            row["size"],
            row["sha256"],
            Tier(row["tier"]),
            Tier(row["destination"]),
            row["is_switched"],
            row["is_destroyed"],
        )
        for row in rows.mappings()
    ]


async def switch(session: AsyncSession, move: DueMove) -> bool:
    """The blob lies at its destination from here on; not if it was destroyed, or is to lie elsewhere by
    now."""
    live = await session.execute(
        text("SELECT 1 FROM blob WHERE id = :id AND destroyed_at IS NULL FOR NO KEY UPDATE"),
        {"id": move.blob_id},
    )
    if live.first() is None:
        return False
    switched = await session.execute(
        text(
            "UPDATE tier_move SET switched_at = now() WHERE blob_id = :id"
            " AND destination = :destination AND switched_at IS NULL RETURNING blob_id"
        ),
        {"id": move.blob_id, "destination": move.destination.value},
    )
    if switched.first() is None:
        return False
    await session.execute(
        text("UPDATE blob SET tier = :destination WHERE id = :id"),
        {"id": move.blob_id, "destination": move.destination.value},
    )
    return True


async def is_destroyed(session: AsyncSession, blob_id: UUID) -> bool:
    found = await session.execute(
        text("SELECT destroyed_at IS NOT NULL FROM blob WHERE id = :id"), {"id": blob_id}
    )
    return bool(found.scalar_one())


async def lock_left_behind(session: AsyncSession, move: DueMove, grace: timedelta) -> bool:
    """Whether what that move left behind is still to be deleted; until the transaction's end nobody
    turns the move around."""
    await session.execute(
        text("SELECT 1 FROM blob WHERE id = :id FOR NO KEY UPDATE"), {"id": move.blob_id}
    )
    locked = await session.execute(
        text(
            "SELECT 1 FROM tier_move WHERE blob_id = :id AND destination = :destination"
            " AND switched_at <= now() - CAST(:grace AS interval) FOR UPDATE"
        ),
        {"id": move.blob_id, "destination": move.destination.value, "grace": grace},
    )
    return locked.first() is not None


async def lock_live(session: AsyncSession, move: DueMove) -> bool:
    """Whether the blob lives and is still to lie there; until the transaction's end nobody turns the move
    around."""
    await session.execute(
        text("SELECT 1 FROM blob WHERE id = :id FOR NO KEY UPDATE"), {"id": move.blob_id}
    )
    locked = await session.execute(
        text(
            "SELECT 1 FROM tier_move move JOIN blob ON blob.id = move.blob_id"
            " WHERE move.blob_id = :id AND move.destination = :destination"
            " AND blob.destroyed_at IS NULL FOR UPDATE OF move"
        ),
        {"id": move.blob_id, "destination": move.destination.value},
    )
    return locked.first() is not None


async def undo_switch(session: AsyncSession, move: DueMove, tier: Tier) -> None:
    """The copy is gone from the destination: the blob lies in that tier, and is to be copied again."""
    await session.execute(
        text("UPDATE blob SET tier = :tier WHERE id = :id"),
        {"id": move.blob_id, "tier": tier.value},
    )
    await session.execute(
        text("UPDATE tier_move SET switched_at = NULL WHERE blob_id = :id"), {"id": move.blob_id}
    )


async def forget_move(session: AsyncSession, blob_id: UUID) -> None:
    """The blob lies in one tier, or in none."""
    await session.execute(text("DELETE FROM tier_move WHERE blob_id = :id"), {"id": blob_id})

"""Blobs as the database knows them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_TRIAL = text(
    "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
    " VALUES (:blob_id, current_tenant(), 'trial', 0, '', now()) ON CONFLICT (id) DO NOTHING"
)


async def is_known(session: AsyncSession, blob_id: UUID) -> bool:
    """Whether a row that names the blob was committed: one without may be destroyed by its writer.

    Where the writer lost its connection while it committed, the server may still be at it. So the
    blob's row is tried to be inserted first, which waits for any other that inserted it, and is taken
    back. Raises DatabaseTooSlow when that takes longer than a statement may.
    """
    async with session.begin_nested() as trial:
        await session.execute(_TRIAL, {"blob_id": blob_id})
        await trial.rollback()
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM blob WHERE id = :blob_id)"
            " OR EXISTS (SELECT 1 FROM upload_part WHERE blob_id = :blob_id)"
        ),
        {"blob_id": blob_id},
    )
    return bool(found.scalar_one())


async def total_bytes(session: AsyncSession, blob_ids: Sequence[UUID]) -> int:
    """What the blobs hold together, each counted as often as it is named."""
    found = await session.execute(
        text(
            "SELECT coalesce(sum(blob.size), 0) FROM unnest(CAST(:blob_ids AS uuid[])) AS wanted(id)"
            " JOIN blob ON blob.id = wanted.id"
        ),
        {"blob_ids": list(blob_ids)},
    )
    return int(found.scalar_one())


async def orphans_among(session: AsyncSession, blob_ids: list[UUID]) -> list[UUID]:
    """Those of the ids that no row names: no blob's and no part's of an upload; and those of destroyed
    blobs to which no erasure refers any more. None of them is an orphan where the database does not
    have the tenant."""
    rows = await session.execute(
        text(
            "SELECT stored.id FROM unnest(CAST(:blob_ids AS uuid[])) AS stored(id)"
            " WHERE EXISTS (SELECT 1 FROM tenant WHERE tenant.id = (SELECT current_tenant()))"
            " AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.id = stored.id"
            " AND (blob.destroyed_at IS NULL OR EXISTS (SELECT 1 FROM blob_reference"
            " WHERE blob_reference.blob_id = blob.id)))"
            " AND NOT EXISTS (SELECT 1 FROM upload_part WHERE upload_part.blob_id = stored.id)"
        ),
        {"blob_ids": blob_ids},
    )
    return list(rows.scalars())

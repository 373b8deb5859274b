"""Blobs as the database knows them."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def is_known(session: AsyncSession, blob_id: UUID) -> bool:
    """Whether a row for the blob was committed: one without may be destroyed by its writer."""
    found = await session.execute(
        text("SELECT EXISTS (SELECT 1 FROM blob WHERE id = :blob_id)"), {"blob_id": blob_id}
    )
    return bool(found.scalar_one())


async def known_among(session: AsyncSession, blob_ids: list[UUID]) -> set[UUID]:
    """Those of the ids that the database knows, destroyed ones included."""
    rows = await session.execute(
        text("SELECT id FROM blob WHERE id = ANY(:blob_ids)"), {"blob_ids": blob_ids}
    )
    return set(rows.scalars())

"""What was found in a version, for painting it over."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import FindingRow


async def findings_of(
    session: AsyncSession, version_id: UUID, least_confidence: float, *, limit: int
) -> Sequence[FindingRow]:
    """Those of a version that the caller was already found to see, by page and place."""
    statement = (
        select(FindingRow)
        .where(col(FindingRow.version_id) == version_id, col(FindingRow.score) >= least_confidence)
        .order_by(col(FindingRow.page), col(FindingRow.start_offset), col(FindingRow.id))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()

"""What people decided about waiting jobs."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Decision


async def find_decision(session: AsyncSession, job_id: UUID, decision_id: UUID) -> Decision | None:
    """The decision, if it was made about this job."""
    found = await session.execute(
        select(Decision).where(col(Decision.id) == decision_id, col(Decision.job_id) == job_id)
    )
    return found.scalar_one_or_none()

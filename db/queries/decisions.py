"""What people decided about waiting jobs."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Decision, FileVersion, Job
from muniment.contracts.lifecycle import Verdict


async def is_released(session: AsyncSession, version: FileVersion) -> bool:
    """Whether a person let the version's content pass after its last scan, and none kept it out."""
    verdicts = await session.scalars(
        select(col(Decision.verdict))
        .join(Job, col(Job.id) == col(Decision.job_id))
        .join(FileVersion, col(FileVersion.id) == col(Job.version_id))
        .where(
            # By what there is an index on.
            col(Job.file_id) == version.file_id,
            col(FileVersion.id) == version.id,
            col(Decision.created_at) >= col(FileVersion.scanned_at),
        )
    )
    return {*verdicts} == {Verdict.RELEASE}


async def find_decision(session: AsyncSession, job_id: UUID, decision_id: UUID) -> Decision | None:
    """The decision, if it was made about this job."""
    found = await session.execute(
        select(Decision).where(col(Decision.id) == decision_id, col(Decision.job_id) == job_id)
    )
    return found.scalar_one_or_none()

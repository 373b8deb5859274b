"""What people decided about waiting jobs."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Decision, FileVersion, FindingJudgement, Job
from muniment.contracts.findings import FindingAct
from muniment.contracts.lifecycle import Verdict, Waiting


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


async def find_decision(
    session: AsyncSession, job_id: UUID, decision_id: UUID, *, about: Waiting
) -> Decision | None:
    """The decision, if it was made about this job. One about findings was made after they were judged: what
    let the same file pass its scan does not let its findings pass."""
    statement = select(Decision).where(
        col(Decision.id) == decision_id, col(Decision.job_id) == job_id
    )
    if about is Waiting.FINDINGS:
        judged = select(col(FindingJudgement.created_at)).where(
            col(FindingJudgement.job_id) == job_id
        )
        statement = statement.where(col(Decision.created_at) >= judged.scalar_subquery())
    return (await session.execute(statement)).scalar_one_or_none()


async def is_held_for_findings(session: AsyncSession, version_id: UUID) -> bool:
    """Whether the last judgement of the version's findings keeps it back, and nobody let it pass since."""
    judgement = await session.scalar(
        select(FindingJudgement)
        .where(col(FindingJudgement.version_id) == version_id)
        .order_by(col(FindingJudgement.created_at).desc())
        .limit(1)
    )
    if judgement is None or judgement.act not in (FindingAct.REVIEW, FindingAct.REFUSE):
        return False
    verdicts = await session.scalars(
        select(col(Decision.verdict)).where(
            col(Decision.job_id) == judgement.job_id,
            col(Decision.created_at) >= judgement.created_at,
        )
    )
    return judgement.act == FindingAct.REFUSE or {*verdicts} != {Verdict.RELEASE}

"""A policy for findings, and what it asked for in a job, in the database."""

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import FindingJudgement, FindingPolicy, Job
from tests.conftest import TenantFixture


async def add_judgement(session: AsyncSession, tenant: TenantFixture, job: Job) -> None:
    assert job.version_id is not None
    session.add(
        FindingPolicy(tenant_id=tenant.tenant_id, act="mask", created_by=tenant.principal_id)
    )
    session.add(
        FindingJudgement(
            job_id=job.id,
            tenant_id=tenant.tenant_id,
            version_id=job.version_id,
            act="mask",
            causes=[],
            rules=[],
        )
    )

"""Passwords of encrypted documents: where a job's lies sealed, until the job has ended."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, Job, JobPassword, now
from muniment.objects import SealedBlob

_KIND = "password"


@dataclass(frozen=True)
class SpentPassword:
    """A password whose job has ended."""

    tenant_id: UUID
    job_id: UUID
    blob_id: UUID


async def keep_password(session: AsyncSession, job: Job, sealed: SealedBlob) -> None:
    """Notes where the job's password lies. The job is in the session.

    The tag (an HMAC under a key that PostgreSQL does not have) tells passwords apart, so that what
    was read with one is not found by whoever does not know it.
    """
    session.add(
        Blob(
            id=sealed.blob_id,
            tenant_id=job.tenant_id,
            kind=_KIND,
            size=sealed.size,
            sha256=b"",
            created_at=now(),
        )
    )
    await session.flush()
    session.add(
        JobPassword(
            job_id=job.id, tenant_id=job.tenant_id, blob_id=sealed.blob_id, tag=sealed.dedup_tag
        )
    )
    await session.flush()


async def password_of(session: AsyncSession, job_id: UUID) -> UUID | None:
    """The blob of the job's password; None where it came without one, or it was destroyed."""
    return await session.scalar(
        select(col(JobPassword.blob_id)).where(col(JobPassword.job_id) == job_id)
    )


async def spent_passwords(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[SpentPassword]:
    """Passwords of all tenants' jobs that have ended, those after the given job; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, job_id, blob_id"
            " FROM spent_passwords(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": max_rows},
    )
    return [SpentPassword(**row) for row in rows.mappings()]


async def forget_password(session: AsyncSession, password: SpentPassword) -> None:
    """Its key was destroyed: drops what names it."""
    await session.execute(
        text("DELETE FROM job_password WHERE job_id = :job_id"), {"job_id": password.job_id}
    )
    await session.execute(
        text("UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()) WHERE id = :blob_id"),
        {"blob_id": password.blob_id},
    )

"""Committed jobs, as the API leaves them."""

from datetime import timedelta

from db.models import Blob, File, FileVersion, Job, new_id, now
from db.session import Access, Database
from muniment.contracts.jobs import JobKind
from tests.conftest import TenantFixture


async def commit_job(database: Database, tenant: TenantFixture, *, startable: bool) -> Job:
    """A job an hour old; one that is not startable names no version."""
    file_id, blob_id, version_id, job_id = new_id(), new_id(), new_id(), new_id()
    async with database.transaction(tenant.system) as session:
        session.add(
            Blob(id=blob_id, tenant_id=tenant.tenant_id, kind="content", size=1, sha256=b"")
        )
        session.add(
            File(
                id=file_id,
                tenant_id=tenant.tenant_id,
                collection_id=tenant.collection_id,
                name="a.txt",
                state="received",
                media_type="text/plain",
            )
        )
        await session.flush()
        session.add(
            FileVersion(
                id=version_id,
                tenant_id=tenant.tenant_id,
                file_id=file_id,
                number=1,
                blob_id=blob_id,
                name="a.txt",
                size=1,
                sha256=b"",
                declared_media_type="text/plain",
            )
        )
        await session.flush()
        job = Job(
            id=job_id,
            tenant_id=tenant.tenant_id,
            kind=JobKind.INGEST_FILE,
            file_id=file_id,
            version_id=version_id if startable else None,
            workflow_id=f"reconciled-{job_id}",
            state="queued",
            created_at=now() - timedelta(hours=1 if startable else 2),
        )
        session.add(job)
    return job


async def row_of(database: Database, job: Job) -> Job:
    async with database.transaction(Access(job.tenant_id)) as session:
        found = await session.get(Job, job.id)
    assert found is not None
    return found

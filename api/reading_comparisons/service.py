"""Comparisons of readings: asking for one."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.service import require_file
from api.jobs.making import trace_parent
from api.reading_comparisons.schemas import CompareBody
from db.audit import record
from db.ingestions import Origin
from db.models import Job
from db.queries import comparisons
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import MAXIMUM_PAGES, ReadingCandidate
from muniment.errors import Conflict
from muniment.telemetry import context


async def add_comparison(
    session: AsyncSession, caller: Caller, file_id: UUID, body: CompareBody
) -> Job:
    """The job that compares the version which readers see. Conflict unless the file is ready,
    short enough and opens without a password."""
    detail = await require_file(session, file_id, "write", for_update=True)
    version = detail.version
    run = await comparisons.publishing_job_id(session, version.id) if version else None
    if version is None or run is None:
        raise Conflict("nothing of the file is published that could be compared")
    if (version.page_count or 0) > MAXIMUM_PAGES:
        raise Conflict(f"the file has {version.page_count} pages; {MAXIMUM_PAGES} are compared")
    if await comparisons.was_opened_with_password(session, run):
        raise Conflict(
            "the document opens with a password only, which is not kept",
            remedy="Upload the document without its password to have it compared, or reprocess it"
            " with another engine and its password.",
        )
    reference = VersionReference(
        tenant_id=caller.tenant_id, file_id=file_id, version_id=version.id, job_id=run
    )
    candidate = ReadingCandidate(**body.model_dump())
    origin = Origin(caller.tenant_id, caller.principal_id, context.request_id(), trace_parent())
    job = await comparisons.add_comparison(session, reference, candidate, origin)
    if job is None:
        raise Conflict(f"the file is {detail.file.state}")
    payload = {"job_id": str(job.id), "candidate": candidate.name}
    record(session, caller.act("file.comparison_requested", "file", file_id, dict(payload)))
    await session.flush()
    return job

"""Jobs: listing, deciding, retrying."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.preserved import require_readable_anew
from api.jobs import commanding
from api.jobs.asking import ask
from api.jobs.facts import facts_of, job_facts, require_job
from api.jobs.making import new_erasure, new_ingestion
from api.jobs.schemas import Job, RetryBody
from api.jobs.view import WorkflowLinks
from api.pagination import Page, TimeCursor, cut, encode_cursor
from api.services import Services
from db.audit import record
from db.models import Decision, new_id
from db.models import Job as JobRecord
from db.queries import files, jobs, pages
from db.queries.jobs import JobCursor
from muniment.contracts.base import Contract
from muniment.contracts.ingest_file import DecisionRequest
from muniment.contracts.jobs import FileState, JobKind, JobState
from muniment.contracts.lifecycle import Verdict
from muniment.errors import Conflict, NotFound, Unprocessable

_RETRYABLE = (JobState.FAILED, JobState.CANCELLED)


async def list_jobs(
    services: Services,
    caller: Caller,
    *,
    limit: int,
    cursor: TimeCursor | None,
    file_id: UUID | None,
    state: JobState | None,
) -> Page[Job]:
    """Jobs as they were recorded, newest first: a list asks no workflow."""
    async with services.database.transaction(caller.access) as session:
        rows = await jobs.list_jobs(
            session,
            limit=limit + 1,
            after=JobCursor(cursor.at, cursor.id) if cursor else None,
            file_id=file_id,
            state=state,
        )
        shown, last = cut(rows, limit)
        data = await recorded_jobs(session, services.links, shown)
    following = None if last is None else TimeCursor(at=last.created_at, id=last.id)
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


async def recorded_jobs(
    session: AsyncSession, links: WorkflowLinks, records: Sequence[JobRecord]
) -> list[Job]:
    """The rows as clients see them."""
    return [facts.recorded() for facts in await facts_of(session, links, records)]


async def show(services: Services, caller: Caller, job_id: UUID) -> Job:
    facts = await job_facts(services.database, services.links, caller.access, job_id)
    return await ask(services.temporal, facts)


async def command(
    services: Services,
    caller: Caller,
    job_id: UUID,
    update: str | None,
    argument: Contract | None = None,
) -> Job:
    """Cancels (`update` None), or sends the update; answers with the job as it then is."""
    facts = await job_facts(services.database, services.links, caller.access, job_id, "write")
    _require_open(facts.record)
    _require_listening(facts.record, update)
    # First: what reached the workflow has been recorded, whatever becomes of this process.
    async with services.database.transaction(caller.access) as session:
        action = f"job.{update or 'cancel'}"
        record(session, caller.act(action, "job", job_id, _told(argument)))
    if update is None:
        await commanding.cancel(services, facts.record)
    else:
        await commanding.tell(services, facts.record, update, argument)
    return await show(services, caller, job_id)


def _told(argument: Contract | None) -> dict[str, JsonValue] | None:
    return None if argument is None else argument.model_dump(mode="json")


async def decide(
    services: Services, caller: Caller, job_id: UUID, verdict: Verdict, reason: str | None
) -> Job:
    """Writes the decision under the caller's rights, then tells the workflow which it is."""
    facts = await job_facts(services.database, services.links, caller.access, job_id)
    _require_open(facts.record)
    _require_listening(facts.record, verdict.value)
    present = await ask(services.temporal, facts)
    if present.state is not JobState.WAITING:
        raise Conflict(f"the job is {present.state}, and waits for no decision")
    decision = Decision(
        id=new_id(),
        tenant_id=caller.tenant_id,
        job_id=job_id,
        principal_id=caller.principal_id,
        verdict=verdict,
        reason=reason,
    )
    async with services.database.transaction(caller.access) as session:
        session.add(decision)
        payload = {"decision_id": str(decision.id)}
        record(session, caller.act(f"job.{verdict}", "job", job_id, payload))
    request = DecisionRequest(decision_id=decision.id)
    await commanding.tell(services, facts.record, verdict.value, request)
    return await show(services, caller, job_id)


async def add_retry(
    session: AsyncSession, caller: Caller, job_id: UUID, body: RetryBody
) -> JobRecord:
    """A new job that heals the one given. Conflict unless that one failed, was cancelled or left
    pages unread, and nothing else is at work on its file."""
    failed = await require_job(session, job_id, "write")
    if failed.kind == JobKind.COMPARE_READING:
        raise Conflict("a comparison is not retried", remedy="Have the file compared again.")
    if not (failed.state in _RETRYABLE or (failed.state == JobState.COMPLETED and failed.degraded)):
        raise Conflict(f"the job is {failed.state}: only what failed, was cancelled or is degraded")
    detail = await files.get_file(session, failed.file_id, level="write", for_update=True)
    if detail is None:
        raise NotFound("there is no such file")
    if detail.job is not None and not JobState(detail.job.state).is_terminal:
        raise Conflict("another job is at work on the file")
    await _require_failed_pages(session, failed, body)
    if failed.kind == JobKind.ERASE_FILE:
        job = new_erasure(caller, detail.file, retry_of=failed)
    elif failed.version_id is None or detail.file.state in files.OUT_OF_SIGHT:
        raise Conflict(f"the file is {detail.file.state}")
    else:
        version = await files.version_by_id(session, failed.version_id)
        await require_readable_anew(session, detail.file.id)
        job = new_ingestion(caller, version, retry_of=failed, priority=failed.priority)
        if detail.file.state in (FileState.FAILED, FileState.CANCELLED):
            detail.file.state = FileState.RECEIVED
            detail.file.revision += 1
    session.add(job)
    record(session, caller.act("job.retried", "job", job_id, {"job_id": str(job.id)}))
    await session.flush()
    return job


async def _require_failed_pages(session: AsyncSession, failed: JobRecord, body: RetryBody) -> None:
    if body.pages is None or failed.version_id is None:
        return
    unread = await pages.failed_pages(session, failed.version_id)
    if wrong := sorted(set(body.pages) - unread):
        raise Unprocessable(
            f"page {wrong[0]} did not fail in this job",
            errors=[{"field": "pages", "detail": "names a page that was read, or is not there"}],
        )


def _require_open(job: JobRecord) -> None:
    if JobState(job.state).is_terminal:
        raise Conflict(f"the job is {job.state} already")


def _require_listening(job: JobRecord, update: str | None) -> None:
    """An update's name; None is a cancellation."""
    if job.kind == JobKind.ERASE_FILE:
        raise Conflict("an erasure takes no messages")
    if job.kind == JobKind.COMPARE_READING and update is not None:
        raise Conflict("a comparison can be cancelled and nothing else")

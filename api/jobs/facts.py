"""Jobs' rows with what else is needed to show them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.jobs.estimate import LONG_DOCUMENT_CHARACTERS, usual_seconds_per_character
from api.jobs.view import JobFacts, WorkflowLinks
from api.levels import lacks_level
from db.models import Job
from db.queries import files, jobs
from db.session import Access, Database
from muniment.contracts.jobs import JobState
from muniment.errors import NotFound
from muniment.sealing import ExpiringCache

_PACE_SECONDS = 15.0
_TENANTS = 1000
_NO_PACE_SECONDS = 1.0
"""What is missing is looked for sooner: the assumption in its place is off by a factor, a pace that is
some seconds old is not."""
_paces: ExpiringCache[UUID, float] = ExpiringCache(_TENANTS, _PACE_SECONDS)
_without_pace: ExpiringCache[UUID, bool] = ExpiringCache(_TENANTS, _NO_PACE_SECONDS)


async def job_facts(
    database: Database, links: WorkflowLinks, access: Access, job_id: UUID, level: str = "read"
) -> JobFacts:
    """As `require_job`, with what else is needed to show it."""
    async with database.transaction(access, plans_once=True) as session:
        record = await require_job(session, job_id, level)
        return (await facts_of(session, links, [record]))[0]


async def require_job(session: AsyncSession, job_id: UUID, level: str = "read") -> Job:
    """The job's row, if the caller has that level on its file. Raises Forbidden where it may read it
    and no more, else NotFound."""
    record = await jobs.get_job(session, job_id, level)
    if record is not None:
        return record
    if level != "read" and await jobs.get_job(session, job_id) is not None:
        raise lacks_level(level, "job's file")
    raise NotFound("there is no such job")


async def facts_of(
    session: AsyncSession,
    links: WorkflowLinks,
    records: Sequence[Job],
    known: Mapping[UUID, int] = MappingProxyType({}),
) -> list[JobFacts]:
    """The rows with their versions' numbers, in their order; with the tenant's pace where one of them is
    at work, since no other is given an estimate. Numbers that are `known` are not asked for."""
    wanted = {each.version_id for each in records if each.version_id} - known.keys()
    numbers = {**known, **await files.version_numbers(session, wanted)}
    is_at_work = any(each.state == JobState.RUNNING for each in records)
    pace = await _pace(session, records[0].tenant_id) if is_at_work else None
    return [
        JobFacts(each, numbers.get(each.version_id) if each.version_id else None, links, pace)
        for each in records
    ]


async def _pace(session: AsyncSession, tenant_id: UUID) -> float | None:
    """The tenant's, or that it has none yet, some seconds old at most: only an estimate feeds on it, and
    each list of files would go through the tenant's last jobs for it."""
    pace = _paces.get(tenant_id)
    if pace is None and not _without_pace.get(tenant_id):
        last = await jobs.last_after_reading(session, LONG_DOCUMENT_CHARACTERS)
        pace = usual_seconds_per_character(last)
        if pace is None:
            _without_pace.put(tenant_id, True)
        else:
            _paces.put(tenant_id, pace)
    return pace

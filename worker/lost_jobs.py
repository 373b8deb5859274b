"""Ends jobs whose workflows are over and did not say so: an operator terminated one in Temporal, or
Temporal lost it. Such a job would run for ever in everyone's eyes, and could not be retried."""

import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.failures import problem_of
from activities.job_ends import count_end
from activities.stage import stage_event
from db.models import now
from db.queries.file_states import IN_PROGRESS, settle_file
from db.queries.jobs import JobRow, OpenJob, lock_job, open_jobs, write_job
from db.queries.members import awaits_its_container
from db.session import Access
from muniment.contracts.jobs import FileState, JobEventKind, JobKind, JobState, StageState
from muniment.errors import MunimentError
from worker.workflow_ends import LostWork

logger = logging.getLogger(__name__)


class LostJobs(LostWork[OpenJob]):
    failure_message = "search for lost jobs failed"

    async def _list_open(
        self, session: AsyncSession, min_age: timedelta, after: UUID | None
    ) -> list[OpenJob]:
        return await open_jobs(session, min_age, after)

    def _id(self, open_one: OpenJob) -> UUID:
        return open_one.job_id

    async def _end(self, open_one: OpenJob) -> bool:
        """Also not where somebody is about to start it: it has no workflow yet."""
        async with self._database.transaction(Access(open_one.tenant_id)) as session:
            job = await lock_job(session, open_one.job_id)
            if job is None or job.finished_at is not None:
                return False
            if await awaits_its_container(session, open_one.job_id):
                return False
            await _fail(session, job)
        logger.warning("ended a job whose workflow is gone", extra={"job_id": str(open_one.job_id)})
        return True


async def _fail(session: AsyncSession, job: JobRow) -> None:
    error = problem_of(
        MunimentError("The job's workflow ended without recording how.", remedy="Retry the job.")
    )
    failed, abandoned = job.abandoned()
    for stage in abandoned:
        stage = stage.model_copy(update={"state": StageState.FAILED, "error": error})
        failed = failed.with_stage(stage)
    events = [stage_event(failed.stage_progress(stage.name)) for stage in abandoned]
    failed = replace(failed, state=JobState.FAILED, error=error, finished_at=now())
    events += [failed.event(JobEventKind.STATE), failed.event(JobEventKind.END)]
    await write_job(session, failed, events)
    count_end(session, failed)
    if job.kind is not JobKind.COMPARE_READING:
        await settle_file(session, job.file_id, FileState.FAILED, among=IN_PROGRESS)

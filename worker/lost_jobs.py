"""Ends jobs whose workflows are over and did not say so: an operator terminated one in Temporal, or
Temporal lost it. Such a job would run for ever in everyone's eyes, and could not be retried."""

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client

from activities.failures import problem_of
from activities.stage import stage_event
from db.models import now
from db.queries.file_states import IN_PROGRESS, settle_file
from db.queries.jobs import JobRow, OpenJob, lock_job, open_jobs, write_job
from db.queries.members import awaits_its_container
from db.session import Access, Database
from muniment.contracts.jobs import FileState, JobEventKind, JobKind, JobState, StageState
from muniment.errors import MunimentError
from worker.rounds import go_round
from worker.workflow_ends import is_over, require_namespace

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 300.0
MIN_AGE = timedelta(minutes=1)


class LostJobs:
    """Ending a job twice changes nothing, so any number of workers may run one.

    A workflow records its end before it ends: one that is over while its job's row, read after, is
    not, will never record it.
    """

    def __init__(
        self,
        database: Database,
        client: Client,
        interval_seconds: float = INTERVAL_SECONDS,
        min_age: timedelta = MIN_AGE,
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._min_age = min_age

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "search for lost jobs failed",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Asks Temporal about every job that was started and has not ended, a hundred at a time; how
        many were lost."""
        await require_namespace(self._client)
        lost, after = 0, None
        while True:
            async with self._database.across_tenants() as session:
                jobs = await open_jobs(session, self._min_age, after)
            if not jobs:
                return lost
            for job in jobs:
                if await is_over(self._client, job.workflow_id) and await self._end(job):
                    lost += 1
            after = jobs[-1].job_id

    async def _end(self, lost: OpenJob) -> bool:
        """Whether the job was lost: it had not ended after all, and nobody is about to start it."""
        async with self._database.transaction(Access(lost.tenant_id)) as session:
            job = await lock_job(session, lost.job_id)
            if job is None or job.finished_at is not None:
                return False
            if await awaits_its_container(session, lost.job_id):
                return False
            await _fail(session, job)
        logger.warning("ended a job whose workflow is gone", extra={"job_id": str(lost.job_id)})
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
    if job.kind is not JobKind.COMPARE_READING:
        await settle_file(session, job.file_id, FileState.FAILED, among=IN_PROGRESS)

"""Starts jobs, batches, the building of index versions, lists of questions, legal holds and requests of
people that were committed and that Temporal has not taken: the API died in between, or Temporal was away,
or a publication had one begun."""

import logging
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client

from db.queries import index_versions, legal_holds, question_lists, subject_requests
from db.queries.batches import UnstartedBatch, get_batch, mark_batch_started, unstarted_batches
from db.queries.jobs import UnstartedJob, get_job, mark_started, unstarted_jobs
from db.session import Access, Database
from muniment.contracts.answer_questions import AnswerQuestionsInput
from muniment.contracts.attend_hold import LegalHoldInput
from muniment.contracts.ingest_batch import IngestBatchInput
from muniment.contracts.reindex import ReindexInput
from muniment.contracts.subject_requests import SubjectRequestInput
from muniment.errors import MunimentError
from muniment.telemetry import context
from worker.rounds import go_round
from workflows.starting import (
    start_answering,
    start_batch,
    start_hold,
    start_job,
    start_reindex,
    start_subject_request,
)

logger = logging.getLogger(__name__)

MIN_AGE = timedelta(seconds=4)
"""Younger jobs are still being started by the request that committed them. With a round every five
seconds none waits longer than ten."""
MAX_FAILURES = 3
"""After so many a round ends: then it is Temporal that is away, and each attempt waits for it."""


class Reconciler:
    """Starting twice is harmless, so any number of workers may run one."""

    def __init__(
        self,
        database: Database,
        client: Client,
        interval_seconds: float,
        min_age: timedelta = MIN_AGE,
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._min_age = min_age
        self._failed = set[UUID]()

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self._reconcile,
            self._interval_seconds,
            "reconciliation failed",
            first_after_seconds=0,
        )

    async def _reconcile(self) -> None:
        await self.round()
        await self.start_batches()
        await self.start_reindexes()
        await self.start_question_lists()
        await self.start_holds()
        await self.start_subject_requests()

    async def round(self) -> int:
        """Starts what is there to start, up to a hundred jobs; says how many it started."""
        async with self._database.across_tenants() as session:
            jobs = await unstarted_jobs(session, self._min_age)
        # Those that failed the last time come last: one that cannot be started holds up no other.
        jobs.sort(key=lambda job: job.job_id in self._failed)
        failed = set[UUID]()
        started = 0
        for job in jobs:
            try:
                await self._start(job)
                started += 1
            except MunimentError as error:
                failed.add(job.job_id)
                ids = {"job_id": str(job.job_id), "reason": error.problem}
                logger.warning("a job left behind was not started", extra=ids)
            if len(failed) >= MAX_FAILURES:
                break
        self._failed = (self._failed & {job.job_id for job in jobs}) | failed
        return started

    async def _start(self, unstarted: UnstartedJob) -> None:
        access = Access(unstarted.tenant_id)
        async with self._database.transaction(access) as session:
            job = await get_job(session, unstarted.job_id)
        if job is None or job.started_at is not None or job.finished_at is not None:
            return
        ids = {"request_id": job.request_id} if job.request_id else {}
        with context.bound(**ids):
            run_id = await start_job(self._client, job)
        async with self._database.transaction(access) as session:
            await mark_started(session, job.id, run_id)
        logger.info("started a job left behind", extra={"job_id": str(job.id)})

    async def start_batches(self) -> int:
        """As `round`, for batches: the first that fails ends it, and the next round tries again."""
        async with self._database.across_tenants() as session:
            unstarted = await unstarted_batches(session, self._min_age)
        for found in unstarted:
            await self._start_batch(found)
        return len(unstarted)

    async def start_reindexes(self) -> int:
        """As `start_batches`, for index versions that are to be built."""
        async with self._database.across_tenants() as session:
            unstarted = await index_versions.unstarted(session, self._min_age)
        for found in unstarted:
            request = ReindexInput(
                tenant_id=found.tenant_id, index_version_id=found.index_version_id
            )
            await start_reindex(self._client, request)
            async with self._database.transaction(Access(found.tenant_id)) as session:
                await index_versions.mark_started(session, found.index_version_id)
            ids = {"index_version": str(found.index_version_id)}
            logger.info("started the building of an index version", extra=ids)
        return len(unstarted)

    async def start_question_lists(self) -> int:
        """As `start_batches`, for lists of questions."""
        async with self._database.across_tenants() as session:
            unstarted = await question_lists.unstarted(session, self._min_age)
        for found in unstarted:
            request = AnswerQuestionsInput(tenant_id=found.tenant_id, list_id=found.list_id)
            await start_answering(self._client, request)
            async with self._database.transaction(Access(found.tenant_id)) as session:
                await question_lists.mark_started(session, found.list_id)
            logger.info("started a list of questions", extra={"list_id": str(found.list_id)})
        return len(unstarted)

    async def start_holds(self) -> int:
        """As `start_batches`, for legal holds."""
        async with self._database.across_tenants() as session:
            unstarted = await legal_holds.unstarted(session, self._min_age)
        for found in unstarted:
            request = LegalHoldInput(tenant_id=found.tenant_id, hold_id=found.hold_id)
            await start_hold(self._client, request)
            async with self._database.transaction(Access(found.tenant_id)) as session:
                await legal_holds.mark_started(session, found.hold_id)
            logger.info("started a legal hold", extra={"hold_id": str(found.hold_id)})
        return len(unstarted)

    async def start_subject_requests(self) -> int:
        """As `start_batches`, for requests of people."""
        async with self._database.across_tenants() as session:
            unstarted = await subject_requests.unstarted(session, self._min_age)
        for found in unstarted:
            request = SubjectRequestInput(tenant_id=found.tenant_id, request_id=found.request_id)
            await start_subject_request(self._client, request)
            async with self._database.transaction(Access(found.tenant_id)) as session:
                await subject_requests.mark_started(session, found.request_id)
            logger.info("started a subject request", extra={"request": str(found.request_id)})
        return len(unstarted)

    async def _start_batch(self, unstarted: UnstartedBatch) -> None:
        access = Access(unstarted.tenant_id)
        async with self._database.transaction(access) as session:
            batch = await get_batch(session, unstarted.batch_id)
        if batch is None or batch.started_at is not None:
            return
        request = IngestBatchInput(
            tenant_id=batch.tenant_id,
            batch_id=batch.id,
            priority=batch.priority,
            imports=batch.source is not None,
        )
        run_id = await start_batch(self._client, batch.workflow_id, request)
        async with self._database.transaction(access) as session:
            await mark_batch_started(session, batch.id, run_id)
        logger.info("started a batch left behind", extra={"batch_id": str(batch.id)})

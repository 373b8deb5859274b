"""What every stage has in common: its row, its events, its fingerprint, its artifact.

    begin     one transaction: the job's row is locked; a result with this fingerprint is reused,
              or was made along the way by a stage before, else the stage is running
    compute   the engine works; heartbeats go out
    keep      the artifact is sealed, then one transaction: its row, its reference, the result, the
              output, the job's row and events

Nothing is kept of a job that has ended meanwhile, and a failure leaves no fingerprint.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.artifacts import Artifacts
from activities.failures import (
    application_error,
    counted_reasons,
    erased,
    final,
    is_final,
    is_slow_for_good,
    paused,
    reason_of,
    retry_delay,
    withdrawn,
)
from activities.fingerprints import fingerprint as fingerprint_of
from activities.heartbeats import Heartbeats, heartbeats
from db.models import now
from db.queries.events import NewEvent, append_events
from db.queries.file_states import STARTABLE, settle_file
from db.queries.jobs import JobRow, lock_job, write_job
from db.queries.stages import (
    UNTOUCHED_STATES,
    NewBlob,
    Opening,
    OutputKey,
    StoredResult,
    count_retries,
    find_results,
    keep_result,
    open_stage,
    was_retry_announced,
    write_output,
)
from db.session import Access, Database
from muniment.contracts.base import Artifact, Contract, VersionReference
from muniment.contracts.jobs import (
    FileState,
    JobEventKind,
    JobKind,
    JobSettings,
    JobState,
    RetryEvent,
    StageName,
    StageProgress,
    StageState,
)
from muniment.errors import Conflict, EngineError, Gone, MunimentError
from muniment.telemetry.metrics import stage_seconds

logger = logging.getLogger(__name__)
SummaryT = TypeVar("SummaryT", bound=Contract)

_OVER = frozenset({StageState.COMPLETED, StageState.REUSED, StageState.SKIPPED})
WORKER_LOST = "worker-lost"
"""Reason of a retry whose predecessor could not say anything any more."""


@dataclass(frozen=True)
class Product(Generic[SummaryT]):
    """What a stage made: the artifact's bytes, and what is worth knowing without opening them.

    One that is not complete, since an engine failed that may succeed another time, is this job's
    output, and no later run finds it."""

    content: bytes
    summary: SummaryT
    is_complete: bool = True


@dataclass(frozen=True)
class StageTask(Generic[SummaryT]):
    """A stage that makes one artifact.

    `fingerprint` and `compute` are given the opening; `follow` may change the job's row by what
    the summary says, and `claim` count what it says, or refuse it, in the transaction that keeps it.
    """

    stage: StageName
    version: VersionReference
    summary: type[SummaryT]
    fingerprint: Callable[[Opening], str]
    compute: Callable[[Opening], Awaitable[Product[SummaryT]]]
    follow: Callable[[JobRow, SummaryT], JobRow] = lambda job, _: job
    claim: Callable[[AsyncSession, SummaryT], Awaitable[None]] | None = None


@dataclass(frozen=True)
class StageAnswer(Generic[SummaryT]):
    """The artifact of a stage, made now or found; `settings` are the job's own."""

    artifact: Artifact
    summary: SummaryT
    settings: JobSettings
    reused: bool


class StageRunner:
    """Runs stages against the database and the sealed store."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self.artifacts = artifacts

    async def run(self, task: StageTask[SummaryT]) -> StageAnswer[SummaryT]:
        """The stage's artifact, found by its fingerprint or computed and kept."""
        async with self.attempt(task.version, task.stage):
            return await self.carry_out(task)

    async def carry_out(self, task: StageTask[SummaryT]) -> StageAnswer[SummaryT]:
        """As `run`, within an attempt that began before."""
        fingerprint, found, opening = await self._begin(task)
        if found is not None:
            return _answer(task, opening, found, reused=not found.is_own)
        product = await task.compute(opening)
        kept = await self._keep(task, fingerprint, product)
        return _answer(task, opening, kept, reused=False)

    @asynccontextmanager
    async def attempt(
        self, version: VersionReference, stage: StageName
    ) -> AsyncIterator[Heartbeats]:
        """One attempt at a stage: beats, measures, and turns errors into Temporal's."""
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            async with heartbeats() as beating:
                yield beating
            outcome = "completed"
        except ApplicationError:
            outcome = "failed"
            raise
        except Exception as error:
            outcome = "failed"
            raise await self._failure(version, stage, error) from error
        finally:
            stage_seconds.labels(stage.value, outcome).observe(time.perf_counter() - began)

    def transaction(self, version: VersionReference) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction of the version's tenant, as the system."""
        return self._database.transaction(Access(version.tenant_id))

    async def open(
        self, session: AsyncSession, version: VersionReference, *, is_published: bool = False
    ) -> Opening:
        """Locks the job's row and checks that the stage may still work. What is published goes on,
        whatever the row says of a pause: it came too late to hold anything back."""
        opening = await open_stage(session, version)
        if opening is None:
            raise Gone("The version or its job is no longer there.")
        _refuse_ended(opening.job)
        if opening.file_state in UNTOUCHED_STATES:
            raise erased()
        is_comparison = opening.job.kind is JobKind.COMPARE_READING
        if is_comparison and opening.file_state is not FileState.READY:
            raise withdrawn()
        if opening.job.state is JobState.PAUSED and not is_published:
            raise paused()
        return opening

    async def begin(self, session: AsyncSession, opening: Opening, stage: StageName) -> JobRow:
        """Writes that the stage is running, unless the row says so already."""
        job, events = opening.job, list[NewEvent]()
        progress = job.stage_progress(stage)
        attempt = activity.info().attempt
        if progress.state in _OVER:
            # An attempt whose end was lost on its way to Temporal: what is over stays over.
            return job
        if progress.state is StageState.RUNNING and attempt <= progress.attempts:
            return job
        if attempt > 1 and not await was_retry_announced(session, job.id, stage, attempt):
            events.append(_retry(stage, attempt, WORKER_LOST, now()))
        progress = _running(progress, attempt)
        job = job.with_stage(progress)
        if job.state is JobState.QUEUED:
            job = replace(job, state=JobState.RUNNING)
            await settle_file(session, job.file_id, FileState.PROCESSING, among=STARTABLE)
            events.append(job.event(JobEventKind.STATE))
        events.append(stage_event(progress))
        await write_job(session, job, events, activity.info().workflow_run_id)
        return job

    async def advance(
        self, version: VersionReference, stage: StageName, done: int, total: int
    ) -> None:
        """Tells how far a long stage is, in its own units; Conflict once the job has ended."""
        async with self.transaction(version) as session:
            job = await self.relock(session, version)
            progress = job.stage_progress(stage)
            if progress.state is not StageState.RUNNING:
                return
            progress = progress.model_copy(update={"done": done, "total": total})
            run_id = activity.info().workflow_run_id
            await write_job(session, job.with_stage(progress), [stage_event(progress)], run_id)

    async def finish(
        self,
        session: AsyncSession,
        job: JobRow,
        stage: StageName,
        state: StageState = StageState.COMPLETED,
    ) -> None:
        """Writes that the stage is over: completed, reused or skipped."""
        finished = _finished(job.stage_progress(stage), state)
        await write_job(
            session,
            job.with_stage(finished),
            [stage_event(finished)],
            activity.info().workflow_run_id,
        )

    async def relock(self, session: AsyncSession, version: VersionReference) -> JobRow:
        """The job's row, locked again to write what was done; Conflict once the job has ended."""
        job = await lock_job(session, version.job_id)
        if job is None:
            raise Gone("The job is no longer there.")
        _refuse_ended(job)
        return job

    async def is_last_failure(
        self, version: VersionReference, stage: StageName, error: EngineError
    ) -> bool:
        """Whether the stage would not be tried again after this error, were it raised."""
        if not is_final(error, activity.info().attempt):
            return False
        async with self.transaction(version) as session:
            return is_final(error, await _count_failures(session, version, stage, error))

    async def discard(self, tenant_id: UUID, *blobs: NewBlob) -> None:
        """Destroys blobs that no row names, even while the activity is being cancelled."""
        await asyncio.shield(self.artifacts.discard(tenant_id, blobs))

    async def _begin(self, task: StageTask[SummaryT]) -> tuple[str, StoredResult | None, Opening]:
        async with self.transaction(task.version) as session:
            opening = await self.open(session, task.version)
            fingerprint = task.fingerprint(opening)
            results = await find_results(session, task.version.job_id, [fingerprint])
            found = results.get(fingerprint)
            if found is None:
                await self.begin(session, opening, task.stage)
            elif not found.is_own:
                key = OutputKey(task.version, task.stage.value, 0)
                await write_output(session, key, found)
                await self._finish_with(session, task, opening.job, found, reused=True)
            elif (progress := opening.job.stage_progress(task.stage)).state not in _OVER:
                # A stage before this one made it along the way, for this very job.
                attempts = max(progress.attempts, activity.info().attempt)
                job = opening.job.with_stage(progress.model_copy(update={"attempts": attempts}))
                await self._finish_with(session, task, job, found, reused=False)
            return fingerprint, found, opening

    async def _keep(
        self, task: StageTask[SummaryT], fingerprint: str, product: Product[SummaryT]
    ) -> StoredResult:
        version = task.version
        key = OutputKey(version, task.stage.value, 0)
        blob = await self.artifacts.seal(version.tenant_id, product.content)
        if not product.is_complete:
            fingerprint = _incomplete(task.stage, fingerprint, blob.sha256)
        try:
            async with self.transaction(version) as session:
                job = await self.relock(session, version)
                summary = product.summary.model_dump(mode="json")
                kept = await keep_result(session, key, fingerprint, blob, summary)
                await self._finish_with(session, task, job, kept, reused=False)
        except BaseException:
            await self.discard(version.tenant_id, blob)
            raise
        if kept.blob_id != blob.blob_id:
            await self.discard(version.tenant_id, blob)
        return kept

    async def _finish_with(
        self,
        session: AsyncSession,
        task: StageTask[SummaryT],
        job: JobRow,
        result: StoredResult,
        *,
        reused: bool,
    ) -> None:
        summary = task.summary.model_validate(result.summary)
        if task.claim is not None:
            await task.claim(session, summary)
        job = task.follow(job, summary)
        state = StageState.REUSED if reused else StageState.COMPLETED
        await self.finish(session, job, task.stage, state)

    async def _failure(
        self, version: VersionReference, stage: StageName, error: Exception
    ) -> ApplicationError:
        """The failure for Temporal; when it will try again, the job's readers are told."""
        attempt = activity.info().attempt
        if not isinstance(error, MunimentError):
            logger.exception("stage failed unexpectedly", extra={"stage": stage.value})
        failures, reasons = attempt, counted_reasons(error)
        if is_final(error, attempt) and not reasons:
            return application_error(error, attempt)
        try:
            async with self.transaction(version) as session:
                if is_final(error, attempt) or is_slow_for_good(error, attempt):
                    failures = await _count_failures(session, version, stage, error)
                if isinstance(error, MunimentError) and is_slow_for_good(error, failures):
                    return final(error)
                if not is_final(error, failures):
                    next_at = _next_attempt_at(attempt, retry_delay(error))
                    retry = _retry(stage, attempt + 1, reason_of(error), next_at)
                    await self.relock(session, version)
                    await append_events(session, version.job_id, [retry])
        except MunimentError:
            # The stage's own failure is the one to report; most likely it is the database's.
            logger.warning("retry not recorded", extra={"stage": stage.value})
        return application_error(error, failures)


async def _count_failures(
    session: AsyncSession, version: VersionReference, stage: StageName, error: Exception
) -> int:
    """Failures of the error's kind, this one included: those whose retry was told, and no more than
    there were attempts."""
    told = await count_retries(session, version.job_id, stage, counted_reasons(error))
    return min(activity.info().attempt, told + 1)


def _incomplete(stage: StageName, complete: str, sha256: bytes) -> str:
    """What is made of an incomplete product may be found by what that holds."""
    return fingerprint_of(stage, "incomplete", [complete, sha256.hex()])


def stage_event(progress: StageProgress) -> NewEvent:
    return NewEvent(JobEventKind.STAGE, progress.model_dump(mode="json"))


def _answer(
    task: StageTask[SummaryT], opening: Opening, result: StoredResult, *, reused: bool
) -> StageAnswer[SummaryT]:
    return StageAnswer(
        artifact=Artifact(fingerprint=result.fingerprint, blob_id=result.blob_id),
        summary=task.summary.model_validate(result.summary),
        settings=opening.job.settings,
        reused=reused,
    )


def _refuse_ended(job: JobRow) -> None:
    if job.finished_at is not None:
        raise Conflict("The job has ended; nothing of it is kept any more.")


def _running(progress: StageProgress, attempt: int) -> StageProgress:
    return progress.model_copy(
        update={
            "state": StageState.RUNNING,
            "attempts": max(progress.attempts, attempt),
            "total": max(progress.total, 1),
            "queue": activity.info().task_queue,
            "started_at": progress.started_at or now(),
            "error": None,
        }
    )


def _finished(progress: StageProgress, state: StageState) -> StageProgress:
    total = max(progress.total, 1)
    moment = now()
    return progress.model_copy(
        update={
            "state": state,
            "attempts": max(progress.attempts, 1),
            "done": total,
            "total": total,
            "queue": progress.queue or activity.info().task_queue,
            "started_at": progress.started_at or moment,
            "finished_at": moment,
            "error": None,
        }
    )


def _retry(stage: StageName, attempt: int, reason: str, next_at: datetime | None) -> NewEvent:
    event = RetryEvent(stage=stage, attempt=attempt, reason=reason, next_at=next_at)
    return NewEvent(JobEventKind.RETRY, event.model_dump(mode="json"))


def _next_attempt_at(attempt: int, delay: timedelta | None) -> datetime | None:
    """When Temporal will try again: after the error's own delay, else by the policy that it was
    given. None where the workflow decides after the policy's last attempt."""
    policy = activity.info().retry_policy
    if policy is None or 0 < policy.maximum_attempts <= attempt:
        return None
    if delay is not None:
        return now() + delay
    wait = policy.initial_interval * policy.backoff_coefficient ** (attempt - 1)
    return now() + min(wait, policy.maximum_interval or timedelta(minutes=1))

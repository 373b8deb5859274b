"""Temporal's face of a job's own life."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.compare.intent import Shadow
from activities.failures import application_error
from activities.job_ends import count_end
from activities.stage import StageRunner, stage_event
from db.activity_feed import ActivityKind
from db.models import Activity, now
from db.queries import anchors
from db.queries.decisions import find_decision
from db.queries.events import NewEvent
from db.queries.file_states import IN_PROGRESS, NOT_READY, WITHHELD, mark_degraded, settle_file
from db.queries.jobs import JobRow, lock_job, write_job
from db.session import Access, Database
from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import (
    FileState,
    JobEventKind,
    JobKind,
    JobProgress,
    JobState,
    StageName,
    StageProgress,
    StageState,
)
from muniment.contracts.lifecycle import (
    AnnounceResult,
    Decision,
    LifecycleActivities,
    ReadDecisionInput,
    RecordProgressInput,
    Verdict,
)
from muniment.errors import (
    ContentUnscannable,
    ContentWithheld,
    FindingsRefused,
    MunimentError,
    NotFound,
)

_REJECTED = tuple(
    f"urn:muniment:problem:{kind.problem}"
    for kind in (ContentWithheld, ContentUnscannable, FindingsRefused)
)
"""What jobs fail with whose file a person, or a policy, keeps out."""


class Lifecycle(LifecycleActivities):
    """`shadow` has some of what was published read by a candidate, too."""

    def __init__(
        self, database: Database, runner: StageRunner, shadow: Shadow | None = None
    ) -> None:
        self._database = database
        self._runner = runner
        self._shadow = shadow

    @activity.defn(name="announce_version")
    async def announce_version(self, version: VersionReference) -> AnnounceResult:
        async with (
            self._runner.attempt(version, StageName.ANNOUNCE),
            self._runner.transaction(version) as session,
        ):
            job = await self._runner.relock(session, version)
            if job.stage_progress(StageName.ANNOUNCE).state is not StageState.COMPLETED:
                session.add(
                    Activity(
                        tenant_id=version.tenant_id,
                        kind=ActivityKind.READY,
                        file_id=version.file_id,
                        job_id=version.job_id,
                    )
                )
                await self._runner.finish(session, job, StageName.ANNOUNCE)
                if self._shadow is not None:
                    await self._shadow.consider(session, version)
            is_annotated = await anchors.is_annotated(session, version.file_id)
        return AnnounceResult(is_annotated=is_annotated)

    @activity.defn(name="record_progress")
    async def record_progress(self, request: RecordProgressInput) -> None:
        try:
            async with self._database.transaction(Access(request.version.tenant_id)) as session:
                job = await lock_job(session, request.version.job_id)
                if job is not None and job.finished_at is None:
                    await _record(session, job, request.progress)
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error

    @activity.defn(name="read_decision")
    async def read_decision(self, request: ReadDecisionInput) -> Decision:
        try:
            async with self._database.transaction(Access(request.tenant_id)) as session:
                found = await find_decision(
                    session, request.job_id, request.decision_id, about=request.about
                )
            if found is None:
                raise NotFound("No such decision was recorded for this job.")
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error
        return Decision(decision_id=found.id, verdict=Verdict(found.verdict))


async def _record(session: AsyncSession, job: JobRow, progress: JobProgress) -> None:
    """Takes over the workflow's state; the row's counts stay, since they know more."""
    changed, events = job, list[NewEvent]()
    stage = progress.stage
    if progress.state.is_terminal and progress.state is not JobState.COMPLETED:
        changed, abandoned = changed.abandoned()
        events += [stage_event(each) for each in abandoned if each.name is not stage]
    if progress.state is JobState.FAILED and stage is not None:
        failed = job.stage_progress(stage).model_copy(
            update={"state": StageState.FAILED, "error": progress.error, "finished_at": now()}
        )
        changed = changed.with_stage(failed)
        events.append(stage_event(failed))
    reading = _idle_noted(changed.stage_progress(StageName.READ), progress.state)
    changed = replace(
        changed.with_stage(reading),
        state=progress.state,
        stage=stage or job.stage,
        degraded=changed.degraded or progress.degraded,
        priority=progress.priority,
        error=progress.error,
        finished_at=now() if progress.state.is_terminal else None,
        percent=100.0 if progress.state is JobState.COMPLETED else changed.percent,
    )
    if changed == job:
        return
    events.append(changed.event(JobEventKind.STATE))
    if progress.state.is_terminal:
        events.append(changed.event(JobEventKind.END))
    await write_job(session, changed, events, activity.info().workflow_run_id)
    if progress.state.is_terminal:
        count_end(session, changed)
    if job.kind is JobKind.COMPARE_READING:
        return  # which is nothing to its file
    if progress.state is JobState.COMPLETED and changed.degraded:
        await mark_degraded(session, job.file_id)
    await _settle_file(session, job, progress)
    if progress.state is JobState.FAILED:
        # Of a file that stays ready, too: its new version, or its reading anew, came to nothing.
        session.add(
            Activity(
                tenant_id=job.tenant_id,
                kind=ActivityKind.FAILED,
                file_id=job.file_id,
                job_id=job.id,
            )
        )


def _idle_noted(reading: StageProgress, state: JobState) -> StageProgress:
    """The stage `read` with its pauses counted, so that its rate is measured over work alone."""
    if reading.state is not StageState.RUNNING:
        return reading
    if state is JobState.PAUSED:
        return reading.model_copy(update={"idle_since": reading.idle_since or now()})
    if reading.idle_since is None:
        return reading
    idle = reading.idle_seconds + (now() - reading.idle_since).total_seconds()
    return reading.model_copy(update={"idle_seconds": round(idle, 3), "idle_since": None})


async def _settle_file(session: AsyncSession, job: JobRow, progress: JobProgress) -> None:
    """What the job's state means for its file; one that is ready stays ready."""
    if progress.state is JobState.WAITING:
        await settle_file(session, job.file_id, FileState.QUARANTINED, among=NOT_READY)
    elif job.state is JobState.WAITING and not progress.state.is_terminal:
        # Nothing but a release ends the waiting and not the job.
        await settle_file(session, job.file_id, FileState.PROCESSING, among=WITHHELD)
    elif progress.state is JobState.CANCELLED:
        await settle_file(session, job.file_id, FileState.CANCELLED, among=IN_PROGRESS)
    elif progress.state is JobState.FAILED:
        if progress.error is not None and progress.error.type in _REJECTED:
            among = (*IN_PROGRESS, *WITHHELD)
            await settle_file(session, job.file_id, FileState.REJECTED, among=among)
        else:
            await settle_file(session, job.file_id, FileState.FAILED, among=IN_PROGRESS)

"""From the job's row, and from what its workflow says, to the Job that clients see."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from pydantic import TypeAdapter

from api.jobs.estimate import estimate_seconds
from api.jobs.schemas import Job, StageView
from db.models import Job as JobRecord
from db.models import now
from db.queries.jobs import job_snapshot
from muniment.contracts.jobs import (
    STAGES_OF,
    JobKind,
    JobProgress,
    JobSnapshot,
    JobState,
    PageCounts,
    StageName,
    StageProgress,
    StageState,
    percent,
)
from muniment.sealing import ExpiringCache

_STAGES = TypeAdapter(list[StageView])
"""All of a job's at once: a list of files shows some two hundred, and one by one they took a tenth of
its time."""
_PENDING = StageProgress(name=StageName.SCAN).model_dump(include=set(StageView.model_fields))
"""A stage that has not begun."""
_JOBS_KEPT = 1000
_over: ExpiringCache["_JobOver", Job] = ExpiringCache(_JOBS_KEPT)
"""Jobs that are over, which never change, as they were shown last: whoever looks at a list again sees
mostly the same, and they took a sixth of its time."""


@dataclass(frozen=True)
class WorkflowLinks:
    """Where Temporal's Web UI shows a workflow."""

    ui_url: str | None
    namespace: str

    def to(self, workflow_id: str, run_id: str | None) -> str | None:
        if self.ui_url is None:
            return None
        address = (
            f"{self.ui_url.rstrip('/')}/namespaces/{quote(self.namespace, safe='')}"
            f"/workflows/{quote(workflow_id, safe='')}"
        )
        return address if run_id is None else f"{address}/{quote(run_id, safe='')}/history"


@dataclass(frozen=True, slots=True)
class _JobOver:
    """All that may differ between two looks at a job that is over."""

    job_id: UUID
    event_seq: int
    finished_at: datetime
    retry_of: UUID | None
    version: int | None
    links: WorkflowLinks
    stale: bool


@dataclass(frozen=True)
class JobFacts:
    """What does not change while a job runs, and the row's last word on what does.

    `seconds_per_character` is what the tenant's last jobs took after their reading; None: nothing is
    known.
    """

    record: JobRecord
    version: int | None
    links: WorkflowLinks
    seconds_per_character: float | None = None

    def recorded(self, *, stale: bool = False) -> Job:
        """The job as its row has it."""
        record = self.record
        if record.state == JobState.RUNNING:
            return self.at(job_snapshot(record), stale=stale)
        if record.finished_at is None:
            return self._not_running(stale=stale)
        key = _JobOver(
            job_id=record.id,
            event_seq=record.event_seq,
            finished_at=record.finished_at,
            retry_of=record.retry_of,
            version=self.version,
            links=self.links,
            stale=stale,
        )
        shown = _over.get(key)
        if shown is None:
            shown = self._not_running(stale=stale)
            _over.put(key, shown)
        return shown

    def _not_running(self, *, stale: bool) -> Job:
        """Nothing is estimated of it, which would need more of a stage than is shown."""
        snapshot = job_snapshot(self.record, with_stages=False)
        return self._shown(snapshot, _recorded_stages(self.record), stale=stale)

    def at(self, snapshot: JobSnapshot, *, stale: bool = False) -> Job:
        """The job at the moment of a snapshot."""
        stages = _STAGES.validate_python(snapshot.stages, from_attributes=True)
        return self._shown(snapshot, stages, stale=stale)

    def _shown(self, snapshot: JobSnapshot, stages: list[StageView], *, stale: bool) -> Job:
        record = self.record
        return Job(
            id=record.id,
            kind=JobKind(record.kind),
            workflow_id=record.workflow_id,
            run_id=record.run_id,
            temporal_url=self.links.to(record.workflow_id, record.run_id),
            file_id=record.file_id,
            version=self.version,
            state=snapshot.state,
            stage=snapshot.stage,
            stages=stages,
            pages=snapshot.pages,
            percent=_shown_percent(snapshot),
            eta_seconds=estimate_seconds(snapshot, now(), self.seconds_per_character),
            degraded=snapshot.degraded,
            stale=stale,
            priority=snapshot.priority,
            retry_of=record.retry_of,
            error=snapshot.error,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=snapshot.finished_at,
        )

    def asked(self, progress: JobProgress) -> Job:
        """The job as its workflow tells it, never behind what was recorded already, and over only
        once that is recorded: what follows an end (a retry) goes by the row."""
        recorded = job_snapshot(self.record)
        if recorded.state.is_terminal:
            return self.at(recorded)
        ending = progress.state.is_terminal
        stages = _furthest(recorded.stages, progress.stages)
        return self.at(
            JobSnapshot(
                state=JobState.RUNNING if ending else progress.state,
                stage=progress.stage or recorded.stage,
                stages=stages,
                pages=_most(recorded.pages, progress.pages),
                percent=max(recorded.percent, percent(stages)),
                degraded=progress.degraded or recorded.degraded,
                priority=progress.priority,
                error=recorded.error if ending else progress.error,
                finished_at=recorded.finished_at,
            )
        )


def _recorded_stages(record: JobRecord) -> list[StageView]:
    """As `job_stages`, to be shown alone. The row leaves out of a stage what is as at its beginning."""
    recorded = {stage["name"]: {**_PENDING, **stage} for stage in record.stages}
    names = STAGES_OF[JobKind(record.kind)]
    return _STAGES.validate_python(
        [recorded.get(name, {**_PENDING, "name": name}) for name in names]
    )


def _shown_percent(snapshot: JobSnapshot) -> float:
    if snapshot.state is JobState.COMPLETED:
        return 100.0
    return min(snapshot.percent, 100.0)


_ORDER = {
    StageState.PENDING: 0,
    StageState.RUNNING: 1,
    StageState.FAILED: 2,
    StageState.SKIPPED: 3,
    StageState.REUSED: 3,
    StageState.COMPLETED: 3,
}


def _furthest(
    recorded: tuple[StageProgress, ...], told: tuple[StageProgress, ...]
) -> tuple[StageProgress, ...]:
    """Stage by stage the further of two accounts: activities record pages before the workflow hears
    of their batch, and the workflow knows of stages that nothing was recorded of yet."""
    told_by_name = {stage.name: stage for stage in told}
    furthest = []
    for stage in recorded:
        account = max(
            (stage, told_by_name.get(stage.name, stage)),
            key=lambda account: (_ORDER[account.state], account.done),
        )
        # These are counted where they are recorded.
        counted = {
            "idle_seconds": stage.idle_seconds,
            "idle_since": stage.idle_since,
            "counts": stage.counts,
        }
        furthest.append(account.model_copy(update=counted))
    return tuple(furthest)


def _most(recorded: PageCounts, told: PageCounts) -> PageCounts:
    return PageCounts(
        total=max(recorded.total, told.total),
        done=max(recorded.done, told.done),
        failed=max(recorded.failed, told.failed),
        reused=max(recorded.reused, told.reused),
    )

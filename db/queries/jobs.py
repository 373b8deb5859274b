"""Jobs: what the API reads, what the reconciler starts, and the one way to change a job's row.

Every change goes through `lock_job` and `write_job`: one row lock, one statement that writes the
row and appends its events. A finished job is never written again, `percent` never falls.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import ColumnElement, RowMapping, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import col

from db.models import Job, now
from db.queries.events import NewEvent, events_json
from muniment.contracts.jobs import (
    STAGES_OF,
    JobEventKind,
    JobKind,
    JobSettings,
    JobSnapshot,
    JobState,
    PageCounts,
    Problem,
    StageName,
    StageProgress,
    StageState,
    percent,
)
from muniment.errors import TooManyRequests

PLACE_SECONDS = 30.0
"""How long whoever has too many jobs is asked to wait: a job takes seconds to minutes."""
_STAGES = TypeAdapter(tuple[StageProgress, ...])
_ORDER = list(StageName)


@dataclass(frozen=True)
class JobCursor:
    """The last job of the page before, in the order newest first."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True)
class UnstartedJob:
    """A committed job that Temporal has not taken yet."""

    tenant_id: UUID
    job_id: UUID


@dataclass(frozen=True)
class OpenJob:
    """A job that Temporal took and that has not ended."""

    tenant_id: UUID
    job_id: UUID
    workflow_id: str


# ── reading, under the caller's rights ──────────────────────────────────────────────────────────


async def get_job(session: AsyncSession, job_id: UUID, level: str = "read") -> Job | None:
    """The job, if the caller has that right to its file (`read`, `write` or `manage`)."""
    found = await session.execute(
        select(Job).where(col(Job.id) == job_id, _of_visible_files(level))
    )
    return found.scalar_one_or_none()


async def list_jobs(
    session: AsyncSession,
    *,
    limit: int = 50,
    after: JobCursor | None = None,
    file_id: UUID | None = None,
    state: JobState | None = None,
) -> list[Job]:
    """Jobs of files that the caller may read, newest first, those after the cursor."""
    query = select(Job).where(_of_visible_files("read"))
    if after is not None:
        query = query.where(
            tuple_(col(Job.created_at), col(Job.id)) < tuple_(after.created_at, after.id)
        )
    if file_id is not None:
        query = query.where(col(Job.file_id) == file_id)
    if state is not None:
        query = query.where(col(Job.state) == state.value)
    query = query.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
    return list((await session.execute(query)).scalars())


async def require_place(session: AsyncSession, most: int, more: int = 1) -> None:
    """Raises TooManyRequests where the tenant would have more than `most` jobs that have not ended.
    Those that begin at once do not see each other: they may be a few more together."""
    found = await session.scalar(
        text(
            "SELECT count(*) FROM (SELECT FROM job WHERE tenant_id = (SELECT current_tenant())"
            " AND finished_at IS NULL LIMIT :most) open"
        ),
        {"most": most + 1},
    )
    if (found or 0) + more > most:
        raise TooManyRequests(
            f"{most} jobs of the tenant have not ended",
            remedy="Wait until some have, cancel some, or ask the operator to raise"
            " MUNIMENT_API__MAX_OPEN_JOBS.",
            wait_seconds=PLACE_SECONDS,
        )


def newest_job(file_id: Mapped[UUID]) -> type[Job]:
    """The newest job of the file that a row names, whose reader was found to see it, as what a LATERAL
    join adds to the row; comparisons apart: they are at work beside the file, not on it."""
    newest = (
        select(Job)
        .where(col(Job.file_id) == file_id, col(Job.kind) != JobKind.COMPARE_READING.value)
        .order_by(col(Job.created_at).desc(), col(Job.id).desc())
        .limit(1)
        .lateral("newest_job")
    )
    return aliased(Job, newest)


def job_stages(job: Job) -> tuple[StageProgress, ...]:
    """The job's stages in order; those not begun are pending."""
    return _stages(JobKind(job.kind), job.stages)


def _stages(kind: JobKind, recorded: Sequence[JsonValue]) -> tuple[StageProgress, ...]:
    known = {stage.name: stage for stage in _STAGES.validate_python(recorded)}
    return tuple(known.get(name, StageProgress(name=name)) for name in STAGES_OF[kind])


def job_snapshot(job: Job, *, with_stages: bool = True) -> JobSnapshot:
    """The row as `snapshot`, `state` and `end` events carry it; without stages for whoever has them
    otherwise."""
    return JobSnapshot(
        state=JobState(job.state),
        stage=StageName(job.stage) if job.stage else None,
        stages=job_stages(job) if with_stages else (),
        pages=PageCounts(
            total=job.pages_total,
            done=job.pages_done,
            failed=job.pages_failed,
            reused=job.pages_reused,
        ),
        percent=job.percent,
        degraded=job.degraded,
        priority=job.priority,
        error=Problem.model_validate(job.error) if job.error else None,
        finished_at=job.finished_at,
    )


@dataclass(frozen=True)
class AfterReading:
    """What the stages after the reading of a document took."""

    characters: int
    seconds: float


async def last_after_reading(session: AsyncSession, long_characters: int) -> list[AfterReading]:
    """Of the tenant's last jobs that read, embedded and published without a second attempt: the last
    five of long documents, those of so many characters or more, and the last five of others."""
    rows = await session.execute(_AFTER_READING, {"long_characters": long_characters})
    return [AfterReading(row.characters, row.seconds) for row in rows]


_AFTER_READING = text(
    """
    WITH last_job AS (
        SELECT kind, state, stages, created_at FROM job
        WHERE tenant_id = (SELECT current_tenant()) ORDER BY created_at DESC, id DESC LIMIT 200
    ), document AS (
        -- By each stage's own time: a pause between two of them is in none.
        SELECT (reading -> 'counts' ->> 'characters')::bigint AS characters, (
            SELECT sum(extract(epoch FROM (stage ->> 'finished_at')::timestamptz
                                          - (stage ->> 'started_at')::timestamptz))
            FROM jsonb_array_elements(stages) AS stage
            WHERE stage ->> 'name' IN ('assemble', 'chunk', 'embed', 'publish', 'announce')
        )::double precision AS seconds, created_at
        FROM last_job, jsonb_array_elements(stages) AS reading
        WHERE kind = 'ingest_file' AND last_job.state = 'completed'
          AND reading ->> 'name' = 'read' AND reading ->> 'state' = 'completed'
          AND stages @> '[{"name": "embed", "state": "completed", "attempts": 1}]'
    ), numbered AS (
        SELECT characters, seconds, row_number() OVER (
            PARTITION BY characters >= :long_characters ORDER BY created_at DESC
        ) AS place
        FROM document WHERE characters > 0 AND seconds IS NOT NULL
    )
    SELECT characters, seconds FROM numbered WHERE place <= 5
    """
)


# ── starting ────────────────────────────────────────────────────────────────────────────────────


async def unstarted_jobs(
    session: AsyncSession, min_age: timedelta, max_rows: int = 100
) -> list[UnstartedJob]:
    """Jobs of all tenants, committed that long ago and not started; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id, job_id FROM unstarted_jobs(:min_age, :max_rows)"),
        {"min_age": min_age, "max_rows": max_rows},
    )
    return [UnstartedJob(row.tenant_id, row.job_id) for row in rows]


async def open_jobs(
    session: AsyncSession, min_age: timedelta, after: UUID | None = None, max_rows: int = 100
) -> list[OpenJob]:
    """Jobs of all tenants, started that long ago and not ended, those after the given one; needs no
    tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, job_id, workflow_id"
            " FROM open_jobs(:min_age, CAST(:after AS uuid), :max_rows)"
        ),
        {"min_age": min_age, "after": after, "max_rows": max_rows},
    )
    return [OpenJob(row.tenant_id, row.job_id, row.workflow_id) for row in rows]


async def mark_started(session: AsyncSession, job_id: UUID, run_id: str) -> None:
    """Notes that Temporal took the job; the first to say so stays."""
    await session.execute(
        update(Job)
        .where(col(Job.id) == job_id)
        .values(
            started_at=func.coalesce(col(Job.started_at), now()),
            run_id=func.coalesce(col(Job.run_id), run_id),
        )
    )


# ── changing, as the system ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class JobRow:
    """A job's row while its lock is held; `replace` it, then `write_job`."""

    id: UUID
    tenant_id: UUID
    kind: JobKind
    file_id: UUID
    version_id: UUID | None
    state: JobState
    stage: StageName | None
    stages: tuple[StageProgress, ...]
    pages: PageCounts
    percent: float
    degraded: bool
    priority: int
    error: Problem | None
    finished_at: datetime | None
    settings: JobSettings

    def stage_progress(self, name: StageName) -> StageProgress:
        """The stage as it stands."""
        return next(stage for stage in self.stages if stage.name is name)

    def with_stage(self, changed: StageProgress) -> "JobRow":
        """The same with one stage changed; the percentage and the present stage follow, onwards
        only."""
        stages = tuple(changed if stage.name is changed.name else stage for stage in self.stages)
        present = max((self.stage or changed.name, changed.name), key=_ORDER.index)
        return replace(
            self, stages=stages, stage=present, percent=max(self.percent, percent(stages))
        )

    def abandoned(self) -> tuple["JobRow", list[StageProgress]]:
        """The same with no stage at work any more, and those that were: they come to nothing."""
        over = {
            stage.name: stage.model_copy(update={"state": StageState.SKIPPED, "finished_at": now()})
            for stage in self.stages
            if stage.state is StageState.RUNNING
        }
        stages = tuple(over.get(stage.name, stage) for stage in self.stages)
        return replace(self, stages=stages), list(over.values())

    def snapshot(self) -> JobSnapshot:
        return JobSnapshot(
            state=self.state,
            stage=self.stage,
            stages=self.stages,
            pages=self.pages,
            percent=self.percent,
            degraded=self.degraded,
            priority=self.priority,
            error=self.error,
            finished_at=self.finished_at,
        )

    def event(self, kind: JobEventKind) -> NewEvent:
        """A `state` or `end` event that states the row as it now is."""
        return NewEvent(kind, self.snapshot().model_dump(mode="json"))


JOB_COLUMNS = (
    "job.id, job.tenant_id, job.kind, job.file_id, job.version_id, job.state, job.stage,"
    " job.stages, job.pages_total, job.pages_done, job.pages_failed, job.pages_reused,"
    " job.percent, job.degraded, job.priority, job.error, job.finished_at,"
    " job.settings"
)


async def lock_job(session: AsyncSession, job_id: UUID) -> JobRow | None:
    """Locks the job's row until the transaction ends; None when there is no such job."""
    rows = await session.execute(
        text(f"SELECT {JOB_COLUMNS} FROM job WHERE id = :job_id FOR UPDATE"),  # noqa: S608 - a constant
        {"job_id": job_id},
    )
    found = rows.mappings().one_or_none()
    return None if found is None else job_row(found)


def job_row(row: RowMapping) -> JobRow:
    """A JobRow out of JOB_COLUMNS."""
    kind = JobKind(row["kind"])
    return JobRow(
        id=row["id"],
        tenant_id=row["tenant_id"],
        kind=kind,
        file_id=row["file_id"],
        version_id=row["version_id"],
        state=JobState(row["state"]),
        stage=StageName(row["stage"]) if row["stage"] else None,
        stages=_stages(kind, row["stages"]),
        pages=PageCounts(
            total=row["pages_total"],
            done=row["pages_done"],
            failed=row["pages_failed"],
            reused=row["pages_reused"],
        ),
        percent=row["percent"],
        degraded=row["degraded"],
        priority=row["priority"],
        error=Problem.model_validate(row["error"]) if row["error"] else None,
        finished_at=row["finished_at"],
        settings=JobSettings.model_validate(row["settings"]),
    )


_WRITE = text(
    """
    WITH written AS (
        UPDATE job SET
            state = :state, stage = :stage, stages = CAST(:stages AS jsonb),
            pages_total = :total, pages_done = :done, pages_failed = :failed,
            pages_reused = :reused, percent = greatest(percent, :percent), degraded = :degraded,
            priority = :priority, error = CAST(:error AS jsonb), finished_at = :finished_at,
            run_id = coalesce(run_id, :run_id), started_at = coalesce(started_at, now()),
            event_seq = event_seq + :count
        WHERE id = :job_id AND finished_at IS NULL
        RETURNING tenant_id, id, event_seq
    )
    INSERT INTO job_event (tenant_id, job_id, seq, event, payload, created_at)
    SELECT written.tenant_id, written.id, written.event_seq - :count + item.ordinality,
           item.value ->> 'event', item.value -> 'payload', clock_timestamp()
    FROM written, jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS item
    """
)


async def write_job(
    session: AsyncSession, job: JobRow, events: Sequence[NewEvent], run_id: str | None = None
) -> None:
    """Writes a locked row and appends its events, in one statement.

    `run_id` is the Temporal run that is at work: a job whose start was not noted gets it noted.
    """
    stages: list[dict[str, JsonValue]] = [
        stage.model_dump(mode="json", exclude_defaults=True) for stage in job.stages
    ]
    await session.execute(
        _WRITE,
        {
            "job_id": job.id,
            "state": job.state.value,
            "stage": job.stage.value if job.stage else None,
            "stages": json.dumps(stages),
            "total": job.pages.total,
            "done": job.pages.done,
            "failed": job.pages.failed,
            "reused": job.pages.reused,
            "percent": job.percent,
            "degraded": job.degraded,
            "priority": job.priority,
            "error": job.error.model_dump_json() if job.error else None,
            "finished_at": job.finished_at,
            "run_id": run_id,
            "count": len(events),
            "events": events_json(events),
        },
    )


def _of_visible_files(level: str) -> ColumnElement[bool]:
    # As a table, whose body PostgreSQL looks into: in a list of columns it makes all ids first.
    ids = func.visible_files(level).column_valued("visible_file")
    return col(Job.file_id).in_(select(ids))

"""A job as it is shown: states, stages, counts and the one way to turn them into a percentage."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from muniment.contracts.base import Contract
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName


class JobKind(StrEnum):
    INGEST_FILE = "ingest_file"
    ERASE_FILE = "erase_file"
    COMPARE_READING = "compare_reading"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class FileState(StrEnum):
    RECEIVED = "received"
    PROCESSING = "processing"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TRASHED = "trashed"
    RESTRICTED = "restricted"
    ERASING = "erasing"
    ERASED = "erased"


class StageName(StrEnum):
    """The stages of an ingestion, in order."""

    SCAN = "scan"
    INSPECT = "inspect"
    READ = "read"
    ASSEMBLE = "assemble"
    CLASSIFY = "classify"
    CHUNK = "chunk"
    EMBED = "embed"
    PUBLISH = "publish"
    ANNOUNCE = "announce"


class StageState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILED = "failed"


class JobEventKind(StrEnum):
    """What an event of a job says: its stage (a StageProgress), a page (a PageEvent), a retry (a
    RetryEvent), the state (a JobSnapshot), and at last the end (a JobSnapshot)."""

    STAGE = "stage"
    PAGE = "page"
    RETRY = "retry"
    STATE = "state"
    END = "end"


class Problem(Contract):
    """A failure as people see it: RFC 9457 members plus what to do."""

    type: str
    title: str
    detail: str
    remedy: str
    retryable: bool = False


class ReadingCounts(Contract):
    """What tells how long reading takes, and what follows it: of the pages that OCR reads, how many
    there are, are settled (read, reused or failed) and were reused; and the characters of all pages
    read or reused."""

    ocr_total: int = 0
    ocr_settled: int = 0
    ocr_reused: int = 0
    characters: int = 0


class StageProgress(Contract):
    """One stage of a job. `done` and `total` count the stage's own units (pages for `read`, which has
    `counts` beside them).

    `idle_seconds` is how long its job was paused while it ran, `idle_since` when the present pause
    began: what a rate is measured over leaves both out.
    """

    name: StageName
    state: StageState = StageState.PENDING
    done: int = 0
    total: int = 0
    attempts: int = 0
    queue: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Problem | None = None
    idle_seconds: float = 0.0
    idle_since: datetime | None = None
    counts: ReadingCounts | None = None


class JobSettings(Contract):
    """What one job sets otherwise than the workers do, whose own settings stand where it is None.

    Part of the fingerprints of the stages that go by it, so that exactly those are computed anew.
    """

    chunk_tokens: int | None = None
    ocr_engine: OcrEngineName | None = None
    pdf_pipeline: PdfPipelineName | None = None


class PageCounts(Contract):
    """`done` counts pages read or reused, never failed ones; `total` is the plan."""

    total: int = 0
    done: int = 0
    failed: int = 0
    reused: int = 0


class PageEvent(Contract):
    """A page was read, reused or given up; `pages` and `percent` are the job's at that moment."""

    page: int
    state: StageState
    queue: str
    engine: str
    pages: PageCounts
    percent: float


class RetryEvent(Contract):
    """A stage will be tried again; `reason` is the problem type, `next_at` when (null: unknown)."""

    stage: StageName
    attempt: int
    reason: str
    next_at: datetime | None


class JobSnapshot(Contract):
    """The job's row at one moment: what `state` and `end` events carry."""

    state: JobState
    stage: StageName | None
    stages: tuple[StageProgress, ...]
    pages: PageCounts
    percent: float
    degraded: bool
    priority: int
    error: Problem | None
    finished_at: datetime | None


class JobProgress(Contract):
    """The workflow's own account of itself: the answer of its `progress` query."""

    job_id: UUID
    state: JobState
    stage: StageName | None = None
    stages: tuple[StageProgress, ...] = ()
    pages: PageCounts = PageCounts()
    degraded: bool = False
    priority: int = 3
    error: Problem | None = None


STAGES_OF: dict[JobKind, tuple[StageName, ...]] = {
    JobKind.INGEST_FILE: tuple(StageName),
    JobKind.COMPARE_READING: (StageName.READ, StageName.ASSEMBLE),
    JobKind.ERASE_FILE: (),
}
"""The stages that a job of that kind goes through, in order."""

STAGE_WEIGHTS: dict[StageName, int] = {
    StageName.SCAN: 3,
    StageName.INSPECT: 3,
    StageName.READ: 60,
    StageName.ASSEMBLE: 5,
    StageName.CLASSIFY: 5,
    StageName.CHUNK: 4,
    StageName.EMBED: 15,
    StageName.PUBLISH: 4,
    StageName.ANNOUNCE: 1,
}
"""Shares of the bar, summing to 100: reading dominates every measured job, embedding comes next."""


def percent(stages: tuple[StageProgress, ...]) -> float:
    """How much of the planned work is done, 0–100, from counts alone.

    A stage counts in full once it is over, in the share `done / total` while it runs; so the figure
    rises only when work was done.
    """
    planned = sum(STAGE_WEIGHTS[stage.name] for stage in stages)
    reached = 0.0
    for stage in stages:
        if stage.state in (StageState.COMPLETED, StageState.REUSED, StageState.SKIPPED):
            reached += STAGE_WEIGHTS[stage.name]
        elif stage.total > 0:
            reached += STAGE_WEIGHTS[stage.name] * min(stage.done / stage.total, 1.0)
    return round(100 * reached / max(planned, 1), 1)

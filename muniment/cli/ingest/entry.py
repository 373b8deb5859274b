"""One file on its way in, as the command line knows it."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

from muniment.client.models import File, Job, Problem
from muniment.contracts.jobs import FileState, JobState, StageName


class Phase(StrEnum):
    WAITING = "waiting"
    UPLOADING = "uploading"
    FOLLOWING = "following"
    OVER = "over"


class Outcome(BaseModel):
    """What became of a file: one JSON object of `muniment ingest --json`."""

    path: str
    name: str
    state: str
    ok: bool
    file_id: UUID | None = None
    job_id: UUID | None = None
    pages: int = 0
    pages_failed: int = 0
    pages_reused: int = 0
    degraded: bool = False
    deduplicated: bool = False
    seconds: float
    error: Problem | None = None


UNKNOWN = "unknown"
_STATES: dict[str, FileState] = {
    JobState.COMPLETED: FileState.READY,
    JobState.FAILED: FileState.FAILED,
    JobState.CANCELLED: FileState.CANCELLED,
    JobState.WAITING: FileState.QUARANTINED,
}
_HELD = Problem(
    title="The file waits for a person",
    detail="the virus scan did not clear it, so it is held in quarantine",
    remedy="An operator releases or rejects it: POST /v1/jobs/{id}/release or …/reject.",
)
_CANCELLED = Problem(
    title="The job was cancelled",
    detail="the file is kept, but was not read to the end",
    remedy="Start it again with `muniment retry JOB`.",
)


@dataclass
class Entry:
    """`sent_bytes` grows while the file is uploaded; `job` is the newest state that was heard."""

    path: Path
    size_bytes: int
    phase: Phase = Phase.WAITING
    sent_bytes: int = 0
    file: File | None = None
    job: Job | None = None
    problem: Problem | None = None
    waits: bool = True
    is_unknown: bool = False
    _started: float = field(default_factory=time.monotonic)
    _seconds: float | None = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def seconds(self) -> float:
        """Since the upload began, until it was over."""
        return self._seconds if self._seconds is not None else time.monotonic() - self._started

    @property
    def percent(self) -> float:
        return self.job.percent if self.job is not None else 0.0

    def begin(self) -> None:
        self.phase = Phase.UPLOADING
        self._started = time.monotonic()

    def received(self, file: File, *, waits: bool) -> None:
        """The upload has been answered; what is already ended needs no following."""
        self.file, self.job, self.waits = file, file.job, waits
        self.phase = Phase.FOLLOWING
        if not waits or file.job is None or _is_settled(file.job):
            self._end()

    def heard(self, job: Job) -> None:
        """News of the job. A file is over when its job ended, or waits for a person."""
        if self.phase is not Phase.FOLLOWING:
            return
        if self.job is not None and job.percent < self.job.percent and not job.is_terminal:
            # Polling and the stream may cross: what is older is no news.
            job = job.model_copy(update={"percent": self.job.percent})
        self.job = job
        if _is_settled(job):
            self._end()

    def failed(self, problem: Problem) -> None:
        self.problem = problem
        self._end()

    def lost(self, problem: Problem) -> None:
        """Nothing is heard of the job any more: it may go on in the stack."""
        self.is_unknown = True
        self.failed(problem)

    def outcome(self) -> Outcome:
        pages = self.job.pages if self.job is not None else None
        state = self._state()
        error = self._error()
        return Outcome(
            path=str(self.path),
            name=self.name,
            state=str(state),
            ok=error is None,
            file_id=self.file.id if self.file else None,
            job_id=self.job.id if self.job else None,
            pages=(pages.total if pages else 0) or (self.file.pages if self.file else 0) or 0,
            pages_failed=pages.failed if pages else 0,
            pages_reused=pages.reused if pages else 0,
            degraded=self.job.degraded if self.job else False,
            deduplicated=bool(self.file and self.file.deduplicated),
            seconds=round(self.seconds, 3),
            error=error,
        )

    def stage_text(self) -> str:
        """What is being done, in a word."""
        if self.phase is Phase.UPLOADING:
            return "upload"
        if self.job is None:
            return ""
        if self.job.state in (JobState.QUEUED, JobState.PAUSED):
            return str(self.job.state)
        return str(self.job.stage or StageName.SCAN)

    def _state(self) -> str:
        if self.is_unknown:
            return UNKNOWN
        if self.problem is not None:
            return FileState.FAILED
        if self.job is not None and self.phase is Phase.OVER and self.waits:
            return _STATES.get(self.job.state, str(self.job.state))
        return str(self.file.state) if self.file else str(self.phase)

    def _error(self) -> Problem | None:
        if self.problem is not None or self.job is None or not self.waits:
            return self.problem
        if self.job.state == JobState.WAITING:
            return _held(self.job.error)
        if self.job.state == JobState.CANCELLED:
            return self.job.error or _CANCELLED
        if self.job.state == JobState.FAILED:
            return self.job.error or Problem(title="The job failed")
        return None

    def _end(self) -> None:
        self._seconds = time.monotonic() - self._started
        self.phase = Phase.OVER


def _held(found: Problem | None) -> Problem:
    """What the scan found, and what to do about a file that waits for it."""
    if found is None or not found.detail:
        return _HELD
    return _HELD.model_copy(update={"detail": found.detail})


def _is_settled(job: Job) -> bool:
    return job.is_terminal or job.state == JobState.WAITING

"""A job's progress as its workflow knows it: the answer to the query, and the details in the UI."""

from datetime import datetime

from temporalio import workflow

from muniment.contracts.ingest_file import IngestFileInput
from muniment.contracts.jobs import (
    JobProgress,
    JobState,
    PageCounts,
    Problem,
    StageName,
    StageProgress,
    StageState,
    percent,
)
from muniment.contracts.read import ReadPagesResult
from muniment.errors import Conflict
from workflows.failures import failure, problem


class Tracker:
    """State, stages and pages of one ingestion, and the task by which it waits for a person. Its details
    never hold anything of the document."""

    def __init__(self, request: IngestFileInput) -> None:
        self._job_id = request.version.job_id
        self.state = JobState.RUNNING
        self.stage: StageName | None = None
        self.degraded = False
        self.pages = PageCounts()
        self.error: Problem | None = None
        self.task: str | None = None
        self._stages = {name: StageProgress(name=name) for name in StageName}

    def show(self) -> None:
        """Tells Temporal's UI how far the job is; nothing of it lies in the history."""
        workflow.set_current_details(self._details())

    def begin(self, stage: StageName, queue: str | None) -> None:
        """The stage is being scheduled."""
        self.stage = stage
        self._change(
            stage,
            state=StageState.RUNNING,
            total=max(self._stages[stage].total, 1),
            queue=queue,
            started_at=workflow.now(),
        )

    def finish(self, stage: StageName, state: StageState = StageState.COMPLETED) -> None:
        """The stage is over."""
        total = max(self._stages[stage].total, 1)
        self._change(stage, state=state, done=total, total=total, finished_at=workflow.now())

    def plan_pages(self, count: int) -> None:
        """There are so many pages to read."""
        self.pages = PageCounts(total=count)
        self._change(StageName.READ, total=count)

    def count_pages(self, counts: ReadPagesResult) -> None:
        """So many pages are over."""
        self.pages = PageCounts(
            total=self.pages.total,
            done=counts.pages_done,
            failed=counts.pages_failed,
            reused=counts.pages_reused,
        )
        self.degraded = counts.pages_failed > 0
        self._change(StageName.READ, done=counts.pages_done + counts.pages_failed)

    def fail(self, error: Problem) -> None:
        """The job failed at its present stage."""
        self.state = JobState.FAILED
        self.error = error
        if self.stage is not None:
            self._change(
                self.stage, state=StageState.FAILED, error=error, finished_at=workflow.now()
            )

    def progress(self, priority: int) -> JobProgress:
        """The whole account."""
        return JobProgress(
            job_id=self._job_id,
            state=self.state,
            stage=self.stage,
            stages=tuple(self._stages.values()),
            pages=self.pages,
            degraded=self.degraded,
            priority=priority,
            error=self.error,
        )

    def brief(self, priority: int) -> JobProgress:
        """The account without its stages, which the job's row knows better: a small payload."""
        return self.progress(priority).model_copy(update={"stages": ()})

    def refuse_unless(self, *states: JobState, wish: str) -> None:
        """Raises Conflict, as a failure, where the job is in none of these states."""
        if self.state not in states:
            raise failure(problem(Conflict(f"A job that is {self.state} cannot be {wish}.")))

    def _details(self) -> str:
        """Markdown."""
        rows = [
            f"| {stage.name} | {stage.state} | {stage.done}/{stage.total} |"
            for stage in self._stages.values()
        ]
        pages = self.pages
        lines = [
            f"**{self.state}** · {percent(tuple(self._stages.values()))} %"
            + (" · degraded" if self.degraded else ""),
            f"pages: {pages.done} of {pages.total} read,"
            f" {pages.reused} reused, {pages.failed} failed",
            "",
            "| stage | state | done |",
            "|---|---|---|",
            *rows,
        ]
        if self.error is not None:
            lines += ["", f"Problem: `{self.error.type}`"]
        if self.task is not None:
            lines += ["", f"Waits for a person: task `{self.task}` of `/v1/tasks`"]
        return "\n".join(lines)

    def _change(
        self,
        stage: StageName,
        *,
        state: StageState | None = None,
        done: int | None = None,
        total: int | None = None,
        queue: str | None = None,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        error: Problem | None = None,
    ) -> None:
        changes = {
            "state": state,
            "done": done,
            "total": total,
            "queue": queue,
            "started_at": started_at,
            "finished_at": finished_at,
            "error": error,
        }
        self._stages[stage] = self._stages[stage].model_copy(
            update={name: value for name, value in changes.items() if value is not None}
        )
        self.show()

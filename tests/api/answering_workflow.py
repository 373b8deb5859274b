"""An `IngestFile` that runs no stage: it waits, answers the query and takes the updates, as the real
one promises in muniment/contracts. For tests of what the API does with the answers."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from muniment.contracts.ingest_file import (
        PAUSE_UPDATE,
        PROGRESS_QUERY,
        RELEASE_UPDATE,
        REPRIORITISE_UPDATE,
        RESUME_UPDATE,
        WORKFLOW,
        DecisionRequest,
        IngestFileInput,
        ReprioritiseRequest,
    )
    from muniment.contracts.jobs import (
        JobProgress,
        JobState,
        PageCounts,
        StageName,
        StageProgress,
        StageState,
    )


@workflow.defn(name=WORKFLOW)
class AnsweringWorkflow:
    @workflow.init
    def __init__(self, request: IngestFileInput) -> None:
        self._job_id = request.version.job_id
        self._priority = request.priority
        # Priority 5 stands for a file in quarantine.
        self._state = JobState.WAITING if request.priority == 5 else JobState.RUNNING

    @workflow.run
    async def run(self, request: IngestFileInput) -> None:
        await workflow.wait_condition(lambda: False, timeout=timedelta(minutes=5))

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> JobProgress:
        stages = tuple(
            StageProgress(name=name, state=StageState.COMPLETED, done=1, total=1)
            for name in (StageName.SCAN, StageName.INSPECT)
        )
        reading = StageProgress(name=StageName.READ, state=StageState.RUNNING, done=5, total=10)
        return JobProgress(
            job_id=self._job_id,
            state=self._state,
            stage=StageName.READ,
            stages=(*stages, reading),
            pages=PageCounts(total=10, done=5),
            priority=self._priority,
        )

    @workflow.update(name=PAUSE_UPDATE)
    async def pause(self) -> None:
        self._state = JobState.PAUSED

    @pause.validator
    def _may_pause(self) -> None:
        if self._state is JobState.PAUSED:
            raise ApplicationError("the job is paused already", non_retryable=True)

    @workflow.update(name=RESUME_UPDATE)
    async def resume(self) -> None:
        self._state = JobState.RUNNING

    @workflow.update(name=REPRIORITISE_UPDATE)
    async def reprioritise(self, request: ReprioritiseRequest) -> None:
        self._priority = request.priority

    @workflow.update(name=RELEASE_UPDATE)
    async def release(self, request: DecisionRequest) -> None:
        self._state = JobState.RUNNING

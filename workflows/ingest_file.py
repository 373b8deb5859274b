"""The ingestion of one version of a file, from its scan to its publication."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.workflow import ParentClosePolicy

from muniment.contracts import members
from muniment.contracts.chunk import ChunkResult
from muniment.contracts.erase_file import ERASURE_SIGNAL
from muniment.contracts.findings import FindingAct
from muniment.contracts.ingest_file import (
    PAUSE_UPDATE,
    PROGRESS_QUERY,
    REJECT_UPDATE,
    RELEASE_UPDATE,
    REPRIORITISE_UPDATE,
    RESUME_UPDATE,
    WORKFLOW,
    DecisionRequest,
    IngestFileInput,
    IngestFileResult,
    ReprioritiseRequest,
)
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobProgress, JobState
from muniment.contracts.lifecycle import Verdict
from muniment.contracts.members import IngestMembersInput
from muniment.errors import Conflict
from workflows import policies
from workflows.endings import to_the_end
from workflows.failures import failure, is_erased, problem, problem_of
from workflows.ingest_members import IngestMembers
from workflows.job_row import JobRow
from workflows.quarantine import Quarantine
from workflows.stages import Stages
from workflows.steering import Steering
from workflows.together import together
from workflows.tracking import Tracker
from workflows.visibility import Visibility

CLASSIFY_BESIDE_INDEXING = "classify-beside-indexing"
"""Patch of 2026-11: before it, `chunk` waited for `classify`."""
PICTURES_OF_ENCRYPTED = "pictures-of-encrypted"
"""Patch of 2026-11: before it, encrypted documents had none."""
ANNOUNCE_BEFORE_PICTURES = "announce-before-pictures"
"""Patch of 2026-11: before it, who waited for an encrypted document waited for its pictures too."""
ROW_AFTER_PUBLISH = "row-after-publish"
"""Patch of 2026-11: before it, a pause that came during `publish` stayed in the row."""


@workflow.defn(name=WORKFLOW)
class IngestFile:
    """Ends as Temporal has it: completed, failed with the problem, or cancelled."""

    @workflow.init
    def __init__(self, request: IngestFileInput) -> None:
        self._version = request.version
        self._steering = Steering(request.priority, str(request.version.tenant_id))
        self._tracker = Tracker(request)
        visibility = Visibility()
        self._row = JobRow(self._version, self._steering, self._tracker, visibility)
        self._stages = Stages(self._version, self._steering, self._tracker, visibility)
        self._quarantine = Quarantine(self._version, self._steering, self._tracker, self._row)
        self._is_published = False
        self._is_expanding = False
        self._is_erased = False
        self._main: asyncio.Task[IngestFileResult] | None = None

    @workflow.run
    async def run(self, request: IngestFileInput) -> IngestFileResult:
        self._main = asyncio.create_task(self._ingest())
        try:
            result = await self._end_of(self._main)
        except (FailureError, asyncio.CancelledError) as error:
            # An activity may hear of an erasure before its signal is here.
            self._is_erased = self._is_erased or is_erased(error)
            if not (self._is_erased or is_cancelled_exception(error)):
                raise await self._end_failed(error) from error
            if not await self._end_cancelled():
                raise
            # Nobody cancelled the workflow: it stopped of itself, and has nothing to fail with.
            result = self._result(JobState.CANCELLED, self._tracker.pages.total, 0)
        await to_the_end(self._handlers_finished())
        return result

    async def _ingest(self) -> IngestFileResult:
        scan = await self._stages.scan()
        if scan.quarantine:
            await self._quarantine.hold(scan)
        plan = await self._stages.inspect()
        await self._stages.read(plan)
        document = await self._stages.assemble(plan)
        if document.is_judged:
            # No patch: no history before this says so.
            findings = await self._stages.classify(document)
            if findings.act is FindingAct.REVIEW:
                await self._quarantine.hold_for_review(findings.reason, findings.review_seconds)
            chunks = await self._stages.chunk(document, findings)
            if chunks.unmasked_count:
                # Nothing is published with a value that was to be masked but by a person's word.
                await self._quarantine.hold_for_review(chunks.reason, findings.review_seconds)
            vectors = await self._stages.embed(chunks)
        elif workflow.patched(CLASSIFY_BESIDE_INDEXING):
            # Neither needs the other: findings are recorded, chunks and vectors made of all text.
            findings, (chunks, vectors) = await together(
                self._stages.classify(document), self._stages.chunk_and_embed(document)
            )
        else:
            findings = await self._stages.classify(document)
            chunks, vectors = await self._stages.chunk_and_embed(document)
        await self._stages.publish(plan, document, findings, chunks, vectors)
        await self._published()
        pictures_last = plan.has_password and workflow.patched(ANNOUNCE_BEFORE_PICTURES)
        if plan.has_password and not pictures_last and workflow.patched(PICTURES_OF_ENCRYPTED):
            await self._stages.draw_pictures(plan)
        if plan.member_count:
            await self._ingest_members()
        announced = await self._stages.announce()
        if pictures_last:
            await self._stages.draw_pictures(plan)
        result = await self._complete(plan, chunks)
        if announced.is_annotated:
            # After all that anybody waits for. No patch: no history before this says so.
            await self._stages.anchor_annotations()
        return result

    async def _published(self) -> None:
        self._is_published = True
        # Nothing is left to hold back: a pause or cancellation that came meanwhile is over.
        self._steering.paused = self._steering.stopped = False
        self._tracker.state = JobState.RUNNING
        if self._row.is_behind and workflow.patched(ROW_AFTER_PUBLISH):
            await self._row.catch_up()

    async def _ingest_members(self) -> None:
        """Files come out of this one, which is searched already: it waits for them to end as a
        batch does, and may still be cancelled."""
        self._is_expanding = True
        try:
            result = await workflow.execute_child_workflow(
                IngestMembers.run,
                IngestMembersInput(version=self._version, priority=self._steering.level),
                id=members.workflow_id(self._version.version_id, self._version.job_id),
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                static_summary="members",
                priority=self._steering.priority,
            )
        finally:
            self._is_expanding = False
        self._tracker.degraded = self._tracker.degraded or result.degraded

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    async def _end_of(self, main: "asyncio.Task[IngestFileResult]") -> IngestFileResult:
        """The ingestion's end. What is published is announced and completed, even when a
        cancellation comes in between: the job then ends as what it is, done."""
        while True:
            try:
                return await asyncio.shield(main)
            except asyncio.CancelledError:
                if main.done():
                    raise
                if not self._is_published or self._is_expanding:
                    self._steering.stop()
                    main.cancel()

    async def _complete(self, plan: InspectResult, chunks: ChunkResult) -> IngestFileResult:
        self._tracker.state = JobState.COMPLETED
        await self._row.record()
        return self._result(JobState.COMPLETED, plan.page_count, chunks.chunk_count)

    async def _end_failed(self, error: BaseException) -> FailureError:
        """Records the failure; with what is returned the workflow fails in Temporal too, where
        operators look."""
        known = problem_of(error)
        self._tracker.fail(known)
        await to_the_end(self._record_end())
        return failure(known)

    async def _end_cancelled(self) -> bool:
        """Records the cancellation; whether it came from an erasure and not from Temporal."""
        self._tracker.state = JobState.CANCELLED
        await to_the_end(self._record_end())
        return self._is_erased

    async def _record_end(self) -> None:
        await self._row.record()
        await self._handlers_finished()

    async def _handlers_finished(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _result(self, state: JobState, page_count: int, chunk_count: int) -> IngestFileResult:
        return IngestFileResult(
            state=state,
            degraded=self._tracker.degraded,
            page_count=page_count,
            chunk_count=chunk_count,
        )

    # ── messages ────────────────────────────────────────────────────────────────────────────────

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> JobProgress:
        return self._tracker.progress(self._steering.level)

    @workflow.update(name=PAUSE_UPDATE)
    async def pause(self) -> JobProgress:
        """Nothing further begins; what runs is finished. Pausing twice is pausing once."""
        if self._tracker.state is JobState.RUNNING:
            self._steering.paused = True
            self._tracker.state = JobState.PAUSED
            await self._stages.pause_reading()
            await self._row.record()
        return self.progress()

    @pause.validator
    def _may_pause(self) -> None:
        self._tracker.refuse_unless(JobState.RUNNING, JobState.PAUSED, wish="paused")
        if self._is_published:
            raise failure(problem(Conflict("The job is as good as done.")))

    @workflow.update(name=RESUME_UPDATE)
    async def resume(self) -> JobProgress:
        """Goes on. Resuming a running job changes nothing."""
        if self._tracker.state is JobState.PAUSED:
            self._tracker.state = JobState.RUNNING
            # The row first: an activity that comes up looks there whether the job is paused.
            await self._row.record()
            self._steering.paused = self._tracker.state is JobState.PAUSED
            if not self._steering.paused:
                await self._stages.resume_reading()
        return self.progress()

    @resume.validator
    def _may_resume(self) -> None:
        self._tracker.refuse_unless(JobState.PAUSED, JobState.RUNNING, wish="resumed")

    @workflow.update(name=REPRIORITISE_UPDATE)
    async def reprioritise(self, request: ReprioritiseRequest) -> JobProgress:
        """Governs whatever is scheduled from now on."""
        self._steering.level = request.priority
        await self._stages.reprioritise_reading(request.priority)
        await self._row.record()
        return self.progress()

    @reprioritise.validator
    def _may_reprioritise(self, request: ReprioritiseRequest) -> None:
        self._tracker.refuse_unless(
            JobState.RUNNING, JobState.PAUSED, JobState.WAITING, wish="given another priority"
        )
        if not policies.MIN_PRIORITY <= request.priority <= policies.MAX_PRIORITY:
            raise failure(problem(Conflict("A priority is a number from 1 (first) to 5.")))

    @workflow.update(name=RELEASE_UPDATE)
    async def release(self, request: DecisionRequest) -> JobProgress:
        """A person lets the file through."""
        await self._quarantine.decide(request.decision_id, Verdict.RELEASE)
        return self.progress()

    @release.validator
    def _may_release(self, request: DecisionRequest) -> None:
        self._quarantine.refuse_unless_open(Verdict.RELEASE)

    @workflow.update(name=REJECT_UPDATE)
    async def reject(self, request: DecisionRequest) -> JobProgress:
        """A person keeps the file out."""
        await self._quarantine.decide(request.decision_id, Verdict.REJECT)
        return self.progress()

    @reject.validator
    def _may_reject(self, request: DecisionRequest) -> None:
        self._quarantine.refuse_unless_open(Verdict.REJECT)

    @workflow.signal(name=ERASURE_SIGNAL)
    def erasure_requested(self) -> None:
        """The file is being erased: the ingestion stops, as if it had been cancelled."""
        self._is_erased = True
        self._stages.stop_extras()
        if self._main is not None and (not self._is_published or self._is_expanding):
            self._steering.stop()
            self._main.cancel()

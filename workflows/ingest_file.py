"""The ingestion of one version of a file, from its scan to its publication."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.workflow import ParentClosePolicy

from muniment.contracts import members
from muniment.contracts.assemble import AssembleActivities, AssembleInput, AssembleResult
from muniment.contracts.base import StageOutcome
from muniment.contracts.chunk import ChunkActivities, ChunkInput, ChunkResult
from muniment.contracts.classify import ClassifyActivities, ClassifyInput, ClassifyResult
from muniment.contracts.embed import EmbedActivities, EmbedInput, EmbedResult
from muniment.contracts.erase_file import ERASURE_SIGNAL
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
from muniment.contracts.inspect import InspectActivities, InspectResult
from muniment.contracts.jobs import JobProgress, JobState, StageName, StageState
from muniment.contracts.lifecycle import (
    LifecycleActivities,
    ReadDecisionInput,
    RecordProgressInput,
    Verdict,
)
from muniment.contracts.members import IngestMembersInput
from muniment.contracts.publish import PublishActivities, PublishInput
from muniment.contracts.read import ReadPagesResult
from muniment.contracts.scan import ScanActivities, ScanResult, ScanState
from muniment.contracts.search_attributes import MEDIA_TYPE, OUTCOME, PAGE_COUNT, STAGE
from muniment.errors import Conflict, ContentWithheld, DamagedDocument
from workflows import policies
from workflows.document_reading import DocumentReading
from workflows.endings import to_the_end
from workflows.failures import failure, is_erased, problem, problem_of
from workflows.ingest_members import IngestMembers
from workflows.steering import Steering
from workflows.together import together
from workflows.tracking import Tracker

CLASSIFY_BESIDE_INDEXING = "classify-beside-indexing"
"""Patch of 2026-11: before it, `chunk` waited for `classify`."""
_PARTICIPLES = {Verdict.RELEASE: "released", Verdict.REJECT: "rejected"}
OutcomeT = TypeVar("OutcomeT", bound=StageOutcome)


@workflow.defn(name=WORKFLOW)
class IngestFile:
    """Ends as Temporal has it: completed, failed with the problem, or cancelled."""

    @workflow.init
    def __init__(self, request: IngestFileInput) -> None:
        self._version = request.version
        self._steering = Steering(request.priority, str(request.version.tenant_id))
        self._tracker = Tracker(request)
        self._recording = asyncio.Lock()
        self._reading: DocumentReading | None = None
        self._verdict: Verdict | None = None
        self._failed_stage: StageName | None = None
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
        scan = await self._scan()
        if scan.quarantine:
            await self._quarantine(scan)
        plan = await self._inspect()
        await self._read(plan)
        document = await self._assemble(plan)
        if workflow.patched(CLASSIFY_BESIDE_INDEXING):
            # Neither needs the other: findings are recorded, chunks and vectors made of all text.
            findings, (chunks, vectors) = await together(
                self._classify(document), self._chunk_and_embed(document)
            )
        else:
            findings = await self._classify(document)
            chunks, vectors = await self._chunk_and_embed(document)
        await self._publish(plan, document, findings, chunks, vectors)
        if plan.member_count:
            await self._ingest_members()
        await self._announce()
        return await self._complete(plan, chunks)

    # ── stages ──────────────────────────────────────────────────────────────────────────────────

    async def _scan(self) -> ScanResult:
        result = await self._stage(
            StageName.SCAN,
            policies.SCAN,
            lambda config: workflow.execute_activity_method(
                ScanActivities.scan_for_malware, self._version, **config
            ),
        )
        if result.state is ScanState.UNSCANNED:
            self._tracker.finish(StageName.SCAN, StageState.SKIPPED)
        return result

    async def _inspect(self) -> InspectResult:
        result = await self._stage(
            StageName.INSPECT,
            policies.INSPECT,
            lambda config: workflow.execute_activity_method(
                InspectActivities.inspect_document, self._version, **config
            ),
        )
        self._tracker.plan_pages(result.page_count)
        workflow.upsert_search_attributes(
            [MEDIA_TYPE.value_set(result.media_type), PAGE_COUNT.value_set(result.page_count)]
        )
        return result

    async def _read(self, plan: InspectResult) -> None:
        self._begin(StageName.READ, None)
        self._reading = DocumentReading(
            self._version, plan, self._steering, on_pages=self._count_pages
        )
        counts = await self._reading.read()
        self._reading = None
        self._count_pages(counts)
        if counts.pages_done == 0:
            raise failure(problem(DamagedDocument("Not a single page could be read.")))
        all_reused = counts.pages_reused >= plan.page_count
        self._finish(StageName.READ, reused=all_reused)

    async def _assemble(self, plan: InspectResult) -> AssembleResult:
        request = AssembleInput(version=self._version, plan=plan.plan)
        return await self._stage(
            StageName.ASSEMBLE,
            policies.ASSEMBLE,
            lambda config: workflow.execute_activity_method(
                AssembleActivities.assemble_document, request, **config
            ),
        )

    async def _classify(self, document: AssembleResult) -> ClassifyResult:
        request = ClassifyInput(version=self._version, document=document.document)
        return await self._stage(
            StageName.CLASSIFY,
            policies.CLASSIFY,
            lambda config: workflow.execute_activity_method(
                ClassifyActivities.classify_content, request, **config
            ),
        )

    async def _chunk(self, document: AssembleResult) -> ChunkResult:
        request = ChunkInput(version=self._version, document=document.document)
        return await self._stage(
            StageName.CHUNK,
            policies.CHUNK,
            lambda config: workflow.execute_activity_method(
                ChunkActivities.chunk_document, request, **config
            ),
        )

    async def _chunk_and_embed(self, document: AssembleResult) -> tuple[ChunkResult, EmbedResult]:
        chunks = await self._chunk(document)
        return chunks, await self._embed(chunks)

    async def _embed(self, chunks: ChunkResult) -> EmbedResult:
        request = EmbedInput(version=self._version, chunks=chunks.chunks)
        return await self._stage(
            StageName.EMBED,
            policies.EMBED,
            lambda config: workflow.execute_activity_method(
                EmbedActivities.embed_chunks, request, **config
            ),
        )

    async def _publish(
        self,
        plan: InspectResult,
        document: AssembleResult,
        findings: ClassifyResult,
        chunks: ChunkResult,
        vectors: EmbedResult,
    ) -> None:
        request = PublishInput(
            version=self._version,
            plan=plan.plan,
            document=document.document,
            chunks=chunks.chunks,
            vectors=vectors.vectors,
            findings=findings.findings,
            degraded=self._tracker.degraded,
        )
        await self._stage(
            StageName.PUBLISH,
            policies.PUBLISH,
            lambda config: workflow.execute_activity_method(
                PublishActivities.publish_version, request, **config
            ),
        )
        self._is_published = True
        # Nothing is left to hold back: a pause or cancellation that came meanwhile is over.
        self._steering.paused = self._steering.stopped = False
        self._tracker.state = JobState.RUNNING

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

    async def _announce(self) -> None:
        await self._stage(
            StageName.ANNOUNCE,
            policies.RECORD,
            lambda config: workflow.execute_activity_method(
                LifecycleActivities.announce_version, self._version, **config
            ),
        )

    async def _stage(
        self,
        stage: StageName,
        policy: workflow.ActivityConfig,
        schedule: Callable[[workflow.ActivityConfig], Awaitable[OutcomeT]],
    ) -> OutcomeT:
        """One activity, not begun while paused, with the priority of its moment."""
        await self._steering.unpaused()
        self._begin(stage, policy.get("task_queue"))
        try:
            outcome = await self._steering.when_unpaused(
                lambda: schedule(self._steering.configured(policy, stage.value))
            )
        except FailureError as error:
            if not is_cancelled_exception(error):
                # Of two that run side by side this is the one that ends the job.
                self._tracker.stage = self._failed_stage = self._failed_stage or stage
                self._steering.stop()
            raise
        self._finish(stage, reused=outcome.reused)
        return outcome

    # ── quarantine ──────────────────────────────────────────────────────────────────────────────

    async def _quarantine(self, scan: ScanResult) -> None:
        """Waits, for days if need be, for a person; goes on when released."""
        self._tracker.state = JobState.WAITING
        await self._record()
        await self._tell_parent()
        await workflow.wait_condition(lambda: self._verdict is not None)
        if self._verdict is Verdict.REJECT:
            raise failure(
                problem(ContentWithheld(f"The file was rejected; the scan said {scan.state}."))
            )
        self._tracker.state = JobState.RUNNING
        await self._record()

    async def _tell_parent(self) -> None:
        """Whoever ingests the container need not wait for what a person decides."""
        parent = workflow.info().parent
        if parent is not None and parent.workflow_id.startswith(members.WORKFLOW_ID_PREFIX):
            with suppress(FailureError):  # it is over
                await workflow.get_external_workflow_handle(parent.workflow_id).signal(
                    members.MEMBER_WAITS_SIGNAL, str(self._version.version_id)
                )

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
        await self._record()
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
        await self._record()
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

    async def _record(self) -> None:
        """Writes the job's row. One at a time: the row follows the order of what happened."""
        async with self._recording:
            progress = self._tracker.brief(self._steering.level)
            self._show()
            if progress.state.is_terminal:
                self._publish_outcome(progress)
            await workflow.execute_activity_method(
                LifecycleActivities.record_progress,
                RecordProgressInput(version=self._version, progress=progress),
                **self._steering.configured(policies.RECORD, progress.state.value),
            )

    def _publish_outcome(self, progress: JobProgress) -> None:
        """The end, and where it came, for whoever searches in Temporal's UI."""
        updates: list[SearchAttributeUpdate[str]] = [OUTCOME.value_set(progress.state.value)]
        if progress.stage is not None:
            updates.append(STAGE.value_set(progress.stage.value))
        workflow.upsert_search_attributes(updates)

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
            if self._reading is not None:
                await self._reading.pause()
            await self._record()
        return self.progress()

    @pause.validator
    def _may_pause(self) -> None:
        self._refuse_unless(JobState.RUNNING, JobState.PAUSED, wish="paused")
        if self._is_published:
            raise failure(problem(Conflict("The job is as good as done.")))

    @workflow.update(name=RESUME_UPDATE)
    async def resume(self) -> JobProgress:
        """Goes on. Resuming a running job changes nothing."""
        if self._tracker.state is JobState.PAUSED:
            self._tracker.state = JobState.RUNNING
            # The row first: an activity that comes up looks there whether the job is paused.
            await self._record()
            self._steering.paused = self._tracker.state is JobState.PAUSED
            if self._reading is not None and not self._steering.paused:
                await self._reading.resume()
        return self.progress()

    @resume.validator
    def _may_resume(self) -> None:
        self._refuse_unless(JobState.PAUSED, JobState.RUNNING, wish="resumed")

    @workflow.update(name=REPRIORITISE_UPDATE)
    async def reprioritise(self, request: ReprioritiseRequest) -> JobProgress:
        """Governs whatever is scheduled from now on."""
        self._steering.level = request.priority
        if self._reading is not None:
            await self._reading.reprioritise(request.priority)
        await self._record()
        return self.progress()

    @reprioritise.validator
    def _may_reprioritise(self, request: ReprioritiseRequest) -> None:
        self._refuse_unless(
            JobState.RUNNING, JobState.PAUSED, JobState.WAITING, wish="given another priority"
        )
        if not policies.MIN_PRIORITY <= request.priority <= policies.MAX_PRIORITY:
            raise failure(problem(Conflict("A priority is a number from 1 (first) to 5.")))

    @workflow.update(name=RELEASE_UPDATE)
    async def release(self, request: DecisionRequest) -> JobProgress:
        """A person lets the file through."""
        return await self._decide(request, Verdict.RELEASE)

    @release.validator
    def _may_release(self, request: DecisionRequest) -> None:
        self._refuse_decision(Verdict.RELEASE)

    @workflow.update(name=REJECT_UPDATE)
    async def reject(self, request: DecisionRequest) -> JobProgress:
        """A person keeps the file out."""
        return await self._decide(request, Verdict.REJECT)

    @reject.validator
    def _may_reject(self, request: DecisionRequest) -> None:
        self._refuse_decision(Verdict.REJECT)

    @workflow.signal(name=ERASURE_SIGNAL)
    def erasure_requested(self) -> None:
        """The file is being erased: the ingestion stops, as if it had been cancelled."""
        self._is_erased = True
        if self._main is not None and (not self._is_published or self._is_expanding):
            self._steering.stop()
            self._main.cancel()

    async def _decide(self, request: DecisionRequest, verdict: Verdict) -> JobProgress:
        """Acts only on a decision that the API wrote down under a person's rights."""
        if self._verdict is None:
            decision = await workflow.execute_activity_method(
                LifecycleActivities.read_decision,
                ReadDecisionInput(
                    tenant_id=self._version.tenant_id,
                    job_id=self._version.job_id,
                    decision_id=request.decision_id,
                ),
                **self._steering.configured(policies.DECISION, verdict.value),
            )
            if decision.verdict is not verdict:
                raise failure(problem(Conflict("The decision that was recorded says otherwise.")))
            # Another one may have come first while this one was looked up.
            self._refuse_decision(verdict)
            self._verdict = verdict
        return self.progress()

    def _refuse_decision(self, verdict: Verdict) -> None:
        """The same decision again is fine; another one after it is not."""
        if self._verdict is None:
            self._refuse_unless(JobState.WAITING, wish=_PARTICIPLES[verdict])
        elif self._verdict is not verdict:
            raise failure(problem(Conflict(f"The file was {_PARTICIPLES[self._verdict]} already.")))

    def _refuse_unless(self, *states: JobState, wish: str) -> None:
        if self._tracker.state not in states:
            raise failure(
                problem(Conflict(f"A job that is {self._tracker.state} cannot be {wish}."))
            )

    # ── bookkeeping ─────────────────────────────────────────────────────────────────────────────

    def _begin(self, stage: StageName, queue: str | None) -> None:
        self._tracker.begin(stage, queue)
        self._show()

    def _finish(self, stage: StageName, *, reused: bool) -> None:
        self._tracker.finish(stage, StageState.REUSED if reused else StageState.COMPLETED)
        self._show()

    def _count_pages(self, counts: ReadPagesResult) -> None:
        self._tracker.count_pages(counts.pages_done, counts.pages_failed, counts.pages_reused)
        self._show()

    def _show(self) -> None:
        workflow.set_current_details(self._tracker.details())

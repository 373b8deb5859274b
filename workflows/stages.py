"""The stages of one ingestion, each an activity (`read`: many) with its place in the account."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from muniment.contracts.anchor_annotations import AnchorActivities, AnchorResult
from muniment.contracts.assemble import AssembleActivities, AssembleInput, AssembleResult
from muniment.contracts.base import Contract, StageOutcome, VersionReference
from muniment.contracts.chunk import ChunkActivities, ChunkInput, ChunkResult
from muniment.contracts.classify import ClassifyActivities, ClassifyInput, ClassifyResult
from muniment.contracts.embed import EmbedActivities, EmbedInput, EmbedResult
from muniment.contracts.inspect import InspectActivities, InspectResult
from muniment.contracts.jobs import StageName, StageState
from muniment.contracts.lifecycle import AnnounceResult, LifecycleActivities
from muniment.contracts.publish import PublishActivities, PublishInput
from muniment.contracts.render_view import (
    RenderPicturesInput,
    RenderPicturesResult,
    RenderViewActivities,
)
from muniment.contracts.scan import ScanActivities, ScanResult, ScanState
from muniment.errors import DamagedDocument
from workflows import policies
from workflows.document_reading import DocumentReading
from workflows.failures import failure, problem
from workflows.steering import Steering
from workflows.tracking import Tracker
from workflows.visibility import Visibility

ActivitiesT = TypeVar("ActivitiesT")
RequestT = TypeVar("RequestT", bound=Contract)
OutcomeT = TypeVar("OutcomeT", bound=StageOutcome)


def _state(*, reused: bool) -> StageState:
    return StageState.REUSED if reused else StageState.COMPLETED


class Stages:
    """Schedules what is asked of it; in which order is the workflow's affair. Every method raises
    the FailureError of its activity, and CancelledError once the steering has stopped."""

    def __init__(
        self,
        version: VersionReference,
        steering: Steering,
        tracker: Tracker,
        visibility: Visibility,
    ) -> None:
        self._version = version
        self._steering = steering
        self._tracker = tracker
        self._visibility = visibility
        self._failed_stage: StageName | None = None
        self._reading: DocumentReading | None = None
        self._drawing: workflow.ActivityHandle[RenderPicturesResult] | None = None
        self._anchoring: workflow.ActivityHandle[AnchorResult] | None = None

    async def pause_reading(self) -> None:
        """Pages that children read are not begun until `resume_reading`."""
        if self._reading is not None:
            await self._reading.pause()

    async def resume_reading(self) -> None:
        if self._reading is not None:
            await self._reading.resume()

    async def reprioritise_reading(self, level: int) -> None:
        if self._reading is not None:
            await self._reading.reprioritise(level)

    async def scan(self) -> ScanResult:
        result = await self._stage(
            StageName.SCAN, policies.SCAN, ScanActivities.scan_for_malware, self._version
        )
        if result.state is ScanState.UNSCANNED:
            self._tracker.finish(StageName.SCAN, StageState.SKIPPED)
        return result

    async def inspect(self) -> InspectResult:
        result = await self._stage(
            StageName.INSPECT, policies.INSPECT, InspectActivities.inspect_document, self._version
        )
        self._tracker.plan_pages(result.page_count)
        self._visibility.planned(result)
        return result

    async def read(self, plan: InspectResult) -> None:
        self._tracker.begin(StageName.READ, None)
        self._reading = DocumentReading(
            self._version, plan, self._steering, on_pages=self._tracker.count_pages
        )
        counts = await self._reading.read()
        self._reading = None
        self._tracker.count_pages(counts)
        if counts.pages_done == 0:
            raise failure(problem(DamagedDocument("Not a single page could be read.")))
        all_reused = counts.pages_reused >= plan.page_count
        self._tracker.finish(StageName.READ, _state(reused=all_reused))

    async def assemble(self, plan: InspectResult) -> AssembleResult:
        request = AssembleInput(version=self._version, plan=plan.plan)
        return await self._stage(
            StageName.ASSEMBLE, policies.ASSEMBLE, AssembleActivities.assemble_document, request
        )

    async def classify(self, document: AssembleResult) -> ClassifyResult:
        request = ClassifyInput(
            version=self._version, document=document.document, is_judged=document.is_judged
        )
        result = await self._stage(
            StageName.CLASSIFY, policies.CLASSIFY, ClassifyActivities.classify_content, request
        )
        # That nothing was found says little of pages that were not examined.
        self._tracker.degraded = self._tracker.degraded or not result.is_complete
        return result

    async def chunk(
        self, document: AssembleResult, findings: ClassifyResult | None = None
    ) -> ChunkResult:
        """With tokens in the place of those findings that are masked."""
        masking = findings.findings if findings and findings.is_masking else None
        request = ChunkInput(version=self._version, document=document.document, masking=masking)
        return await self._stage(
            StageName.CHUNK, policies.CHUNK, ChunkActivities.chunk_document, request
        )

    async def chunk_and_embed(self, document: AssembleResult) -> tuple[ChunkResult, EmbedResult]:
        chunks = await self.chunk(document)
        return chunks, await self.embed(chunks)

    async def embed(self, chunks: ChunkResult) -> EmbedResult:
        request = EmbedInput(version=self._version, chunks=chunks.chunks)
        return await self._stage(
            StageName.EMBED, policies.EMBED, EmbedActivities.embed_chunks, request
        )

    async def publish(
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
            is_judged=document.is_judged,
        )
        await self._stage(
            StageName.PUBLISH, policies.PUBLISH, PublishActivities.publish_version, request
        )

    async def draw_pictures(self, plan: InspectResult) -> None:
        """Of a published document that only the job's password opens, which dies with the job. What
        cannot be drawn is missed by those who look for it; the document was read all the same."""
        request = RenderPicturesInput(version=self._version, page_count=plan.page_count)
        self._drawing = workflow.start_activity_method(
            RenderViewActivities.render_pictures,
            request,
            **self._steering.configured(policies.PICTURES, "pictures"),
        )
        try:
            await self._drawing
        except FailureError as error:
            if is_cancelled_exception(error) and self._drawing is not None:
                raise
            workflow.logger.warning("an encrypted document has not all of its pictures")
        finally:
            self._drawing = None

    def stop_extras(self) -> None:
        """Pictures and annotations of a file that is being erased keep nobody waiting."""
        if self._drawing is not None:
            drawing, self._drawing = self._drawing, None
            drawing.cancel()
        if self._anchoring is not None:
            anchoring, self._anchoring = self._anchoring, None
            anchoring.cancel()

    async def announce(self) -> AnnounceResult:
        return await self._stage(
            StageName.ANNOUNCE, policies.RECORD, LifecycleActivities.announce_version, self._version
        )

    async def anchor_annotations(self) -> None:
        """Of a published version. Those that are not found now are shown as not looked for yet; the
        document was read all the same."""
        self._anchoring = workflow.start_activity_method(
            AnchorActivities.anchor_annotations,
            self._version,
            **self._steering.configured(policies.ANCHOR, "annotations"),
        )
        try:
            await self._anchoring
        except FailureError as error:
            if is_cancelled_exception(error) and self._anchoring is not None:
                raise
            workflow.logger.warning("annotations were not looked for in what was published")
        finally:
            self._anchoring = None

    async def _stage(
        self,
        stage: StageName,
        policy: workflow.ActivityConfig,
        activity: Callable[[ActivitiesT, RequestT], Awaitable[OutcomeT]],
        request: RequestT,
    ) -> OutcomeT:
        """One activity, not begun while paused, with the priority of its moment."""
        await self._steering.unpaused()
        self._tracker.begin(stage, policy.get("task_queue"))
        self._visibility.began(stage)
        try:
            outcome = await self._steering.when_unpaused(
                lambda: workflow.execute_activity_method(
                    activity, request, **self._steering.configured(policy, stage.value)
                )
            )
        except FailureError as error:
            if not is_cancelled_exception(error):
                # Of two that run side by side this is the one that ends the job.
                self._tracker.stage = self._failed_stage = self._failed_stage or stage
                self._steering.stop()
            raise
        self._tracker.finish(stage, _state(reused=outcome.reused))
        return outcome

"""The child workflow that reads a page range of a long document."""

from temporalio import workflow

from muniment.contracts.page_ranges import read_ranges
from muniment.contracts.read import (
    PAUSE_SIGNAL,
    READ_PAGES_WORKFLOW,
    REPRIORITISE_SIGNAL,
    RESUME_SIGNAL,
    ReadPagesInput,
    ReadPagesResult,
)
from workflows import policies
from workflows.batches import plan_batches
from workflows.reading import Reading
from workflows.steering import Steering


@workflow.defn(name=READ_PAGES_WORKFLOW)
class ReadPages:
    """Keeps the parent's history short; the parent passes on pauses and priorities."""

    @workflow.init
    def __init__(self, request: ReadPagesInput) -> None:
        self._steering = Steering(
            request.priority, str(request.version.tenant_id), paused=request.paused
        )

    @workflow.run
    async def run(self, request: ReadPagesInput) -> ReadPagesResult:
        batches = plan_batches(
            request.first_page,
            request.last_page,
            read_ranges(request.ocr_pages),
            request.document_pages,
        )
        reading = Reading(
            request.version,
            request.plan,
            self._steering,
            gpu_wait_seconds=request.gpu_wait_seconds,
            has_room=lambda: workflow.info().get_current_history_length() < policies.HISTORY_EVENTS,
        )
        result = request.so_far.plus(await reading.read(batches))
        if reading.left:
            self._continue_from(request, reading.left[0].first_page, result)
        return result

    def _continue_from(self, request: ReadPagesInput, page: int, so_far: ReadPagesResult) -> None:
        """Goes on with a history of its own; never returns."""
        workflow.continue_as_new(
            request.model_copy(
                update={
                    "first_page": page,
                    "so_far": so_far,
                    "priority": self._steering.level,
                    "paused": self._steering.paused,
                }
            )
        )

    @workflow.signal(name=PAUSE_SIGNAL)
    def pause(self) -> None:
        self._steering.paused = True

    @workflow.signal(name=RESUME_SIGNAL)
    def resume(self) -> None:
        self._steering.paused = False

    @workflow.signal(name=REPRIORITISE_SIGNAL)
    def reprioritise(self, level: int) -> None:
        self._steering.level = level

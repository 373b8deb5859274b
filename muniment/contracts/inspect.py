"""Stage `inspect`: the true type, the page count and a plan for every page."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, StageOutcome, VersionReference
from muniment.contracts.documents import DocumentFamily


class InspectResult(StageOutcome):
    """`plan` is a DocumentPlan. `ocr_pages` lists the pages that need OCR as ranges ("1-3,7").

    Above `page_ranges.MAX_RANGES` ranges it is coarsened, so that no payload grows with the
    document: a page named without need is only routed to the OCR queue, and read by its plan.
    `gpu_wait_seconds` says that those pages go to the GPU queue, and how long they wait there before
    the CPU queue takes them; null: straight to the CPU queue. `has_password`: pictures of its pages
    can be drawn with the job's password only.
    """

    plan: Artifact
    media_type: str
    family: DocumentFamily
    page_count: int
    ocr_pages: str = ""
    gpu_wait_seconds: float | None = None
    member_count: int = 0
    has_password: bool = False


class InspectActivities(ABC):
    @activity.defn(name="inspect_document")
    @abstractmethod
    async def inspect_document(self, version: VersionReference) -> InspectResult:
        """Raises the DocumentError that says why the document cannot be read at all."""

"""Stage `read`: a contiguous range of pages, through their text layer or OCR."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class ReadBatchInput(Contract):
    """Pages `first_page` to `last_page`, both included."""

    version: VersionReference
    plan: Artifact
    first_page: int
    last_page: int


class FailedPage(Contract):
    page: int
    problem: str


class ReadBatchResult(StageOutcome):
    """`output` is a PageBatch. Failed pages are counted, not raised: one bad page must not fail a
    document."""

    output: Artifact
    pages_done: int
    pages_reused: int = 0
    failed: tuple[FailedPage, ...] = ()


class ReadHeartbeat(Contract):
    """What a heartbeat of `read` carries."""

    pages_done: int
    page: int


class ReadActivities(ABC):
    """The same activity is polled on the parse queue (text layers and structured formats) and on
    the OCR queues (batches with at least one page that needs OCR)."""

    @activity.defn(name="read_pages")
    @abstractmethod
    async def read_pages(self, batch: ReadBatchInput) -> ReadBatchResult:
        """Reads each page once; a page found by its fingerprint is reused."""


class ReadPagesResult(Contract):
    """Counts over the range."""

    pages_done: int = 0
    pages_reused: int = 0
    pages_failed: int = 0

    def plus(self, other: "ReadPagesResult") -> "ReadPagesResult":
        return ReadPagesResult(
            pages_done=self.pages_done + other.pages_done,
            pages_reused=self.pages_reused + other.pages_reused,
            pages_failed=self.pages_failed + other.pages_failed,
        )


class ReadPagesInput(Contract):
    """Input of the child workflow `ReadPages`: a page range of a long document.

    `ocr_pages` and `gpu_wait_seconds` are as in InspectResult, `document_pages` the pages of the
    whole document; `so_far` counts the pages of the range before `first_page`, when it was
    continued as new.
    """

    version: VersionReference
    plan: Artifact
    first_page: int
    last_page: int
    document_pages: int
    ocr_pages: str
    priority: int
    paused: bool = False
    gpu_wait_seconds: float | None = None
    so_far: ReadPagesResult = ReadPagesResult()


READ_PAGES_WORKFLOW = "ReadPages"
PAUSE_SIGNAL = "pause"
RESUME_SIGNAL = "resume"
REPRIORITISE_SIGNAL = "reprioritise"

"""The `CompareReading` workflow: a version is read by a candidate beside its published reading, and
the two are compared. Nothing of the file changes."""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, VersionReference
from muniment.contracts.documents import PageSource
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobSettings, JobState
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName

WORKFLOW = "CompareReading"
MAXIMUM_PAGES = 500
"""Of one comparison: as many as an ingestion reads without child workflows, cut in the same way. A
share of the files says what is to be known long before their longest is read twice."""
PRESENT_WORKERS = "workers"


class ReadingCandidate(Contract):
    """Another way to read: the settings of a job in which it differs from what the workers do.

    Each field is one of JobSettings, and says in `sources` which pages it reads otherwise. Without
    any it stands for the workers as they are, for a version that was read before they changed.
    """

    ocr_engine: OcrEngineName | None = None
    pdf_pipeline: PdfPipelineName | None = None

    @property
    def name(self) -> str:
        """What reports, filters and workflow ids call it: `ocr_engine=tesseract`, or
        `ocr_engine=tesseract+pdf_pipeline=docling`."""
        chosen = self.model_dump(mode="json", exclude_none=True)
        return "+".join(f"{name}={value}" for name, value in chosen.items()) or PRESENT_WORKERS

    @property
    def sources(self) -> frozenset[PageSource]:
        """The pages that it could read otherwise; of a document without any there is nothing to
        compare."""
        is_of_scans = self.ocr_engine is not None and self.pdf_pipeline is None
        return frozenset({PageSource.OCR}) if is_of_scans else frozenset(PageSource)

    def settings(self) -> JobSettings:
        return JobSettings(**self.model_dump())


class CompareReadingInput(Contract):
    """`version.job_id` is the comparison's own job, whose settings are the candidate's."""

    version: VersionReference
    priority: int


class CompareReadingResult(Contract):
    state: JobState
    pages_compared: int = 0


class ComparisonPlan(Contract):
    """`present_job_id` is the ingestion whose reading is published, `inspected` what it found."""

    present_job_id: UUID
    inspected: InspectResult


class CompareInput(Contract):
    """`document` is what was assembled of the candidate's pages."""

    version: VersionReference
    present_job_id: UUID
    document: Artifact


class CompareResult(Contract):
    pages_compared: int


class CompareActivities(ABC):
    """A version that is no longer `ready` fails each of them as `withdrawn`."""

    @activity.defn(name="plan_comparison")
    @abstractmethod
    async def plan_comparison(self, version: VersionReference) -> ComparisonPlan:
        """Raises Conflict when nothing of the version is published, or the candidate is the workers as
        they are and these read scanned pages on the GPU queue alone; LimitExceeded when it is too
        long."""

    @activity.defn(name="compare_readings")
    @abstractmethod
    async def compare_readings(self, request: CompareInput) -> CompareResult:
        """Writes how the two readings differ: figures, never text."""

    @activity.defn(name="withdraw_comparison")
    @abstractmethod
    async def withdraw_comparison(self, version: VersionReference) -> None:
        """Forgets the comparison and whatever was read for it alone; doing so twice is harmless."""


def workflow_id(version_id: UUID, candidate: str) -> str:
    """The id of the version's first comparison with that candidate."""
    return f"compare-{version_id}-{candidate}"


def repeated_workflow_id(version_id: UUID, candidate: str, job_id: UUID) -> str:
    """The id of another one, after an engine or the published reading has changed."""
    return f"compare-{version_id}-{candidate}-{job_id}"

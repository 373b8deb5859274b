"""Comparisons of readings as clients see them: figures, never text."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.times import UtcTime
from muniment.contracts.jobs import JobState, Problem
from muniment.contracts.ocr import CandidateEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName

Share = Annotated[float, Field(ge=0, le=1)]


class CompareBody(BaseModel):
    """What is to read the version beside what is published. Without any setting: what the workers
    read with now, for a file that was read before they changed."""

    model_config = ConfigDict(extra="forbid")

    ocr_engine: CandidateEngineName | None = Field(
        default=None,
        description="Reads the pages that need OCR, on the CPU queue; the comparison fails where a"
        " worker has it not installed.",
    )
    pdf_pipeline: PdfPipelineName | None = Field(
        default=None,
        description="Finds the structure of PDFs and images, alone or together with the engine; the"
        " comparison fails where a worker lacks docling's pipeline or its weights.",
    )


class Shared(BaseModel):
    """So many in each reading, and so many that are the same in both."""

    present: int = 0
    candidate: int = 0
    shared: int = 0


class Structure(BaseModel):
    """Headings and cells are the same where text and page are, tables where page and size are."""

    headings: Shared = Shared()
    tables: Shared = Shared()
    cells: Shared = Shared()


class Words(BaseModel):
    """Words of the pages compared. `lost` ones stand in the published reading only, `gained` ones
    in the candidate's."""

    present: int
    candidate: int
    lost: int
    gained: int


class ReadingComparison(BaseModel):
    """A version's newest comparison with a candidate; its figures are null until it is completed.

    `pages` are those that the candidate reads otherwise and both could read: the rest is the same.
    Readers are the versions of the engines, and of a pipeline that the pages went through.
    `similarity` is the mean over them of twice the longest common subsequence of words over the
    words of both. `seconds` are by the clock and page, a wait for a free core included.
    """

    candidate: str
    file_id: UUID
    version: int
    job_id: UUID
    state: JobState
    error: Problem | None
    present_readers: list[str] | None
    candidate_readers: list[str] | None
    pages: int | None
    pages_identical: int | None
    present_failed: int | None
    candidate_failed: int | None
    similarity: Share | None
    words: Words | None
    structure: Structure | None
    present_confidence: Share | None
    candidate_confidence: Share | None
    present_seconds: float | None
    candidate_seconds: float | None
    created_at: UtcTime
    compared_at: UtcTime | None


class Similarity(BaseModel):
    """Over all pages compared; a twentieth of them is at or below `p05`."""

    mean: Share
    p05: Share
    p25: Share
    median: Share
    identical: Share


class ProblemCount(BaseModel):
    """Why comparisons failed, and of how many files."""

    type: str | None
    title: str | None
    remedy: str | None
    files: int


class WorstFile(BaseModel):
    file_id: UUID
    version: int
    pages: int
    similarity: Share
    lowest_similarity: Share
    words_lost: int
    words_gained: int


class CandidateSummary(BaseModel):
    """How a candidate would change what is read. `files` were compared; of those
    `files_without_difference` it reads no page otherwise. `time_ratio` is its seconds per page over
    the present ones, null where those of either are not known."""

    candidate: str
    files: int
    files_open: int
    files_failed: int
    files_without_difference: int
    pages: int
    present_failed: int
    candidate_failed: int
    similarity: Similarity | None
    words: Words | None
    pages_more_words: int
    pages_fewer_words: int
    pages_more_confident: int
    pages_less_confident: int
    structure: Structure
    present_seconds: float | None
    candidate_seconds: float | None
    time_ratio: float | None
    problems: list[ProblemCount]
    worst_files: list[WorstFile]


class ComparisonSummary(BaseModel):
    """By candidate."""

    data: list[CandidateSummary]

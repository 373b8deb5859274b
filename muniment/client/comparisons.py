"""Comparisons of readings, as the API answers them."""

from datetime import datetime
from uuid import UUID

from muniment.client.models import AnyJobState, Problem, Record


class Shared(Record):
    """So many in each reading, and so many that are the same in both."""

    present: int = 0
    candidate: int = 0
    shared: int = 0


class Structure(Record):
    headings: Shared = Shared()
    tables: Shared = Shared()
    cells: Shared = Shared()


class Words(Record):
    """Words of the pages compared; lost ones stand in the published reading only."""

    present: int = 0
    candidate: int = 0
    lost: int = 0
    gained: int = 0


class ReadingComparison(Record):
    """A version's newest comparison with a candidate; figures are None until it is completed.
    Similarities are 0–1, seconds per page."""

    candidate: str
    file_id: UUID
    version: int
    job_id: UUID
    state: AnyJobState
    error: Problem | None = None
    present_readers: tuple[str, ...] | None = None
    candidate_readers: tuple[str, ...] | None = None
    pages: int | None = None
    pages_identical: int | None = None
    present_failed: int | None = None
    candidate_failed: int | None = None
    similarity: float | None = None
    words: Words | None = None
    structure: Structure | None = None
    present_confidence: float | None = None
    candidate_confidence: float | None = None
    present_seconds: float | None = None
    candidate_seconds: float | None = None
    created_at: datetime | None = None
    compared_at: datetime | None = None


class Similarity(Record):
    """Over all pages compared; `identical` is a share of them."""

    mean: float
    p05: float
    p25: float
    median: float
    identical: float


class ProblemCount(Record):
    """Why comparisons failed, and of how many files."""

    type: str | None = None
    title: str | None = None
    remedy: str | None = None
    files: int = 0


class WorstFile(Record):
    file_id: UUID
    version: int
    pages: int
    similarity: float
    lowest_similarity: float
    words_lost: int = 0
    words_gained: int = 0


class CandidateSummary(Record):
    """How a candidate would change what is read."""

    candidate: str
    files: int = 0
    files_open: int = 0
    files_failed: int = 0
    files_without_difference: int = 0
    pages: int = 0
    present_failed: int = 0
    candidate_failed: int = 0
    similarity: Similarity | None = None
    words: Words | None = None
    pages_more_words: int = 0
    pages_fewer_words: int = 0
    pages_more_confident: int = 0
    pages_less_confident: int = 0
    structure: Structure = Structure()
    present_seconds: float | None = None
    candidate_seconds: float | None = None
    time_ratio: float | None = None
    problems: tuple[ProblemCount, ...] = ()
    worst_files: tuple[WorstFile, ...] = ()


class ComparisonSummary(Record):
    """By candidate."""

    data: tuple[CandidateSummary, ...] = ()

"""From rows of figures to what clients see."""

from sqlalchemy import RowMapping

from api.reading_comparisons.schemas import (
    CandidateSummary,
    ProblemCount,
    ReadingComparison,
    Shared,
    Similarity,
    Structure,
    Words,
    WorstFile,
)
from db.queries.comparison_reports import CandidateFigures
from muniment.contracts.jobs import JobState, Problem


def comparison_view(row: RowMapping) -> ReadingComparison:
    is_made = row["compared_at"] is not None
    return ReadingComparison(
        candidate=row["candidate"],
        file_id=row["file_id"],
        version=row["version"],
        job_id=row["job_id"],
        state=JobState(row["state"]),
        error=Problem.model_validate(row["error"]) if row["error"] else None,
        present_readers=row["present_readers"],
        candidate_readers=row["candidate_readers"],
        pages=row["pages"],
        pages_identical=row["pages_identical"] if is_made else None,
        present_failed=row["present_failed"],
        candidate_failed=row["candidate_failed"],
        similarity=row["similarity"],
        words=_words(row) if row["present_words"] is not None else None,
        structure=Structure.model_validate(row["structure"]) if row["structure"] else None,
        present_confidence=row["present_confidence"],
        candidate_confidence=row["candidate_confidence"],
        present_seconds=row["present_seconds"],
        candidate_seconds=row["candidate_seconds"],
        created_at=row["created_at"],
        compared_at=row["compared_at"],
    )


def summary_view(figures: CandidateFigures) -> CandidateSummary:
    totals, pages = figures.totals, figures.pages
    present_seconds, candidate_seconds = totals["present_seconds"], totals["candidate_seconds"]
    is_timed = bool(present_seconds) and candidate_seconds is not None
    return CandidateSummary(
        candidate=totals["candidate"],
        files=totals["files"],
        files_open=totals["files_open"],
        files_failed=totals["files_failed"],
        files_without_difference=totals["files_without_difference"],
        pages=totals["pages"],
        present_failed=totals["present_failed"],
        candidate_failed=totals["candidate_failed"],
        similarity=_similarity(pages, totals["pages"]) if pages else None,
        words=_words(pages) if pages else None,
        pages_more_words=pages["pages_more_words"] if pages else 0,
        pages_fewer_words=pages["pages_fewer_words"] if pages else 0,
        pages_more_confident=pages["pages_more_confident"] if pages else 0,
        pages_less_confident=pages["pages_less_confident"] if pages else 0,
        structure=_structure(figures),
        present_seconds=present_seconds,
        candidate_seconds=candidate_seconds,
        time_ratio=candidate_seconds / present_seconds if is_timed else None,
        problems=[ProblemCount.model_validate(dict(row)) for row in figures.problems],
        worst_files=[WorstFile.model_validate(dict(row)) for row in figures.worst],
    )


def _similarity(pages: RowMapping, count: int) -> Similarity:
    p05, p25, median = pages["similarity_percentiles"]
    return Similarity(
        mean=pages["similarity_mean"],
        p05=p05,
        p25=p25,
        median=median,
        identical=pages["pages_identical"] / count,
    )


def _words(row: RowMapping) -> Words:
    return Words(
        present=row["present_words"],
        candidate=row["candidate_words"],
        lost=row["words_lost"],
        gained=row["words_gained"],
    )


def _structure(figures: CandidateFigures) -> Structure:
    kinds = {
        row["kind"]: Shared(
            present=row["present"], candidate=row["candidate_count"], shared=row["shared"]
        )
        for row in figures.structure
    }
    return Structure(**kinds)

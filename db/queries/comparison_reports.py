"""What comparisons of readings came to, of the files that the caller may read and that are in
sight."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

_SHOWN = """
    SELECT comparison.*, job.state, job.error, file_version.number AS version
    FROM reading_comparison AS comparison
    JOIN job ON job.id = comparison.job_id
    JOIN file ON file.id = comparison.file_id
    JOIN file_version ON file_version.id = comparison.version_id
    WHERE comparison.file_id IN (SELECT visible FROM visible_files('read') AS visible)
      AND file.state NOT IN ('trashed', 'restricted', 'erasing', 'erased')
      AND (CAST(:candidate AS varchar) IS NULL OR comparison.candidate = :candidate)
      AND (CAST(:file_id AS uuid) IS NULL OR comparison.file_id = :file_id)
      AND (CAST(:state AS varchar) IS NULL OR job.state = :state)
      AND (CAST(:since AS timestamptz) IS NULL OR comparison.created_at >= :since)
"""


@dataclass(frozen=True)
class ComparisonFilter:
    """Which comparisons; None is any."""

    candidate: str | None = None
    file_id: UUID | None = None
    state: str | None = None
    since: datetime | None = None

    def values(self) -> dict[str, object]:
        return {
            "candidate": self.candidate,
            "file_id": self.file_id,
            "state": self.state,
            "since": self.since,
        }


_LIST = text(
    f"""
    SELECT shown.*, figures.* FROM ({_SHOWN}) AS shown
    LEFT JOIN LATERAL (
        SELECT avg(similarity) AS similarity,
               count(*) FILTER (WHERE similarity = 1) AS pages_identical,
               sum(present_words)::bigint AS present_words,
               sum(candidate_words)::bigint AS candidate_words,
               sum(words_lost)::bigint AS words_lost, sum(words_gained)::bigint AS words_gained,
               avg(present_confidence) AS present_confidence,
               avg(candidate_confidence) AS candidate_confidence
        FROM compared_page AS page
        WHERE page.version_id = shown.version_id AND page.candidate = shown.candidate
    ) AS figures ON true
    WHERE CAST(:at AS timestamptz) IS NULL OR (shown.created_at, shown.job_id) < (:at, :id)
    ORDER BY shown.created_at DESC, shown.job_id DESC LIMIT :limit
    """  # noqa: S608 - a constant
)


async def list_comparisons(
    session: AsyncSession,
    wanted: ComparisonFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[RowMapping]:
    """Newest first, those after the given one; each with the sums and means over its pages."""
    at, last_id = after if after is not None else (None, None)
    values = {**wanted.values(), "at": at, "id": last_id, "limit": limit}
    return (await session.execute(_LIST, values)).mappings().all()


# ── the summary ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class CandidateFigures:
    """What is known of one candidate: rows of columns that the API names alike."""

    totals: RowMapping
    pages: RowMapping | None
    structure: Sequence[RowMapping]
    problems: Sequence[RowMapping]
    worst: Sequence[RowMapping]


_TOTALS = text(
    f"""
    SELECT candidate,
           count(*) FILTER (WHERE pages > 0) AS files,
           count(*) FILTER (WHERE pages = 0) AS files_without_difference,
           count(*) FILTER (WHERE state IN ('queued', 'running')) AS files_open,
           count(*) FILTER (WHERE state = 'failed') AS files_failed,
           coalesce(sum(pages), 0)::bigint AS pages,
           coalesce(sum(present_failed), 0)::bigint AS present_failed,
           coalesce(sum(candidate_failed), 0)::bigint AS candidate_failed,
           sum(present_seconds * pages) FILTER (WHERE candidate_seconds IS NOT NULL)
               / nullif(sum(pages) FILTER (WHERE present_seconds + candidate_seconds IS NOT NULL), 0)
               AS present_seconds,
           sum(candidate_seconds * pages) FILTER (WHERE present_seconds IS NOT NULL)
               / nullif(sum(pages) FILTER (WHERE present_seconds + candidate_seconds IS NOT NULL), 0)
               AS candidate_seconds
    FROM ({_SHOWN}) AS shown GROUP BY candidate ORDER BY candidate
    """  # noqa: S608 - a constant
)
_PAGES = text(
    f"""
    SELECT candidate, avg(similarity) AS similarity_mean,
           percentile_cont(ARRAY[0.05, 0.25, 0.5]) WITHIN GROUP (ORDER BY similarity)
               AS similarity_percentiles,
           count(*) FILTER (WHERE similarity = 1) AS pages_identical,
           count(*) FILTER (WHERE candidate_words > present_words) AS pages_more_words,
           count(*) FILTER (WHERE candidate_words < present_words) AS pages_fewer_words,
           count(*) FILTER (WHERE candidate_confidence > present_confidence)
               AS pages_more_confident,
           count(*) FILTER (WHERE candidate_confidence < present_confidence)
               AS pages_less_confident,
           sum(present_words)::bigint AS present_words,
           sum(candidate_words)::bigint AS candidate_words,
           sum(words_lost)::bigint AS words_lost, sum(words_gained)::bigint AS words_gained
    FROM ({_SHOWN}) AS shown
    JOIN (SELECT version_id, candidate, similarity, present_words, candidate_words, words_lost,
                 words_gained, present_confidence, candidate_confidence FROM compared_page) AS page
        USING (version_id, candidate)
    GROUP BY candidate
    """  # noqa: S608 - a constant
)
_STRUCTURE = text(
    f"""
    SELECT candidate, kind.key AS kind, sum((kind.value ->> 'present')::int)::bigint AS present,
           sum((kind.value ->> 'candidate')::int)::bigint AS candidate_count,
           sum((kind.value ->> 'shared')::int)::bigint AS shared
    FROM ({_SHOWN}) AS shown, jsonb_each(structure) AS kind
    WHERE pages > 0 GROUP BY candidate, kind.key
    """  # noqa: S608 - a constant
)
_PROBLEMS = text(
    f"""
    SELECT candidate, error ->> 'type' AS type, error ->> 'title' AS title,
           error ->> 'remedy' AS remedy, count(*) AS files
    FROM ({_SHOWN}) AS shown WHERE state = 'failed'
    GROUP BY candidate, error ->> 'type', error ->> 'title', error ->> 'remedy'
    ORDER BY files DESC, type
    """  # noqa: S608 - a constant
)
_WORST = text(
    f"""
    SELECT * FROM (
        SELECT candidate, file_id, version, pages, avg(similarity) AS similarity,
               min(similarity) AS lowest_similarity,
               sum(words_lost)::bigint AS words_lost, sum(words_gained)::bigint AS words_gained,
               row_number() OVER (PARTITION BY candidate
                                  ORDER BY avg(similarity), version_id) AS place
        FROM ({_SHOWN}) AS shown
        JOIN (SELECT version_id, candidate, similarity, words_lost, words_gained
              FROM compared_page) AS page USING (version_id, candidate)
        GROUP BY candidate, version_id, file_id, version, pages
    ) AS placed WHERE place <= :worst ORDER BY candidate, place
    """  # noqa: S608 - a constant
)


async def summarise_comparisons(
    session: AsyncSession, wanted: ComparisonFilter, *, worst: int
) -> list[CandidateFigures]:
    """Per candidate, by name; with so many of its worst files, the worst first."""
    values = {**wanted.values(), "worst": worst}

    async def rows(statement: TextClause) -> dict[str, list[RowMapping]]:
        found = defaultdict[str, list[RowMapping]](list)
        for row in (await session.execute(statement, values)).mappings():
            found[row["candidate"]].append(row)
        return found

    pages, structure = await rows(_PAGES), await rows(_STRUCTURE)
    problems, placed = await rows(_PROBLEMS), await rows(_WORST)
    return [
        CandidateFigures(
            totals=totals[0],
            pages=next(iter(pages[name]), None),
            structure=structure[name],
            problems=problems[name],
            worst=placed[name],
        )
        for name, totals in (await rows(_TOTALS)).items()
    ]

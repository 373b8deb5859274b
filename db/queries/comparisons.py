"""Comparisons of readings: committing them, what they compare, and taking them back."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.ingestions import Origin, new_comparison
from db.models import Job, ReadingComparison
from muniment.contracts import compare_reading
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import ReadingCandidate
from muniment.contracts.documents import DocumentFamily, PageSource


@dataclass(frozen=True)
class ShadowRoom:
    """What a published version must be for a comparison that nobody asked for: of one of the
    tenants (by name, or `*`), not too long, with a page of these sources, of one of the families, and
    not one too many."""

    tenants: Sequence[str]
    max_open: int
    max_pages: int
    sources: Collection[PageSource]
    families: Collection[DocumentFamily]


_HAS_ROOM = text(
    """
    SELECT EXISTS (SELECT 1 FROM tenant WHERE '*' = ANY(:tenants) OR name = ANY(:tenants))
       AND (SELECT count(*) <= :max_pages
                   AND count(*) FILTER (WHERE source = ANY(:sources) AND problem IS NULL) > 0
            FROM page WHERE version_id = :version_id)
       AND EXISTS (SELECT 1 FROM stage_output WHERE job_id = :job_id AND stage = 'inspect'
                   AND summary ->> 'family' = ANY(:families))
       -- A password is destroyed with its job: nothing could open the document again.
       AND NOT EXISTS (SELECT 1 FROM job_password WHERE job_id = :job_id)
       AND (SELECT count(*) FROM job
            WHERE kind = 'compare_reading' AND finished_at IS NULL) < :max_open
    """
)


async def has_room(session: AsyncSession, version: VersionReference, room: ShadowRoom) -> bool:
    """Whether the version, which `version.job_id` has published, may be compared unasked."""
    found = await session.execute(
        _HAS_ROOM,
        {
            "tenants": list(room.tenants),
            "max_open": room.max_open,
            "max_pages": room.max_pages,
            "sources": [source.value for source in room.sources],
            "families": [family.value for family in room.families],
            "version_id": version.version_id,
            "job_id": version.job_id,
        },
    )
    return bool(found.scalar_one())


async def add_comparison(
    session: AsyncSession,
    version: VersionReference,
    candidate: ReadingCandidate,
    origin: Origin | None = None,
) -> Job | None:
    """The job that compares the version, added now or at work already; None unless the file is
    ready. Figures of an earlier comparison with the candidate are gone with it."""
    if not await _lock_ready_file(session, version.file_id):
        return None
    at_work = await _replaced(session, version.version_id, candidate.name)
    if at_work is not None:
        return at_work
    first_id = compare_reading.workflow_id(version.version_id, candidate.name)
    is_first = await session.scalar(select(Job).where(col(Job.workflow_id) == first_id)) is None
    job = new_comparison(
        origin or Origin(version.tenant_id, None), version, candidate, first=is_first
    )
    session.add(job)
    await session.flush()
    session.add(
        ReadingComparison(
            version_id=version.version_id,
            candidate=candidate.name,
            tenant_id=version.tenant_id,
            file_id=version.file_id,
            job_id=job.id,
        )
    )
    await session.flush()
    return job


async def _replaced(session: AsyncSession, version_id: UUID, candidate: str) -> Job | None:
    """Makes room for another comparison; the job of the present one, if it is still at work."""
    earlier = await session.get(ReadingComparison, (version_id, candidate))
    if earlier is None:
        return None
    job = await session.get_one(Job, earlier.job_id)
    if job.finished_at is None:
        return job
    await session.delete(earlier)
    await session.flush()
    return None


async def _lock_ready_file(session: AsyncSession, file_id: UUID) -> bool:
    found = await session.execute(
        text("SELECT 1 FROM file WHERE id = :file_id AND state = 'ready' FOR UPDATE"),
        {"file_id": file_id},
    )
    return found.first() is not None


async def publishing_job_id(session: AsyncSession, version_id: UUID) -> UUID | None:
    """The id of the ingestion that published the version last, however it ended afterwards."""
    found = await session.execute(
        text(
            "SELECT job.id FROM job, jsonb_array_elements(job.stages) AS entry"
            " WHERE job.version_id = :version_id AND job.kind = 'ingest_file'"
            " AND entry ->> 'name' = 'publish' AND entry ->> 'state' = 'completed'"
            " ORDER BY (entry ->> 'finished_at')::timestamptz DESC LIMIT 1"
        ),
        {"version_id": version_id},
    )
    value: UUID | None = found.scalar_one_or_none()
    return value


async def was_opened_with_password(session: AsyncSession, job_id: UUID) -> bool:
    """Whether the ingestion needed one for the document, which was destroyed when it ended."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM stage_output WHERE job_id = :job_id"
            " AND stage = 'inspect' AND (summary ->> 'has_password')::boolean)"
        ),
        {"job_id": job_id},
    )
    return bool(found.scalar_one())


@dataclass(frozen=True)
class ComparisonFigures:
    """What a comparison came to: columns of `reading_comparison`, rows of `compared_page`."""

    present_readers: Sequence[str]
    candidate_readers: Sequence[str]
    present_failed: int
    candidate_failed: int
    present_seconds: float | None
    candidate_seconds: float | None
    structure: dict[str, JsonValue]
    pages: Sequence[dict[str, JsonValue]]


async def write_figures(
    session: AsyncSession, version: VersionReference, figures: ComparisonFigures
) -> None:
    """Writes them once: those of the job's comparison, if there still is one."""
    found = await session.scalar(
        select(ReadingComparison).where(col(ReadingComparison.job_id) == version.job_id)
    )
    if found is None:
        return
    values = {"version_id": found.version_id, "candidate": found.candidate}
    await session.execute(
        text(
            "UPDATE reading_comparison SET compared_at = now(), pages = :pages,"
            " present_readers = :present_readers, candidate_readers = :candidate_readers,"
            " present_failed = :present_failed, candidate_failed = :candidate_failed,"
            " present_seconds = :present_seconds, candidate_seconds = :candidate_seconds,"
            " structure = CAST(:structure AS jsonb)"
            " WHERE version_id = :version_id AND candidate = :candidate"
        ),
        {
            **values,
            "pages": len(figures.pages),
            "present_readers": list(figures.present_readers),
            "candidate_readers": list(figures.candidate_readers),
            "present_failed": figures.present_failed,
            "candidate_failed": figures.candidate_failed,
            "present_seconds": figures.present_seconds,
            "candidate_seconds": figures.candidate_seconds,
            "structure": json.dumps(figures.structure),
        },
    )
    await session.execute(
        _INSERT_PAGES,
        {**values, "tenant_id": version.tenant_id, "pages": json.dumps(list(figures.pages))},
    )


_INSERT_PAGES = text(
    """
    INSERT INTO compared_page (version_id, candidate, tenant_id, page, similarity, present_words,
                               candidate_words, words_lost, words_gained, present_confidence,
                               candidate_confidence)
    SELECT :version_id, :candidate, :tenant_id, item.page, item.similarity, item.present_words,
           item.candidate_words, item.words_lost, item.words_gained, item.present_confidence,
           item.candidate_confidence
    FROM jsonb_to_recordset(CAST(:pages AS jsonb)) AS item(
        page int, similarity float, present_words int, candidate_words int, words_lost int,
        words_gained int, present_confidence float, candidate_confidence float)
    ON CONFLICT DO NOTHING
    """
)


# ── taking back ─────────────────────────────────────────────────────────────────────────────────


async def condemn_outputs(session: AsyncSession, version: VersionReference) -> list[UUID]:
    """Condemns what was made for the comparison alone: nobody finds it by its fingerprint or refers
    to it anew. Its references and outputs stay until its keys are gone (`forget_outputs`), so that
    a repetition, or an erasure, finds it; the blobs that were condemned, now or before."""
    values = {"job_id": version.job_id, "version_id": version.version_id}
    await session.execute(
        text(
            "SELECT id FROM blob WHERE id IN (SELECT blob_id FROM stage_output"
            " WHERE job_id = :job_id) ORDER BY id FOR UPDATE"
        ),
        values,
    )
    # A statement of its own: it sees every reference committed before the locks were granted.
    rows = await session.execute(_MADE_ALONE, values)
    alone = list(rows.scalars())
    await session.execute(
        text("DELETE FROM stage_result WHERE blob_id = ANY(:ids)"),
        {"ids": alone},
    )
    await session.execute(
        text("DELETE FROM integrity_fault WHERE blob_id = ANY(:ids)"),
        {"ids": alone},
    )
    await session.execute(
        text(
            "UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()), dedup_tag = NULL,"
            " sha256 = ''::bytea WHERE id = ANY(:ids)"
        ),
        {"ids": alone},
    )
    return alone


_MADE_ALONE = text(
    """
    SELECT DISTINCT own.blob_id FROM stage_output AS own
    WHERE own.job_id = :job_id
      AND NOT EXISTS (SELECT 1 FROM stage_output AS other
                      WHERE other.blob_id = own.blob_id AND other.job_id <> :job_id)
      AND NOT EXISTS (SELECT 1 FROM blob_reference AS other
                      WHERE other.blob_id = own.blob_id AND other.version_id <> :version_id)
      AND NOT EXISTS (SELECT 1 FROM page WHERE page.blob_id = own.blob_id)
      AND NOT EXISTS (SELECT 1 FROM page_layer WHERE page_layer.blob_id = own.blob_id)
    """
)


async def forget_outputs(
    session: AsyncSession, version: VersionReference, destroyed: Sequence[UUID]
) -> None:
    """The keys of those are gone: drops references, outputs and the comparison itself."""
    await session.execute(
        text("DELETE FROM blob_reference WHERE version_id = :version_id AND blob_id = ANY(:ids)"),
        {"version_id": version.version_id, "ids": list(destroyed)},
    )
    values = {"job_id": version.job_id}
    await session.execute(text("DELETE FROM stage_output WHERE job_id = :job_id"), values)
    await session.execute(text("DELETE FROM reading_comparison WHERE job_id = :job_id"), values)

"""What a stage needs of the database: its opening, results by fingerprint, and its outputs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.jobs import JOB_COLUMNS, JobRow, job_row
from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import FileState, PageCounts, ReadingCounts, StageName

READ_PAGE = "read_page"
"""The outputs of single pages of a batch still at work, so that a retry resumes: `part` is the
page. Once the batch is done, its own output counts instead."""

UNTOUCHED_STATES = frozenset({FileState.RESTRICTED, FileState.ERASING, FileState.ERASED})


@dataclass(frozen=True)
class Opening:
    """A stage's view of its job, file and version, while the job's row is locked."""

    job: JobRow
    file_state: FileState
    name: str
    declared_media_type: str
    content_blob_id: UUID
    content_size: int
    content_tag: bytes
    password_blob_id: UUID | None
    password_tag: bytes

    def inputs(self) -> list[str]:
        """What the content's results depend on: the content, and the password that opens it."""
        tags = (self.content_tag, self.password_tag)
        return [tag.hex() for tag in tags if tag]


@dataclass(frozen=True)
class NewBlob:
    """A sealed artifact that the database does not know yet."""

    blob_id: UUID
    size: int
    sha256: bytes


@dataclass(frozen=True)
class StoredResult:
    """A stage result that lies in the store. `is_own`: this job's output already points at it."""

    fingerprint: str
    blob_id: UUID
    summary: dict[str, JsonValue]
    is_own: bool = False


@dataclass(frozen=True)
class Output:
    """One output of a stage of a job."""

    part: int
    fingerprint: str
    blob_id: UUID
    summary: dict[str, JsonValue]


@dataclass(frozen=True)
class OutputKey:
    """Whose output it is: `role` is noted on the version's reference to the blob."""

    version: VersionReference
    stage: str
    part: int


async def open_stage(session: AsyncSession, version: VersionReference) -> Opening | None:
    """Locks the job's row; None when job, version or content are gone."""
    rows = await session.execute(
        text(
            f"SELECT {JOB_COLUMNS}, file.state AS file_state, file_version.name,"  # noqa: S608 - a constant
            " file_version.declared_media_type, file_version.blob_id, file_version.size,"
            " blob.dedup_tag, job_password.blob_id AS password_blob_id,"
            " job_password.tag AS password_tag"
            " FROM job JOIN file_version ON file_version.id = job.version_id"
            " LEFT JOIN job_password ON job_password.job_id = job.id"
            " JOIN file ON file.id = job.file_id JOIN blob ON blob.id = file_version.blob_id"
            " WHERE job.id = :job_id AND file_version.id = :version_id"
            " AND blob.destroyed_at IS NULL FOR UPDATE OF job"
        ),
        {"job_id": version.job_id, "version_id": version.version_id},
    )
    row = rows.mappings().one_or_none()
    if row is None:
        return None
    return Opening(
        job=job_row(row),
        file_state=FileState(row["file_state"]),
        name=row["name"],
        declared_media_type=row["declared_media_type"],
        content_blob_id=row["blob_id"],
        content_size=row["size"],
        content_tag=bytes(row["dedup_tag"] or b""),
        password_blob_id=row["password_blob_id"],
        password_tag=bytes(row["password_tag"] or b""),
    )


@dataclass(frozen=True)
class EarlierVersion:
    """The content of the published version before, and the job that read it last."""

    job_id: UUID
    blob_id: UUID
    size: int


async def earlier_version(
    session: AsyncSession, version: VersionReference
) -> EarlierVersion | None:
    """The newest version before this one that was published and whose outputs are there."""
    rows = await session.execute(
        text(
            "SELECT job.id, earlier.blob_id, earlier.size FROM file_version AS present"
            " JOIN file_version AS earlier ON earlier.file_id = present.file_id"
            " AND earlier.number < present.number AND earlier.published_at IS NOT NULL"
            " JOIN blob ON blob.id = earlier.blob_id AND blob.destroyed_at IS NULL"
            " JOIN job ON job.version_id = earlier.id AND job.state = 'completed'"
            " AND job.kind = 'ingest_file'"
            " WHERE present.id = :version_id"
            " ORDER BY earlier.number DESC, job.finished_at DESC LIMIT 1"
        ),
        {"version_id": version.version_id},
    )
    row = rows.one_or_none()
    return None if row is None else EarlierVersion(row[0], row[1], row[2])


async def earlier_run(session: AsyncSession, version: VersionReference) -> UUID | None:
    """The id of the newest other job that published this version."""
    found = await session.execute(
        text(
            "SELECT id FROM job WHERE version_id = :version_id AND id <> :job_id"
            " AND kind = 'ingest_file' AND state = 'completed' ORDER BY finished_at DESC LIMIT 1"
        ),
        {"version_id": version.version_id, "job_id": version.job_id},
    )
    value: UUID | None = found.scalar_one_or_none()
    return value


async def find_results(
    session: AsyncSession, job_id: UUID, fingerprints: Sequence[str]
) -> dict[str, StoredResult]:
    """Results by fingerprint, locked so that no erasure destroys them before this transaction
    has written its reference."""
    rows = await session.execute(
        text(
            "SELECT stage_result.fingerprint, stage_result.blob_id, stage_result.summary,"
            " EXISTS (SELECT 1 FROM stage_output WHERE stage_output.job_id = :job_id"
            " AND stage_output.fingerprint = stage_result.fingerprint) AS is_own"
            " FROM stage_result JOIN blob ON blob.id = stage_result.blob_id"
            " WHERE stage_result.tenant_id = (SELECT current_tenant())"
            " AND stage_result.fingerprint = ANY(:fingerprints)"
            " AND blob.destroyed_at IS NULL ORDER BY blob.id FOR SHARE OF blob"
        ),
        {"job_id": job_id, "fingerprints": list(fingerprints)},
    )
    return {row["fingerprint"]: StoredResult(**row) for row in rows.mappings()}


_KEEP = text(
    """
    WITH stored AS (
        INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)
        VALUES (:blob_id, :tenant_id, 'artifact', :size, :sha256, now())
    ), kept AS (
        INSERT INTO stage_result (tenant_id, fingerprint, stage, blob_id, summary, created_at)
        VALUES (:tenant_id, :fingerprint, :stage, :blob_id, CAST(:summary AS jsonb), now())
        ON CONFLICT (tenant_id, fingerprint) DO NOTHING
        RETURNING blob_id, summary
    ), referred AS (
        INSERT INTO blob_reference (tenant_id, blob_id, version_id, role, created_at)
        SELECT :tenant_id, kept.blob_id, :version_id, :role, now() FROM kept
    ), put_out AS (
        INSERT INTO stage_output (tenant_id, job_id, stage, part, fingerprint, blob_id, summary)
        SELECT :tenant_id, :job_id, :stage, :part, :fingerprint, kept.blob_id, kept.summary
        FROM kept
        ON CONFLICT (job_id, stage, part) DO UPDATE SET
            fingerprint = excluded.fingerprint, blob_id = excluded.blob_id,
            summary = excluded.summary
    )
    SELECT count(*) FROM kept
    """
)


async def keep_result(
    session: AsyncSession,
    key: OutputKey,
    fingerprint: str,
    blob: NewBlob,
    summary: dict[str, JsonValue],
) -> StoredResult:
    """Stores the result under its fingerprint, or finds the one that was first; the job's output
    is what this returns.

    When another was first, `blob` is not kept: the caller destroys it after the transaction.
    """
    result = StoredResult(fingerprint, blob.blob_id, summary)
    kept = await session.execute(
        _KEEP, {**_output_values(key, result), "size": blob.size, "sha256": blob.sha256}
    )
    if kept.scalar_one():
        return result
    first = await find_results(session, key.version.job_id, [fingerprint])
    if fingerprint in first:
        await session.execute(
            text("DELETE FROM blob WHERE id = :blob_id"), {"blob_id": blob.blob_id}
        )
        result = replace(first[fingerprint], summary=summary)
    await write_output(session, key, result)
    return result


async def keep_blob(session: AsyncSession, version: VersionReference, blob: NewBlob) -> None:
    """Notes an artifact that no fingerprint finds."""
    await session.execute(
        text(
            "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
            " VALUES (:blob_id, :tenant_id, 'artifact', :size, :sha256, now())"
        ),
        {
            "tenant_id": version.tenant_id,
            "blob_id": blob.blob_id,
            "size": blob.size,
            "sha256": blob.sha256,
        },
    )


_OUTPUT = text(
    """
    WITH referred AS (
        INSERT INTO blob_reference (tenant_id, blob_id, version_id, role, created_at)
        VALUES (:tenant_id, :blob_id, :version_id, :role, now())
        ON CONFLICT DO NOTHING
    )
    INSERT INTO stage_output (tenant_id, job_id, stage, part, fingerprint, blob_id, summary)
    VALUES (:tenant_id, :job_id, :stage, :part, :fingerprint, :blob_id, CAST(:summary AS jsonb))
    ON CONFLICT (job_id, stage, part) DO UPDATE SET
        fingerprint = excluded.fingerprint, blob_id = excluded.blob_id, summary = excluded.summary
    """
)


async def write_output(session: AsyncSession, key: OutputKey, result: StoredResult) -> None:
    """The job's output of that stage and part is this; the version now needs its blob."""
    await session.execute(_OUTPUT, _output_values(key, result))


def _output_values(key: OutputKey, result: StoredResult) -> dict[str, object]:
    return {
        "tenant_id": key.version.tenant_id,
        "job_id": key.version.job_id,
        "version_id": key.version.version_id,
        "role": "read" if key.stage == READ_PAGE else key.stage,
        "stage": key.stage,
        "part": key.part,
        "fingerprint": result.fingerprint,
        "blob_id": result.blob_id,
        "summary": json.dumps(result.summary),
    }


async def outputs_of(session: AsyncSession, job_id: UUID, stage: StageName) -> list[Output]:
    """The stage's outputs in the order of their parts."""
    rows = await session.execute(
        text(
            "SELECT part, fingerprint, blob_id, summary FROM stage_output"
            " WHERE job_id = :job_id AND stage = :stage ORDER BY part"
        ),
        {"job_id": job_id, "stage": stage.value},
    )
    return [_output(row) for row in rows.mappings()]


async def count_pages(
    session: AsyncSession, job_id: UUID, total: int, ocr_total: int
) -> tuple[PageCounts, ReadingCounts]:
    """The job's pages, counted from its outputs: the same whatever was retried."""
    rows = await session.execute(
        text(
            """
            WITH output AS (
                SELECT stage, part, summary,
                       -- How far the batches reach that begin at or before this output.
                       max((summary ->> 'last_page')::int) FILTER (WHERE stage = 'read')
                           OVER (ORDER BY part) AS read_until
                FROM stage_output WHERE job_id = :job_id AND stage IN ('read', 'read_page')
            ), page AS (
                -- Of batches still at work.
                SELECT count(*) AS done, count(*) FILTER (WHERE summary ->> 'source' = 'ocr') AS ocr,
                       coalesce(sum((summary ->> 'characters')::bigint), 0) AS characters
                FROM output WHERE stage = 'read_page' AND part > coalesce(read_until, 0)
            ), batch AS (
                SELECT coalesce(sum((summary ->> 'done')::int), 0) AS done,
                       coalesce(sum((summary ->> 'failed')::int), 0) AS failed,
                       coalesce(sum((summary ->> 'reused')::int), 0) AS reused,
                       coalesce(sum((summary ->> 'ocr_settled')::int), 0) AS ocr_settled,
                       coalesce(sum((summary ->> 'ocr_reused')::int), 0) AS ocr_reused,
                       coalesce(sum((summary ->> 'characters')::bigint), 0) AS characters
                FROM output WHERE stage = 'read'
            )
            SELECT batch.done + page.done AS done, failed, reused,
                   ocr_settled + page.ocr AS ocr_settled, ocr_reused,
                   batch.characters + page.characters AS characters
            FROM page, batch
            """
        ),
        {"job_id": job_id},
    )
    row = rows.mappings().one()
    pages = PageCounts(
        total=total, done=int(row["done"]), failed=int(row["failed"]), reused=int(row["reused"])
    )
    return pages, ReadingCounts(
        ocr_total=ocr_total,
        ocr_settled=int(row["ocr_settled"]),
        ocr_reused=int(row["ocr_reused"]),
        characters=int(row["characters"]),
    )


async def was_retry_announced(
    session: AsyncSession, job_id: UUID, stage: StageName, attempt: int
) -> bool:
    """Whether the attempt before said itself that this one would follow."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM job_event WHERE job_id = :job_id AND event = 'retry'"
            " AND payload ->> 'stage' = :stage AND (payload ->> 'attempt')::int = :attempt)"
        ),
        {"job_id": job_id, "stage": stage.value, "attempt": attempt},
    )
    return bool(found.scalar_one())


async def count_retries(
    session: AsyncSession, job_id: UUID, stage: StageName, reasons: Sequence[str]
) -> int:
    """How many retries of the stage were announced for one of these reasons."""
    found = await session.execute(
        text(
            "SELECT count(*) FROM job_event WHERE job_id = :job_id AND event = 'retry'"
            " AND payload ->> 'stage' = :stage AND payload ->> 'reason' = ANY(:reasons)"
        ),
        {"job_id": job_id, "stage": stage.value, "reasons": list(reasons)},
    )
    return int(found.scalar_one())


def _output(row: RowMapping) -> Output:
    return Output(row["part"], row["fingerprint"], row["blob_id"], row["summary"])

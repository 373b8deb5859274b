"""Batches: what the API reads and commits, what the workflow's activities admit and watch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Batch, Principal, now
from db.queries.jobs import PLACE_SECONDS
from muniment.contracts.ingest_batch import BatchState
from muniment.errors import TooManyRequests


@dataclass(frozen=True)
class BatchCounts:
    """How a batch's files fare. `queued` have no place in the window yet; of a cancelled batch they
    never get one. `failed` counts what could not be taken in, too. `gone` were trashed or erased
    before their turn, or lost their job with it."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    gone: int = 0


@dataclass(frozen=True)
class WaitingItem:
    number: int
    file_id: UUID


@dataclass(frozen=True)
class WorkingItem:
    """A file of the batch whose job has not ended."""

    file_id: UUID
    version_id: UUID
    job_id: UUID
    workflow_id: str
    is_own: bool


@dataclass(frozen=True)
class UnstartedBatch:
    tenant_id: UUID
    batch_id: UUID


@dataclass(frozen=True)
class OpenBatch:
    """A batch that Temporal took and that has not ended."""

    tenant_id: UUID
    batch_id: UUID
    workflow_id: str


# ── under the caller's rights ───────────────────────────────────────────────────────────────────


async def require_place(session: AsyncSession, most: int) -> None:
    """Raises TooManyRequests where the tenant has `most` batches that have not ended: each is a workflow,
    and admits a window of jobs by itself. Those that begin at once do not see each other."""
    found = await session.scalar(
        text(
            "SELECT count(*) FROM (SELECT FROM batch WHERE tenant_id = (SELECT current_tenant())"
            " AND finished_at IS NULL LIMIT :most) open"
        ),
        {"most": most},
    )
    if (found or 0) >= most:
        raise TooManyRequests(
            f"{most} batches of the tenant have not ended",
            remedy="Wait until some have, cancel some, name more files in each, or ask the operator to"
            " raise MUNIMENT_API__MAX_OPEN_BATCHES.",
            wait_seconds=PLACE_SECONDS,
        )


async def writable_files(session: AsyncSession, file_ids: Sequence[UUID]) -> set[UUID]:
    """Which of them are there and may be written by the caller."""
    rows = await session.execute(
        text(
            "SELECT file.id FROM file WHERE file.id = ANY(:ids)"
            " AND file.state NOT IN ('trashed', 'restricted', 'erasing', 'erased')"
            " AND file.id IN (SELECT visible FROM visible_files('write') AS visible)"
        ),
        {"ids": list(file_ids)},
    )
    return {row.id for row in rows}


async def add_items(session: AsyncSession, batch: Batch, file_ids: Sequence[UUID]) -> None:
    await session.execute(
        text(
            "INSERT INTO batch_item (batch_id, number, tenant_id, file_id, object_size, is_own)"
            " SELECT :batch_id, item.ordinality, :tenant_id, item.id, 0, false"
            " FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS item (id, ordinality)"
        ),
        {"batch_id": batch.id, "tenant_id": batch.tenant_id, "ids": list(file_ids)},
    )


async def get_batch(session: AsyncSession, batch_id: UUID) -> Batch | None:
    """The batch, if it is the caller's own or the caller an administrator (or the system)."""
    found = await session.execute(select(Batch).where(col(Batch.id) == batch_id, _visible()))
    return found.scalar_one_or_none()


async def list_batches(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Batch]:
    """Newest first, those after the given one."""
    query = select(Batch).where(_visible())
    if after is not None:
        query = query.where(tuple_(col(Batch.created_at), col(Batch.id)) < tuple_(*after))
    query = query.order_by(col(Batch.created_at).desc(), col(Batch.id).desc()).limit(limit)
    return list((await session.execute(query)).scalars())


async def counts_of(session: AsyncSession, batch_ids: Sequence[UUID]) -> dict[UUID, BatchCounts]:
    """Counted from the jobs themselves, so that the two never differ."""
    rows = await session.execute(
        text(
            "SELECT batch_item.batch_id,"
            " count(*) FILTER (WHERE admitted_at IS NULL) AS queued,"
            " count(*) FILTER (WHERE job.state IN ('queued', 'running', 'paused')) AS running,"
            " count(*) FILTER (WHERE job.state = 'waiting') AS waiting,"
            " count(*) FILTER (WHERE job.state = 'completed') AS done,"
            " count(*) FILTER (WHERE job.state = 'failed' OR batch_item.problem IS NOT NULL) AS failed,"
            " count(*) FILTER (WHERE job.state = 'cancelled') AS cancelled,"
            " count(*) FILTER (WHERE admitted_at IS NOT NULL AND job.id IS NULL"
            " AND batch_item.problem IS NULL) AS gone"
            " FROM batch_item LEFT JOIN job ON job.id = batch_item.job_id"
            " WHERE batch_item.batch_id = ANY(:ids) GROUP BY batch_item.batch_id"
        ),
        {"ids": list(batch_ids)},
    )
    counted = {row["batch_id"]: dict(row) for row in rows.mappings()}
    for counts in counted.values():
        del counts["batch_id"]
    return {batch_id: BatchCounts(**counts) for batch_id, counts in counted.items()}


def _visible() -> ColumnElement[bool]:
    principal = select(func.current_principal()).scalar_subquery()
    is_admin = (
        select(col(Principal.is_admin))
        .where(col(Principal.id) == func.current_principal())
        .scalar_subquery()
    )
    return principal.is_(None) | (col(Batch.requested_by) == principal) | is_admin


# ── as the system ───────────────────────────────────────────────────────────────────────────────


async def unstarted_batches(
    session: AsyncSession, min_age: timedelta, max_rows: int = 100
) -> list[UnstartedBatch]:
    """Batches of all tenants, committed that long ago and not started; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id, batch_id FROM unstarted_batches(:min_age, :max_rows)"),
        {"min_age": min_age, "max_rows": max_rows},
    )
    return [UnstartedBatch(row.tenant_id, row.batch_id) for row in rows]


async def open_batches(
    session: AsyncSession, min_age: timedelta, after: UUID | None = None, max_rows: int = 100
) -> list[OpenBatch]:
    """Batches of all tenants, started that long ago and not ended, those after the given one; needs
    no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, batch_id, workflow_id"
            " FROM open_batches(:min_age, CAST(:after AS uuid), :max_rows)"
        ),
        {"min_age": min_age, "after": after, "max_rows": max_rows},
    )
    return [OpenBatch(row.tenant_id, row.batch_id, row.workflow_id) for row in rows]


async def mark_batch_started(session: AsyncSession, batch_id: UUID, run_id: str) -> None:
    """Notes that Temporal took the batch; the first to say so stays."""
    await session.execute(
        update(Batch)
        .where(col(Batch.id) == batch_id)
        .values(
            started_at=func.coalesce(col(Batch.started_at), now()),
            run_id=func.coalesce(col(Batch.run_id), run_id),
        )
    )


async def record_state(session: AsyncSession, batch_id: UUID, state: BatchState) -> bool:
    """Whether the batch had not ended before: an end is final. With it goes the name of the object
    that an unfinished listing came to."""
    values: dict[str, object] = {"state": state}
    if state.is_terminal:
        values |= {"finished_at": now(), "listed_to": None}
    written = await session.execute(
        update(Batch)
        .where(col(Batch.id) == batch_id, col(Batch.finished_at).is_(None))
        .values(**values)
        .returning(col(Batch.id))
    )
    return written.scalar_one_or_none() is not None


async def next_items(session: AsyncSession, batch_id: UUID, limit: int) -> list[WaitingItem]:
    """The next files that have no place yet, in order; locked. Objects that are to become files are
    not among them."""
    rows = await session.execute(
        text(
            "SELECT number, file_id FROM batch_item WHERE batch_id = :batch_id"
            " AND admitted_at IS NULL AND file_id IS NOT NULL ORDER BY number LIMIT :limit FOR UPDATE"
        ),
        {"batch_id": batch_id, "limit": limit},
    )
    return [WaitingItem(row.number, row.file_id) for row in rows]


async def has_waiting_items(session: AsyncSession, batch_id: UUID) -> bool:
    """Whether a file has no place yet, or an object is no file yet."""
    waiting = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM batch_item WHERE batch_id = :batch_id"
            " AND admitted_at IS NULL)"
        ),
        {"batch_id": batch_id},
    )
    return bool(waiting)


async def admit_item(
    session: AsyncSession, batch_id: UUID, number: int, job_id: UUID | None, *, is_own: bool
) -> None:
    await session.execute(
        text(
            "UPDATE batch_item SET admitted_at = now(), job_id = :job_id, is_own = :is_own"
            " WHERE batch_id = :batch_id AND number = :number"
        ),
        {"batch_id": batch_id, "number": number, "job_id": job_id, "is_own": is_own},
    )


async def working_items(
    session: AsyncSession, batch_id: UUID, besides: Sequence[UUID]
) -> list[WorkingItem]:
    """Files of the batch that are at work, besides those of the given jobs."""
    rows = await session.execute(
        text(
            "SELECT job.file_id, job.version_id, job.id AS job_id, job.workflow_id,"
            " batch_item.is_own FROM batch_item JOIN job ON job.id = batch_item.job_id"
            " WHERE batch_item.batch_id = :batch_id AND job.version_id IS NOT NULL"
            " AND job.state IN ('queued', 'running', 'paused') AND NOT (job.id = ANY(:besides))"
            " ORDER BY batch_item.number"
        ),
        {"batch_id": batch_id, "besides": list(besides)},
    )
    return [WorkingItem(**row) for row in rows.mappings()]


async def jobs_over(session: AsyncSession, job_ids: Sequence[UUID]) -> list[UUID]:
    """Which of the jobs ended, wait for a person, or are no longer there."""
    rows = await session.execute(
        text(
            "SELECT id FROM job WHERE id = ANY(:ids) AND state IN ('queued', 'running', 'paused')"
        ),
        {"ids": list(job_ids)},
    )
    at_work = {row.id for row in rows}
    return [job_id for job_id in job_ids if job_id not in at_work]

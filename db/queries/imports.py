"""Objects of a source on their way to being files: what is listed, taken in, or left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Batch, Principal, now
from muniment.errors import DatabaseTooSlow

_MOST_SUCCESSORS = 5


@dataclass(frozen=True)
class ListedObject:
    """As it is noted; one with a problem is never read."""

    key: str
    size_bytes: int
    problem: str | None


@dataclass(frozen=True)
class UntakenObject:
    number: int
    key: str
    size_bytes: int


@dataclass(frozen=True)
class LeftOut:
    """An object that did not become a file, and the problem that kept it from it."""

    name: str
    problem: str


async def note_page(
    session: AsyncSession, batch_id: UUID, after: str | None, page: Sequence[ListedObject]
) -> bool:
    """Appends the page that comes after that object. False, and nothing is noted, where another
    attempt has listed on from there already, or the batch has ended."""
    batch = await session.scalar(
        select(Batch)
        .where(col(Batch.id) == batch_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if batch is None or batch.listed_at is not None or batch.finished_at is not None:
        return False
    if batch.listed_to != after:
        return False
    await session.execute(
        text(
            "INSERT INTO batch_item (batch_id, number, tenant_id, object_key, object_size, problem,"
            " admitted_at, is_own) SELECT :batch_id, :before + item.ordinality, :tenant_id,"
            " item.key, item.size, item.problem,"
            " CASE WHEN item.problem IS NULL THEN NULL ELSE now() END, false"
            " FROM unnest(CAST(:keys AS varchar[]), CAST(:sizes AS bigint[]),"
            " CAST(:problems AS varchar[])) WITH ORDINALITY"
            " AS item (key, size, problem, ordinality)"
        ),
        {
            "batch_id": batch.id,
            "before": batch.total,
            "tenant_id": batch.tenant_id,
            "keys": [each.key for each in page],
            "sizes": [each.size_bytes for each in page],
            "problems": [each.problem for each in page],
        },
    )
    batch.total += len(page)
    batch.listed_to = page[-1].key
    return True


async def finish_listing(
    session: AsyncSession, batch_id: UUID, *, truncated: bool = False, problem: str | None = None
) -> None:
    """All objects are known; the name of the last one is kept no longer than the others."""
    await session.execute(
        update(Batch)
        .where(col(Batch.id) == batch_id, col(Batch.listed_at).is_(None))
        .values(listed_at=now(), listed_to=None, truncated=truncated, problem=problem)
    )


async def untaken_objects(session: AsyncSession, batch_id: UUID, limit: int) -> list[UntakenObject]:
    """The next objects that are no files yet, in order."""
    rows = await session.execute(
        text(
            "SELECT number, object_key, object_size FROM batch_item WHERE batch_id = :batch_id"
            " AND admitted_at IS NULL AND file_id IS NULL ORDER BY number LIMIT :limit"
        ),
        {"batch_id": batch_id, "limit": limit},
    )
    return [UntakenObject(row.number, row.object_key, row.object_size) for row in rows]


async def keep_requester(session: AsyncSession, batch_id: UUID) -> UUID:
    """Who asked for the batch, or was handed it since, and is not deleted before the end of the
    transaction. Whoever is deleted is locked first: so here, and the batch is read once more after
    the wait, since it may have been handed over meanwhile."""
    requester = select(col(Batch.requested_by)).where(col(Batch.id) == batch_id)
    expected = (await session.execute(requester)).scalar_one()
    for _ in range(_MOST_SUCCESSORS):
        await session.execute(
            select(col(Principal.id))
            .where(col(Principal.id) == expected)
            .with_for_update(read=True, key_share=True)
        )
        found = (await session.execute(requester)).scalar_one()
        if found == expected:
            return found
        expected = found
    raise DatabaseTooSlow("the batch was handed over again and again")


async def lock_untaken(session: AsyncSession, batch_id: UUID, number: int) -> bool:
    """Whether the object is no file yet; then nobody else makes one of it before the end of the
    transaction."""
    found = await session.scalar(
        text(
            "SELECT number FROM batch_item WHERE batch_id = :batch_id AND number = :number"
            " AND admitted_at IS NULL AND file_id IS NULL FOR UPDATE"
        ),
        {"batch_id": batch_id, "number": number},
    )
    return found is not None


async def set_file(
    session: AsyncSession, batch_id: UUID, number: int, file_id: UUID, job_id: UUID | None
) -> None:
    """What the object became. With a job of the batch's own it has its place in the window; without
    one it comes up as a file that was named."""
    await session.execute(
        text(
            "UPDATE batch_item SET file_id = :file_id, job_id = :job_id,"
            " is_own = CAST(:job_id AS uuid) IS NOT NULL,"
            " admitted_at = CASE WHEN CAST(:job_id AS uuid) IS NULL THEN NULL ELSE now() END"
            " WHERE batch_id = :batch_id AND number = :number"
        ),
        {"batch_id": batch_id, "number": number, "file_id": file_id, "job_id": job_id},
    )


async def leave_out(session: AsyncSession, batch_id: UUID, number: int, problem: str) -> None:
    await session.execute(
        text(
            "UPDATE batch_item SET problem = :problem, admitted_at = now()"
            " WHERE batch_id = :batch_id AND number = :number AND file_id IS NULL"
        ),
        {"batch_id": batch_id, "number": number, "problem": problem},
    )


async def left_out(session: AsyncSession, batch_id: UUID, limit: int) -> list[LeftOut]:
    """The first objects that did not become files."""
    rows = await session.execute(
        text(
            "SELECT object_key, problem FROM batch_item WHERE batch_id = :batch_id"
            " AND problem IS NOT NULL ORDER BY number LIMIT :limit"
        ),
        {"batch_id": batch_id, "limit": limit},
    )
    return [LeftOut(row.object_key, row.problem) for row in rows]


async def problems_of(
    session: AsyncSession, batch_ids: Sequence[UUID]
) -> dict[UUID, dict[str, int]]:
    """How many objects each problem kept from being files, by batch."""
    rows = await session.execute(
        text(
            "SELECT batch_id, problem, count(*) AS objects FROM batch_item"
            " WHERE batch_id = ANY(:ids) AND problem IS NOT NULL GROUP BY batch_id, problem"
            " ORDER BY problem"
        ),
        {"ids": list(batch_ids)},
    )
    problems: dict[UUID, dict[str, int]] = {}
    for row in rows:
        problems.setdefault(row.batch_id, {})[row.problem] = row.objects
    return problems

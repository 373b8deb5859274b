"""Requests of people about what there is of them: asked for, decided, told and, once their time is over,
without the words that say who they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, File, SubjectDecision, SubjectRequest, SubjectRequestItem, now
from db.queries.subject_search import UNTOLD
from muniment.contracts.subject_requests import ItemState, SubjectState
from muniment.objects import SealedBlob

BLOB_KIND = "subject-request"
"""Of the keys that seal who the person is, and of exports."""
EXPORT_ROLE = "subject-export"
"""How the versions that an export has refer to it: so it dies with the first of them that is erased."""
LONGEST_OPEN = timedelta(days=90)
"""So long a request waits for a person."""
_MOST_FOUND = 100


@dataclass(frozen=True)
class UnstartedRequest:
    tenant_id: UUID
    request_id: UUID


@dataclass(frozen=True)
class SpentRequest:
    tenant_id: UUID
    request_id: UUID
    text_key_id: UUID | None
    export_blob_id: UUID | None


@dataclass(frozen=True)
class ItemDetail:
    """What was found. `name` is None of a file that is to be erased, or was."""

    item: SubjectRequestItem
    name: str | None


async def add_request(session: AsyncSession, made: SubjectRequest, key: SealedBlob) -> None:
    session.add(_blob(made.tenant_id, key))
    await session.flush()
    session.add(made)
    await session.flush()


def _blob(tenant_id: UUID, sealed: SealedBlob) -> Blob:
    return Blob(
        id=sealed.blob_id,
        tenant_id=tenant_id,
        kind=BLOB_KIND,
        size=sealed.size,
        sha256=sealed.sha256,
        created_at=now(),
    )


async def lock_requests(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction ends nobody else makes one of the tenant's."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('subject_request:' || :id, 0))"),
        {"id": str(tenant_id)},
    )


async def count_at_work(session: AsyncSession) -> int:
    """Of the tenant's: those that wait for a person or a hold keep nobody waiting."""
    found = await session.scalar(
        select(func.count()).where(
            col(SubjectRequest.state).in_([SubjectState.FINDING, SubjectState.EXPORTING])
        )
    )
    return found or 0


async def get_request(
    session: AsyncSession, request_id: UUID, *, for_update: bool = False
) -> SubjectRequest | None:
    statement = select(SubjectRequest).where(col(SubjectRequest.id) == request_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_requests(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[SubjectRequest]:
    """Newest first, behind `after` (time, id)."""
    order = tuple_(col(SubjectRequest.created_at), col(SubjectRequest.id))
    statement = select(SubjectRequest).order_by(
        col(SubjectRequest.created_at).desc(), col(SubjectRequest.id).desc()
    )
    if after is not None:
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def list_items(
    session: AsyncSession,
    request_id: UUID,
    *,
    limit: int,
    after: UUID | None = None,
    state: ItemState | None = None,
) -> list[ItemDetail]:
    """By the ids of the files, behind that one; of one state or of any."""
    statement = (
        select(SubjectRequestItem, col(File.name), col(File.state))
        .join(File, col(File.id) == col(SubjectRequestItem.file_id))
        .where(col(SubjectRequestItem.request_id) == request_id)
        .order_by(col(SubjectRequestItem.file_id))
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(col(SubjectRequestItem.file_id) > after)
    if state is not None:
        statement = statement.where(col(SubjectRequestItem.state) == state)
    return [
        ItemDetail(item, None if state in UNTOLD else name)
        for item, name, state in (await session.execute(statement)).all()
    ]


async def counts_of(
    session: AsyncSession, request_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[str, int]]:
    """By request and state, how many files."""
    rows = await session.execute(
        select(col(SubjectRequestItem.request_id), col(SubjectRequestItem.state), func.count())
        .where(col(SubjectRequestItem.request_id).in_(request_ids))
        .group_by(col(SubjectRequestItem.request_id), col(SubjectRequestItem.state))
    )
    found: dict[UUID, dict[str, int]] = {request_id: {} for request_id in request_ids}
    for request_id, state, count in rows:
        found[request_id][state] = count
    return found


async def decisions_of(
    session: AsyncSession, request_ids: Sequence[UUID]
) -> Mapping[UUID, SubjectDecision]:
    rows = await session.scalars(
        select(SubjectDecision).where(col(SubjectDecision.request_id).in_(request_ids))
    )
    return {row.request_id: row for row in rows}


async def exclude(session: AsyncSession, request_id: UUID, file_ids: Sequence[UUID]) -> int:
    """Those of the files that were found; how many."""
    rows = await session.execute(
        text(
            "UPDATE subject_request_item SET state = 'excluded' WHERE request_id = :request_id"
            " AND file_id = ANY(:file_ids) AND state = 'found' RETURNING file_id"
        ),
        {"request_id": request_id, "file_ids": list(file_ids)},
    )
    return len(rows.all())


async def items_in(
    session: AsyncSession, request_id: UUID, state: ItemState, *, limit: int
) -> Sequence[SubjectRequestItem]:
    """Some of those, by the ids of their files."""
    statement = (
        select(SubjectRequestItem)
        .where(
            col(SubjectRequestItem.request_id) == request_id,
            col(SubjectRequestItem.state) == state,
        )
        .order_by(col(SubjectRequestItem.file_id))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def mark_started(session: AsyncSession, request_id: UUID) -> None:
    await session.execute(
        text("UPDATE subject_request SET started_at = now() WHERE id = :id"), {"id": request_id}
    )


async def unstarted(session: AsyncSession, min_age: timedelta) -> list[UnstartedRequest]:
    """Of all tenants: those that no workflow is known to be at; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id, request_id FROM unstarted_subject_requests(:min_age, :max_rows)"),
        {"min_age": min_age, "max_rows": _MOST_FOUND},
    )
    return [UnstartedRequest(**row) for row in rows.mappings()]


async def spent(session: AsyncSession, after: UUID | None) -> list[SpentRequest]:
    """Those of all tenants whose words and exports are to go, behind the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, request_id, text_key_id, export_blob_id"
            " FROM spent_subject_requests(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": _MOST_FOUND},
    )
    return [SpentRequest(**row) for row in rows.mappings()]


async def condemn_blobs(session: AsyncSession, blob_ids: Sequence[UUID]) -> None:
    """They are about to be destroyed."""
    await session.execute(
        text(
            "UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()) WHERE id = ANY(:blob_ids)"
        ),
        {"blob_ids": list(blob_ids)},
    )


async def forget_words(session: AsyncSession, request_id: UUID, blob_ids: Sequence[UUID]) -> None:
    """Who the person is, and the export: their blobs are destroyed."""
    await session.execute(
        text("DELETE FROM blob_reference WHERE blob_id = ANY(:blob_ids)"),
        {"blob_ids": list(blob_ids)},
    )
    await session.execute(
        text(
            "UPDATE subject_request SET text_key_id = NULL, subject = NULL, export_blob_id = NULL"
            " WHERE id = :id"
        ),
        {"id": request_id},
    )


async def forget_exports(session: AsyncSession, file_id: UUID) -> None:
    """Exports that have the file: nothing refers to them but its own versions from here on, so that their
    keys die with its. The requests are told to have none."""
    await session.execute(
        text(
            """
            WITH doomed AS (
                SELECT DISTINCT blob_id FROM blob_reference
                WHERE role = :role
                  AND version_id IN (SELECT id FROM file_version WHERE file_id = :file_id)
            ), forgotten AS (
                UPDATE subject_request SET export_blob_id = NULL
                WHERE export_blob_id IN (SELECT blob_id FROM doomed)
            )
            DELETE FROM blob_reference
            WHERE blob_id IN (SELECT blob_id FROM doomed)
              AND version_id NOT IN (SELECT id FROM file_version WHERE file_id = :file_id)
            """
        ),
        {"role": EXPORT_ROLE, "file_id": file_id},
    )

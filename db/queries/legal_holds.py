"""Legal holds: matters, their items and their custodians.

A hold keeps a file that an item names, that lies in a collection which an item names, or that came out of
such a file (`db.queries.preservation`). Files that fit the terms of a query or a subject are written down
when the item is added, and again at each review.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import AuditEvent, LegalHold, LegalHoldCustodian, LegalHoldFile, LegalHoldItem

ReadT = TypeVar("ReadT")

MAX_ITEMS = 1_000
"""Of a matter: a review looks for the files of each."""
MAX_REMINDERS = 52
"""After so many the custodian is reminded no more; the matter shows that it never answered."""
MOST_ERASURES = 100
"""That are told of a change at once. The others look by themselves."""
_MOST_UNSTARTED = 100


class ItemKind(StrEnum):
    FILE = "file"
    COLLECTION = "collection"
    QUERY = "query"
    SUBJECT = "subject"


@dataclass(frozen=True)
class UnstartedHold:
    tenant_id: UUID
    hold_id: UUID


@dataclass(frozen=True)
class Notice:
    """What a custodian is told of a matter, and what became of it."""

    hold_id: UUID
    matter: str
    notified_at: datetime | None
    acknowledged_at: datetime | None


async def get_hold(
    session: AsyncSession, hold_id: UUID, *, for_update: bool = False
) -> LegalHold | None:
    statement = select(LegalHold).where(col(LegalHold.id) == hold_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def is_review_due(session: AsyncSession, hold_id: UUID, as_of: datetime) -> bool:
    """As the row was committed; it is not locked."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM legal_hold WHERE id = :hold_id AND released_at IS NULL"
            " AND reviewed_at + make_interval(days => review_days) <= :as_of)"
        ),
        {"hold_id": hold_id, "as_of": as_of},
    )
    return bool(found.scalar_one())


async def list_holds(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[LegalHold]:
    """Newest first, behind `after` (time, id)."""
    order = tuple_(col(LegalHold.created_at), col(LegalHold.id))
    statement = select(LegalHold).order_by(
        col(LegalHold.created_at).desc(), col(LegalHold.id).desc()
    )
    if after is not None:
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def list_items(
    session: AsyncSession,
    hold_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[LegalHoldItem]:
    """Newest first, behind `after` (time, id)."""
    order = tuple_(col(LegalHoldItem.created_at), col(LegalHoldItem.id))
    statement = (
        select(LegalHoldItem)
        .where(col(LegalHoldItem.hold_id) == hold_id)
        .order_by(col(LegalHoldItem.created_at).desc(), col(LegalHoldItem.id).desc())
    )
    if after is not None:
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def count_items(session: AsyncSession, hold_id: UUID) -> int:
    found = await session.scalar(select(func.count()).where(col(LegalHoldItem.hold_id) == hold_id))
    return found or 0


async def custodians_of(
    session: AsyncSession, hold_ids: Sequence[UUID]
) -> Sequence[LegalHoldCustodian]:
    """In the order of their ids."""
    statement = (
        select(LegalHoldCustodian)
        .where(col(LegalHoldCustodian.hold_id).in_(hold_ids))
        .order_by(col(LegalHoldCustodian.principal_id))
    )
    return (await session.scalars(statement)).all()


async def lock_custodian(
    session: AsyncSession, hold_id: UUID, principal_id: UUID
) -> LegalHoldCustodian | None:
    statement = (
        select(LegalHoldCustodian)
        .where(
            col(LegalHoldCustodian.hold_id) == hold_id,
            col(LegalHoldCustodian.principal_id) == principal_id,
        )
        .with_for_update()
    )
    return (await session.scalars(statement)).one_or_none()


async def notices_for(session: AsyncSession, principal_id: UUID) -> list[Notice]:
    """Of matters that are not released, newest first."""
    rows = await session.execute(
        text(
            "SELECT legal_hold.id AS hold_id, matter, notified_at, acknowledged_at"
            " FROM legal_hold_custodian JOIN legal_hold ON legal_hold.id = hold_id"
            " WHERE principal_id = :principal_id AND released_at IS NULL"
            " ORDER BY legal_hold.created_at DESC LIMIT 200"
        ),
        {"principal_id": principal_id},
    )
    return [Notice(**row) for row in rows.mappings()]


async def count_files(session: AsyncSession, hold_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """Files written down, by hold; those of held collections are not among them."""
    rows = await session.execute(
        select(col(LegalHoldFile.hold_id), func.count())
        .where(col(LegalHoldFile.hold_id).in_(hold_ids))
        .group_by(col(LegalHoldFile.hold_id))
    )
    return {row[0]: row[1] for row in rows}


_EVENTS = text(
    """
    WITH RECURSIVE named AS (
        SELECT file_id AS id FROM legal_hold_file WHERE hold_id = :hold_id
        UNION SELECT file.id FROM legal_hold_item
              JOIN file ON file.collection_id = legal_hold_item.collection_id
              WHERE legal_hold_item.hold_id = :hold_id
    ),
    held AS (
        SELECT id FROM named
        -- What came out of a held file is held with it.
        UNION SELECT file.id FROM held JOIN file ON file.parent_id = held.id
    ),
    told AS (SELECT id FROM held UNION SELECT CAST(:hold_id AS uuid))
    SELECT audit_event.* FROM told
    JOIN audit_event ON audit_event.object_id = told.id
     AND audit_event.tenant_id = (SELECT current_tenant())
    JOIN legal_hold ON legal_hold.id = :hold_id AND audit_event.at >= legal_hold.created_at
    WHERE CAST(:after AS uuid) IS NULL OR audit_event.id > :after
    ORDER BY audit_event.id
    LIMIT :limit
    """
)


async def events_of(
    session: AsyncSession, hold_id: UUID, after: UUID | None, limit: int
) -> Sequence[AuditEvent]:
    """The matter's events and those of what it holds, since it was placed, the oldest first, behind that
    one."""
    statement = select(AuditEvent).from_statement(_EVENTS)
    values = {"hold_id": hold_id, "after": after, "limit": limit}
    return (await session.scalars(statement, values)).all()


_WRITE_DOWN = text(
    """
    INSERT INTO legal_hold_file (hold_id, file_id, tenant_id, item_id, created_at)
    SELECT :hold_id, file.id, file.tenant_id, :item_id, now()
    FROM file
    WHERE file.tenant_id = (SELECT current_tenant()) AND file.state <> 'erased'
      AND (CAST(:file_id AS uuid) IS NULL OR file.id = :file_id)
      AND (CAST(:name_contains AS text) IS NULL
           OR position(lower(:name_contains) IN lower(file.name)) > 0)
      AND (CAST(:media_type AS text) IS NULL OR file.media_type = :media_type)
      AND (CAST(:label AS text) IS NULL OR file.labels @> ARRAY[CAST(:label AS text)])
      AND (CAST(:metadata AS jsonb) IS NULL OR file.metadata @> CAST(:metadata AS jsonb))
      AND (CAST(:collection_id AS uuid) IS NULL OR file.collection_id = :collection_id)
      AND (CAST(:created_from AS timestamptz) IS NULL OR file.created_at >= :created_from)
      AND (CAST(:created_until AS timestamptz) IS NULL OR file.created_at < :created_until)
      -- A field that has the value, or a list with it.
      AND (CAST(:field AS text) IS NULL
           OR file.metadata -> CAST(:field AS text) @> to_jsonb(CAST(:value AS text)))
    ON CONFLICT DO NOTHING
    RETURNING file_id
    """
)
_TERMS = ("name_contains", "media_type", "label", "field", "value")


async def write_down_files(session: AsyncSession, item: LegalHoldItem) -> int:
    """The files that the item names or fits now, of the whole tenant, but those it has already; how many.
    Under `lock_holds`. A collection's are not written down."""
    if item.kind == ItemKind.COLLECTION:
        return 0
    terms = item.terms or {}
    metadata = terms.get("metadata")
    values = {name: terms.get(name) for name in _TERMS} | {
        "hold_id": item.hold_id,
        "item_id": item.id,
        "file_id": item.file_id,
        "metadata": None if metadata is None else json.dumps(metadata),
        "collection_id": _optional(UUID, terms.get("collection_id")),
        "created_from": _optional(datetime.fromisoformat, terms.get("created_from")),
        "created_until": _optional(datetime.fromisoformat, terms.get("created_until")),
    }
    rows = await session.execute(_WRITE_DOWN, values)
    return len(rows.all())


def _optional(read: Callable[[str], ReadT], value: JsonValue) -> ReadT | None:
    return None if value is None else read(str(value))


async def open_erasures(session: AsyncSession) -> tuple[str, ...]:
    """Workflow ids of the tenant's erasures that are at work or held, the oldest first."""
    rows = await session.execute(
        text(
            "SELECT job.workflow_id FROM erasure JOIN job ON job.id = erasure.job_id"
            " WHERE erasure.tenant_id = (SELECT current_tenant())"
            " AND erasure.state IN ('executing', 'held') AND job.finished_at IS NULL"
            " ORDER BY erasure.id LIMIT :most"
        ),
        {"most": MOST_ERASURES},
    )
    return tuple(rows.scalars())


async def emit(
    session: AsyncSession, tenant_id: UUID, event_type: str, data: dict[str, str]
) -> None:
    """An event for webhooks, in this transaction; ids only."""
    await session.execute(
        text("SELECT emit_webhook_event(:tenant_id, :type, NULL, CAST(:data AS jsonb))"),
        {"tenant_id": tenant_id, "type": event_type, "data": json.dumps(data)},
    )


async def mark_started(session: AsyncSession, hold_id: UUID) -> None:
    await session.execute(
        text("UPDATE legal_hold SET started_at = coalesce(started_at, now()) WHERE id = :id"),
        {"id": hold_id},
    )


async def unstarted(session: AsyncSession, min_age: timedelta) -> list[UnstartedHold]:
    """Of all tenants: those whose workflow nobody was able to start; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id, hold_id FROM unstarted_legal_holds(:min_age, :max_rows)"),
        {"min_age": min_age, "max_rows": _MOST_UNSTARTED},
    )
    return [UnstartedHold(**row) for row in rows.mappings()]

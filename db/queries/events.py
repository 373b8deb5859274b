"""A job's events: append-only rows, numbered per job in the order in which they were committed.

Whoever appends holds the job's row lock (the statement below takes it), so a reader of one job may
follow `seq` alone. A reader of the whole tenant follows `(x, id)`, see `tenant_events_after`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from muniment.contracts.jobs import JobEventKind
from muniment.errors import Conflict

MOST_EVENTS = 500
"""So many are read at a time: when fewer come, these were all."""


@dataclass(frozen=True)
class NewEvent:
    """An event to append; the payload states how things are, never what changed."""

    event: JobEventKind
    payload: dict[str, JsonValue]


@dataclass(frozen=True)
class Event:
    """An event as stored. `x` and `id` place it in the tenant's stream."""

    id: int
    x: int
    job_id: UUID
    seq: int
    event: JobEventKind
    payload: dict[str, JsonValue]
    created_at: datetime


@dataclass(frozen=True)
class TenantCursor:
    """A place in the tenant's stream, in commit order; the beginning by default. `era` tells the database
    from a restored one, whose transactions have the same numbers and are others (see `ERA`)."""

    x: int = 0
    id: int = 0
    era: str = ""


_COLUMNS = (
    "job_event.id, job_event.x::text::bigint AS x, job_event.job_id, job_event.seq,"
    " job_event.event, job_event.payload, job_event.created_at"
)

ERA = (
    "left(encode(sha256(convert_to(concat_ws(':', (SELECT system_identifier FROM pg_control_system()),"
    " (SELECT oid FROM pg_database WHERE datname = current_database()),"
    " left(pg_walfile_name(pg_current_wal_lsn()), 8)), 'UTF8')), 'hex'), 12)"
)
"""Another in another cluster, in another database of it, and from each recovery to a point in time and each
promotion of a standby on (PostgreSQL calls it the timeline): what was committed last may be lost by all."""

_APPEND = text(
    """
    WITH numbered AS (
        UPDATE job SET event_seq = event_seq + :count WHERE id = :job_id
        RETURNING tenant_id, id, event_seq
    )
    INSERT INTO job_event (tenant_id, job_id, seq, event, payload, created_at)
    SELECT numbered.tenant_id, numbered.id, numbered.event_seq - :count + item.ordinality,
           item.value ->> 'event', item.value -> 'payload', clock_timestamp()
    FROM numbered, jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS item
    RETURNING seq
    """
)


async def append_events(session: AsyncSession, job_id: UUID, events: Sequence[NewEvent]) -> int:
    """Appends the events in their order; the seq of the last one, 0 when there is no such job."""
    rows = await session.execute(
        _APPEND, {"job_id": job_id, "count": len(events), "events": events_json(events)}
    )
    return max((int(seq) for seq in rows.scalars()), default=0)


def events_json(events: Sequence[NewEvent]) -> str:
    """The events as the statements take them."""
    return json.dumps([{"event": event.event, "payload": event.payload} for event in events])


async def events_after(
    session: AsyncSession, job_id: UUID, seq: int, limit: int = MOST_EVENTS
) -> list[Event]:
    """Up to `limit` events of the job after `seq`, oldest first."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM job_event"  # noqa: S608 - a constant
            " WHERE job_id = :job_id AND seq > :seq ORDER BY seq LIMIT :limit"
        ),
        {"job_id": job_id, "seq": seq, "limit": limit},
    )
    return [_event(row) for row in rows.mappings()]


async def latest_seq(session: AsyncSession, job_id: UUID) -> int:
    """The seq of the job's newest event; 0 when there is none."""
    found = await session.execute(
        text("SELECT event_seq FROM job WHERE id = :job_id"), {"job_id": job_id}
    )
    return int(found.scalar_one_or_none() or 0)


async def oldest_seq(session: AsyncSession, job_id: UUID) -> int:
    """The seq of the oldest event still kept; 0 when there is none."""
    found = await session.execute(
        text("SELECT min(seq) FROM job_event WHERE job_id = :job_id"), {"job_id": job_id}
    )
    return int(found.scalar_one_or_none() or 0)


async def are_lost_after(session: AsyncSession, job_id: UUID, seq: int) -> bool:
    """Whether the job had events after `seq` and none of them is kept: its file was erased, or the database
    was restored (db/restored.py)."""
    found = await session.execute(
        text(
            "SELECT event_seq > :seq AND NOT EXISTS"
            " (SELECT 1 FROM job_event WHERE job_id = :job_id AND seq > :seq)"
            " FROM job WHERE id = :job_id"
        ),
        {"job_id": job_id, "seq": seq},
    )
    return bool(found.scalar_one_or_none())


async def was_given_out(session: AsyncSession, job_id: UUID, seq: int) -> bool:
    """Whether `seq` may be the id of what a viewer was sent: of an event, of a snapshot behind the newest
    one, or the one before the end's. Those of a gap (db/restored.py) were given out before the restore."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM job_event"
            " WHERE job_id = :job_id AND seq IN (:seq, CAST(:seq AS bigint) + 1))"
            " OR EXISTS (SELECT 1 FROM job WHERE id = :job_id AND event_seq = :seq)"
        ),
        {"job_id": job_id, "seq": seq},
    )
    return bool(found.scalar_one())


async def tenant_events_after(
    session: AsyncSession, cursor: TenantCursor, limit: int = MOST_EVENTS
) -> list[Event]:
    """Up to `limit` events of the tenant after the cursor, of files that the caller may read.

    Only rows of transactions older than every one still running are returned: a row that commits
    late then never appears behind a cursor that has passed it.
    """
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM job_event JOIN job ON job.id = job_event.job_id"  # noqa: S608 - a constant
            " WHERE job.file_id IN (SELECT visible FROM visible_files('read') AS visible)"
            " AND job_event.x < pg_snapshot_xmin(pg_current_snapshot())"
            " AND (job_event.x, job_event.id) > (CAST(:x AS text)::xid8, :id)"
            " ORDER BY job_event.x, job_event.id LIMIT :limit"
        ),
        {"x": str(cursor.x), "id": cursor.id, "limit": limit},
    )
    return [_event(row) for row in rows.mappings()]


async def tenant_stream_end(session: AsyncSession) -> TenantCursor:
    """The cursor after which everything that is not yet returned to anyone comes."""
    found = await session.execute(
        text(f"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, {ERA}")
    )
    x, era = found.one()
    return TenantCursor(x=int(x) - 1, id=2**63 - 1, era=str(era))


async def require_events_kept(
    session: AsyncSession, cursor: TenantCursor, end: TenantCursor | None = None
) -> None:
    """Raises Conflict where events of the tenant behind the cursor may be missing, for a cursor from before
    a restore, and for one behind `end`, which no stream has come to. Ask after reading: what is erased
    meanwhile is told."""
    if end is not None and (cursor.x, cursor.id) > (end.x, end.id):
        raise Conflict("the event id is none of this stream's", remedy=_ANEW)
    row = await session.execute(
        text(
            f"SELECT {ERA}, EXISTS (SELECT 1 FROM job_event_horizon"  # noqa: S608 - a constant
            " WHERE tenant_id = current_tenant()"
            " AND (x, event_id) > (CAST(:x AS text)::xid8, :id))"
        ),
        {"x": str(cursor.x), "id": cursor.id},
    )
    era, is_erased = row.one()
    if cursor.era != era:
        raise Conflict(
            "the event id is from before the database was restored, or of a former release",
            remedy=_ANEW,
        )
    if is_erased:
        raise Conflict("the events behind this id are no longer kept", remedy=_ANEW)


_ANEW = (
    "Open the stream without an id: it begins with a snapshot. The tenant's has the jobs that are not over:"
    " ask GET /v1/jobs for those that ended meanwhile."
)


def _event(row: RowMapping) -> Event:
    return Event(
        id=row["id"],
        x=row["x"],
        job_id=row["job_id"],
        seq=row["seq"],
        event=JobEventKind(row["event"]),
        payload=row["payload"],
        created_at=row["created_at"],
    )

"""Until when a tenant's `ExpireUploads` sleeps, and whether Temporal knows of it.

A row is written with the upload that needs it, and dropped when nothing is unfinished: who writes or drops
it has the tenant's turn, as who adds an upload has.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ASKED_ANEW = timedelta(seconds=30)
"""So long has a workflow that was started or woken to set the timer, before it is asked again."""


async def take_turns(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction's end nobody else looks at how much the tenant has open."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('upload:' || :tenant_id, 0))"),
        {"tenant_id": str(tenant_id)},
    )


async def want_timer(session: AsyncSession, tenant_id: UUID, expires_at: datetime) -> None:
    """Something expires then. Costs a look where a timer is set that wakes no later. The caller has the
    tenant's turn."""
    await session.execute(
        text(
            "INSERT INTO upload_timer AS timer (tenant_id, due_at) VALUES (:tenant_id, :expires_at)"
            " ON CONFLICT (tenant_id) DO UPDATE"
            " SET due_at = excluded.due_at, set_at = NULL, asked_at = NULL"
            " WHERE timer.due_at > excluded.due_at"
        ),
        {"tenant_id": tenant_id, "expires_at": expires_at},
    )


async def set_timer(session: AsyncSession, tenant_id: UUID) -> float | None:
    """In how many seconds the next of the tenant's uploads runs out of time, which its workflow sleeps
    until; none where nothing is unfinished. One of which a file is made waits for that."""
    await take_turns(session, tenant_id)
    found = await session.execute(
        text(
            "SELECT min(greatest(expires_at, joining_until)) AS due_at,"
            " extract(epoch FROM min(greatest(expires_at, joining_until)) - clock_timestamp())"
            " AS seconds FROM upload WHERE closed_at IS NULL"
        )
    )
    due_at, seconds = found.one()
    if due_at is None:
        await session.execute(
            text("DELETE FROM upload_timer WHERE tenant_id = :tenant_id"), {"tenant_id": tenant_id}
        )
        return None
    await session.execute(
        text(
            "INSERT INTO upload_timer (tenant_id, due_at, set_at)"
            " VALUES (:tenant_id, :due_at, now())"
            " ON CONFLICT (tenant_id) DO UPDATE"
            " SET due_at = excluded.due_at, set_at = excluded.set_at, asked_at = NULL"
        ),
        {"tenant_id": tenant_id, "due_at": due_at},
    )
    return max(0.0, float(seconds))


async def unset_timers(
    session: AsyncSession, overdue: timedelta, max_rows: int = 100
) -> list[UUID]:
    """Tenants whose timer Temporal does not know of, or which is late by so much, and nobody asked for
    just now; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id FROM unset_upload_timers(:overdue, :anew, :max_rows)"),
        {"overdue": overdue, "anew": ASKED_ANEW, "max_rows": max_rows},
    )
    return [row.tenant_id for row in rows]


async def claim_asking(session: AsyncSession, tenant_id: UUID) -> bool:
    """Whether the caller is to ask Temporal for the tenant's timer: of several workers one does."""
    claimed = await session.execute(
        text(
            "UPDATE upload_timer SET asked_at = now() WHERE tenant_id = :tenant_id"
            " AND (asked_at IS NULL OR asked_at < now() - CAST(:anew AS interval))"
            " RETURNING tenant_id"
        ),
        {"tenant_id": tenant_id, "anew": ASKED_ANEW},
    )
    return claimed.first() is not None

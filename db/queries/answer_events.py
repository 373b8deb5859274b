"""Events of answers under way: how whoever lost the connection goes on, at whichever process."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import AnswerEvent

KEPT = timedelta(minutes=10)
"""After that what an answer came to is told whole."""
FORGOTTEN_AT_ONCE = 1_000
BATCHES_AT_ONCE = 200


@dataclass(frozen=True)
class NewEvents:
    """Events from `seq` on, sealed together."""

    seq: int
    sealed: bytes


async def keep_alive(
    session: AsyncSession, message_id: UUID, tenant_id: UUID, events: NewEvents | None
) -> float | None:
    """Says that the answer is still made, and keeps its further events. How many seconds ago somebody last
    waited for it in another process; None where it was forgotten, deleted or ended: then nothing is kept."""
    watched = await session.execute(
        text(
            "UPDATE conversation_message SET alive_at = now()"
            " WHERE id = :message_id AND state = 'generating'"
            " RETURNING CAST(extract(epoch FROM now() - coalesce(watched_at, created_at)) AS float8)"
        ),
        {"message_id": message_id},
    )
    ago: float | None = watched.scalar_one_or_none()
    if ago is not None and events is not None:
        # What was committed without an answer is kept once more, with what came since.
        await session.execute(
            text(
                "INSERT INTO answer_event (message_id, seq, tenant_id, sealed, created_at)"
                " VALUES (:message_id, :seq, :tenant_id, :sealed, now())"
                " ON CONFLICT (message_id, seq) DO UPDATE SET sealed = excluded.sealed"
            ),
            {
                "message_id": message_id,
                "seq": events.seq,
                "tenant_id": tenant_id,
                "sealed": events.sealed,
            },
        )
    return ago


async def note_watching(session: AsyncSession, message_id: UUID) -> None:
    """Whoever makes it does so in another process."""
    await session.execute(
        text("UPDATE conversation_message SET watched_at = now() WHERE id = :message_id"),
        {"message_id": message_id},
    )


async def batches_after(
    session: AsyncSession, message_id: UUID, after: int
) -> Sequence[AnswerEvent]:
    """Those that hold events behind that one, in their order: of the one in which it lies too."""
    first = (
        select(col(AnswerEvent.seq))
        .where(col(AnswerEvent.message_id) == message_id, col(AnswerEvent.seq) <= after + 1)
        .order_by(col(AnswerEvent.seq).desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(AnswerEvent)
        .where(col(AnswerEvent.message_id) == message_id, col(AnswerEvent.seq) >= first)
        .order_by(col(AnswerEvent.seq))
        .limit(BATCHES_AT_ONCE)
    )
    return (await session.scalars(statement)).all()


async def forget_older(session: AsyncSession) -> int:
    """A part of the tenant's that were kept for long enough; how many."""
    rows = await session.execute(
        text(
            "DELETE FROM answer_event WHERE (message_id, seq) IN (SELECT message_id, seq"
            " FROM answer_event WHERE created_at < now() - CAST(:kept AS interval)"
            " ORDER BY created_at LIMIT :max_rows FOR UPDATE SKIP LOCKED) RETURNING seq"
        ),
        {"kept": KEPT, "max_rows": FORGOTTEN_AT_ONCE},
    )
    return len(rows.all())

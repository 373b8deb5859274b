"""Events on their way out: from the rows that triggers write to deliveries, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.audit import Act
from db.models import Webhook, WebhookDelivery, WebhookEvent, new_id, now
from muniment.contracts.deliver_webhook import (
    TEST_EVENT,
    Attempt,
    DeliveryState,
    Outcome,
    workflow_id,
)

CHANNEL = "muniment_webhook"
"""Notified when there is something to dispatch or to start."""
MAX_REPLAYED = 1_000
"""Deliveries of one replay of a range; whoever has more asks again."""
MAX_SHOWN_ATTEMPTS = 100


@dataclass(frozen=True)
class UndispatchedEvent:
    tenant_id: UUID
    event_id: UUID


@dataclass(frozen=True)
class Subscriber:
    """An endpoint that is to have an event, if its principal may see what it is about."""

    webhook_id: UUID
    principal_id: UUID


@dataclass(frozen=True)
class UnstartedDelivery:
    tenant_id: UUID
    delivery_id: UUID


@dataclass(frozen=True)
class OpenDelivery:
    """One that was started and has not ended."""

    tenant_id: UUID
    delivery_id: UUID
    round: int

    @property
    def workflow_id(self) -> str:
        return workflow_id(self.delivery_id, self.round)


@dataclass(frozen=True)
class OldEvent:
    tenant_id: UUID
    event_id: UUID
    occurred_at: datetime


# ── from events to deliveries ───────────────────────────────────────────────────────────────────


async def undispatched_events(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[UndispatchedEvent]:
    """Of all tenants, those after the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, event_id"
            " FROM undispatched_webhook_events(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": max_rows},
    )
    return [UndispatchedEvent(**row) for row in rows.mappings()]


async def subscribers(session: AsyncSession, event_id: UUID) -> list[Subscriber]:
    rows = await session.execute(
        text(
            "SELECT webhook.id AS webhook_id, webhook.principal_id FROM webhook_event"
            " JOIN webhook ON webhook.tenant_id = webhook_event.tenant_id"
            " AND webhook_event.type = ANY(webhook.events)"
            " WHERE webhook_event.id = :event_id AND webhook.enabled"
            " AND webhook.deleted_at IS NULL ORDER BY webhook.id"
        ),
        {"event_id": event_id},
    )
    return [Subscriber(**row) for row in rows.mappings()]


# In FROM the function is made part of the statement, which then looks at this one file.
_IS_VISIBLE = """
    CASE WHEN webhook_event.file_id IS NULL
         THEN (SELECT principal.is_admin AND principal.disabled_at IS NULL FROM principal
               WHERE principal.id = current_principal())
         ELSE EXISTS (SELECT FROM visible_files('read') AS visible(file_id)
                      WHERE visible.file_id = webhook_event.file_id)
    END
"""
VISIBILITY = f"SELECT {_IS_VISIBLE} FROM webhook_event WHERE webhook_event.id = :event_id"  # noqa: S608 - a constant
# An endpoint that answers nothing must not fill the house: above its limit an event is a dead letter.
_ADD = text(
    f"""
    INSERT INTO webhook_delivery (id, tenant_id, webhook_id, event_id, state, round, attempts,
                                  reason, created_at, finished_at)
    SELECT :id, webhook_event.tenant_id, :webhook_id, webhook_event.id,
           CASE WHEN is_full THEN 'failed' ELSE 'pending' END, 1, 0,
           CASE WHEN is_full THEN :overflow END, now(), CASE WHEN is_full THEN now() END
    FROM webhook_event, (
        SELECT count(*) >= :max_pending AS is_full
        FROM (
            SELECT FROM webhook_delivery
            WHERE webhook_id = :webhook_id AND state = 'pending' LIMIT :max_pending
        ) AS pending
    ) AS counted
    WHERE webhook_event.id = :event_id AND {_IS_VISIBLE}
    ON CONFLICT (webhook_id, event_id) DO NOTHING
    RETURNING state
    """  # noqa: S608 - a constant
)


async def add_delivery(
    session: AsyncSession, event_id: UUID, webhook_id: UUID, max_pending: int
) -> DeliveryState | None:
    """Under the rights of the endpoint's principal: nothing where it may not see what the event is
    about, where there is a delivery already, or where the endpoint was switched off meanwhile. Who adds
    to an endpoint counts what it has in turn."""
    locked = await session.execute(
        text(
            "SELECT id FROM webhook WHERE id = :webhook_id AND enabled AND deleted_at IS NULL"
            " FOR NO KEY UPDATE"
        ),
        {"webhook_id": webhook_id},
    )
    if locked.first() is None:
        return None
    added = await session.execute(
        _ADD,
        {
            "id": new_id(),
            "event_id": event_id,
            "webhook_id": webhook_id,
            "max_pending": max_pending,
            "overflow": Outcome.TOO_MANY_PENDING.value,
        },
    )
    state = added.scalar_one_or_none()
    return None if state is None else DeliveryState(state)


async def mark_dispatched(session: AsyncSession, event_id: UUID) -> None:
    await session.execute(
        text(
            "UPDATE webhook_event SET dispatched_at = coalesce(dispatched_at, now())"
            " WHERE id = :event_id"
        ),
        {"event_id": event_id},
    )


async def add_test(session: AsyncSession, webhook: Webhook) -> WebhookDelivery:
    """An event of its own for that endpoint alone, ready to be started."""
    event = WebhookEvent(
        tenant_id=webhook.tenant_id,
        type=TEST_EVENT,
        data={"webhook_id": str(webhook.id)},
        dispatched_at=now(),
    )
    session.add(event)
    await session.flush()
    delivery = WebhookDelivery(
        tenant_id=webhook.tenant_id,
        webhook_id=webhook.id,
        event_id=event.id,
        state=DeliveryState.PENDING.value,
    )
    session.add(delivery)
    await session.flush()
    await _wake(session)
    return delivery


async def _wake(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


# ── starting and ending ─────────────────────────────────────────────────────────────────────────


async def unstarted_deliveries(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[UnstartedDelivery]:
    """Of all tenants, those after the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, delivery_id"
            " FROM unstarted_webhook_deliveries(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": max_rows},
    )
    return [UnstartedDelivery(**row) for row in rows.mappings()]


async def delivery_and_type(
    session: AsyncSession, delivery_id: UUID
) -> tuple[WebhookDelivery, str] | None:
    """The delivery with the type of its event."""
    rows = await session.execute(
        select(WebhookDelivery, col(WebhookEvent.type))
        .join(WebhookEvent, col(WebhookEvent.id) == col(WebhookDelivery.event_id))
        .where(col(WebhookDelivery.id) == delivery_id)
    )
    found = rows.one_or_none()
    return None if found is None else (found[0], found[1])


async def mark_started(session: AsyncSession, delivery_id: UUID, delivery_round: int) -> None:
    await session.execute(
        text(
            "UPDATE webhook_delivery SET started_at = coalesce(started_at, now())"
            " WHERE id = :delivery_id AND round = :round"
        ),
        {"delivery_id": delivery_id, "round": delivery_round},
    )


async def delivery_at_work(
    session: AsyncSession, delivery_id: UUID, delivery_round: int, *, for_update: bool = False
) -> WebhookDelivery | None:
    """None where it is over, was started anew, or is gone with its endpoint."""
    delivery = await session.get(WebhookDelivery, delivery_id, with_for_update=for_update)
    if delivery is None or delivery.round != delivery_round:
        return None
    return delivery if delivery.state == DeliveryState.PENDING else None


async def is_visible(session: AsyncSession, event_id: UUID) -> bool:
    """Whether the transaction's principal may see what the event is about."""
    found = await session.execute(text(VISIBILITY), {"event_id": event_id})
    return bool(found.scalar_one_or_none())


async def record_attempt(
    session: AsyncSession,
    delivery: WebhookDelivery,
    number: int,
    attempt: Attempt,
    next_attempt_at: datetime | None,
) -> bool:
    """Of a locked delivery. Without a next attempt it is over. Whether an attempt was written down: one
    that was none is not, and another time the same is not."""
    delivery.attempts = number
    delivery.reason = attempt.outcome.value
    delivery.next_attempt_at = next_attempt_at
    if attempt.outcome is Outcome.DELIVERED:
        delivery.state = DeliveryState.DELIVERED.value
    elif next_attempt_at is None:
        delivery.state = DeliveryState.FAILED.value
    if delivery.state != DeliveryState.PENDING:
        delivery.finished_at = now()
    if attempt.at is None:
        return False
    written = await session.execute(
        text(
            "INSERT INTO webhook_attempt (delivery_id, round, number, tenant_id, at, outcome,"
            " status, duration_ms) VALUES (:delivery_id, :round, :number, :tenant_id, :at,"
            " :outcome, :status, :duration_ms) ON CONFLICT DO NOTHING RETURNING number"
        ),
        {
            "delivery_id": delivery.id,
            "round": delivery.round,
            "number": number,
            "tenant_id": delivery.tenant_id,
            "at": attempt.at,
            "outcome": attempt.outcome.value,
            "status": attempt.status,
            "duration_ms": attempt.duration_ms,
        },
    )
    return written.first() is not None


def end_of(delivery: WebhookDelivery) -> Act:
    """The audit event of a delivery that is over."""
    is_delivered = delivery.state == DeliveryState.DELIVERED
    return Act(
        "webhook.delivered" if is_delivered else "webhook.delivery_failed",
        "webhook_delivery",
        delivery.id,
        delivery.tenant_id,
        payload={
            "webhook_id": str(delivery.webhook_id),
            "event_id": str(delivery.event_id),
            "outcome": delivery.reason,
            "attempts": delivery.attempts,
            "round": delivery.round,
        },
    )


async def open_deliveries(
    session: AsyncSession, min_age: timedelta, after: UUID | None = None, max_rows: int = 100
) -> list[OpenDelivery]:
    """Of all tenants, those whose next attempt should have been that long ago; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, delivery_id, round"
            " FROM open_webhook_deliveries(:min_age, CAST(:after AS uuid), :max_rows)"
        ),
        {"min_age": min_age, "after": after, "max_rows": max_rows},
    )
    return [OpenDelivery(**row) for row in rows.mappings()]


async def old_events(
    session: AsyncSession, kept_for: timedelta, after: OldEvent | None = None, max_rows: int = 100
) -> list[OldEvent]:
    """Of all tenants, the oldest first, those after the given one of which no delivery is pending;
    needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, event_id, occurred_at FROM old_webhook_events("
            ":kept_for, CAST(:after_time AS timestamptz), CAST(:after AS uuid), :max_rows)"
        ),
        {
            "kept_for": kept_for,
            "after_time": after.occurred_at if after else None,
            "after": after.event_id if after else None,
            "max_rows": max_rows,
        },
    )
    return [OldEvent(**row) for row in rows.mappings()]


async def forget_event(session: AsyncSession, event_id: UUID) -> None:
    """With its deliveries and their attempts, unless one was replayed meanwhile."""
    await session.execute(
        text(
            "DELETE FROM webhook_event WHERE id = :event_id AND NOT EXISTS"
            " (SELECT FROM webhook_delivery WHERE event_id = :event_id AND state = 'pending')"
        ),
        {"event_id": event_id},
    )


# ── what people see, and replay ─────────────────────────────────────────────────────────────────

_SHOWN = """
    SELECT delivery.id, delivery.webhook_id, delivery.state, delivery.reason, delivery.round,
           delivery.attempts, delivery.next_attempt_at, delivery.created_at, delivery.finished_at,
           event.id AS event_id, event.type, event.occurred_at, event.data
    FROM webhook_delivery delivery JOIN webhook_event event ON event.id = delivery.event_id
    WHERE delivery.webhook_id = :webhook_id
"""


async def list_deliveries(
    session: AsyncSession,
    webhook_id: UUID,
    *,
    state: DeliveryState | None,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[RowMapping]:
    """Newest first."""
    at, delivery_id = after or (None, None)
    of_state = "" if state is None else " AND delivery.state = :state"
    rows = await session.execute(
        text(
            f"{_SHOWN}{of_state}"
            " AND (CAST(:at AS timestamptz) IS NULL OR (delivery.created_at, delivery.id)"
            " < (CAST(:at AS timestamptz), CAST(:delivery_id AS uuid)))"
            " ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT :limit"
        ),
        {
            "webhook_id": webhook_id,
            "at": at,
            "delivery_id": delivery_id,
            "limit": limit,
            **({} if state is None else {"state": state.value}),
        },
    )
    return rows.mappings().all()


async def show_delivery(
    session: AsyncSession, webhook_id: UUID, delivery_id: UUID
) -> RowMapping | None:
    rows = await session.execute(
        text(f"{_SHOWN} AND delivery.id = :delivery_id"),
        {"webhook_id": webhook_id, "delivery_id": delivery_id},
    )
    return rows.mappings().one_or_none()


async def list_attempts(session: AsyncSession, delivery_id: UUID) -> Sequence[RowMapping]:
    """Newest first, the last hundred."""
    rows = await session.execute(
        text(
            "SELECT round, number, at, outcome, status, duration_ms FROM webhook_attempt"
            " WHERE delivery_id = :delivery_id ORDER BY round DESC, number DESC LIMIT :limit"
        ),
        {"delivery_id": delivery_id, "limit": MAX_SHOWN_ATTEMPTS},
    )
    return rows.mappings().all()


async def room(session: AsyncSession, webhook_id: UUID, max_pending: int) -> int:
    """How many unfinished deliveries the endpoint may have besides; its row is locked."""
    found = await session.execute(
        text(
            "SELECT :max_pending - count(*) FROM (SELECT FROM webhook_delivery"
            " WHERE webhook_id = :webhook_id AND state = 'pending' LIMIT :max_pending) AS pending"
        ),
        {"webhook_id": webhook_id, "max_pending": max_pending},
    )
    return int(found.scalar_one())


_AGAIN = (
    "UPDATE webhook_delivery SET state = 'pending', round = round + 1, attempts = 0,"
    " reason = NULL, started_at = NULL, next_attempt_at = NULL, finished_at = NULL"
)


async def replay(session: AsyncSession, webhook_id: UUID, delivery_id: UUID) -> bool:
    """Has it delivered once more; False for one that is pending."""
    begun = await session.execute(
        text(
            f"{_AGAIN} WHERE id = :delivery_id AND webhook_id = :webhook_id"
            " AND state <> 'pending' RETURNING id"
        ),
        {"delivery_id": delivery_id, "webhook_id": webhook_id},
    )
    if begun.first() is None:
        return False
    await _wake(session)
    return True


@dataclass(frozen=True)
class ReplayRange:
    """Deliveries made from the one time on and before the other, oldest first, after the cursor."""

    begin: datetime
    end: datetime
    only_failed: bool
    max_rows: int
    after: tuple[datetime, UUID] | None = None


async def replay_range(
    session: AsyncSession, webhook_id: UUID, wanted: ReplayRange
) -> list[tuple[datetime, UUID]]:
    """Places of those that are delivered once more, in their order."""
    at, delivery_id = wanted.after or (None, None)
    of_state = "state = 'failed'" if wanted.only_failed else "state <> 'pending'"
    rows = await session.execute(
        text(
            f"WITH again AS ({_AGAIN} WHERE id IN ("  # noqa: S608 - a constant
            " SELECT id FROM webhook_delivery WHERE webhook_id = :webhook_id"
            f" AND created_at >= :begin AND created_at < :end AND {of_state}"
            " AND (CAST(:at AS timestamptz) IS NULL OR (created_at, id)"
            " > (CAST(:at AS timestamptz), CAST(:delivery_id AS uuid)))"
            " ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED)"
            " RETURNING created_at, id) SELECT created_at, id FROM again ORDER BY created_at, id"
        ),
        {
            "webhook_id": webhook_id,
            "begin": wanted.begin,
            "end": wanted.end,
            "at": at,
            "delivery_id": delivery_id,
            "limit": wanted.max_rows,
        },
    )
    replayed = [(row.created_at, row.id) for row in rows]
    if replayed:
        await _wake(session)
    return replayed

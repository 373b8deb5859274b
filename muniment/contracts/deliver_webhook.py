"""The `DeliverWebhook` workflow: one event is sent to one endpoint until that takes it, or until the
last attempt.

Histories carry ids, counts and outcomes: the address, the secrets and what is sent are read from rows
by the activity that sends.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field
from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "DeliverWebhook"
MAX_ATTEMPTS = 20
MAX_WAIT_SECONDS = 24 * 3600.0
"""The longest pause before an attempt: of the schedule, and of what a receiver asks for."""


class EventType(StrEnum):
    """What an endpoint can subscribe to; the triggers of migration 0013 write those of files,
    jobs and faults, `db.queries.legal_holds.emit` those of holds and erasures, `db.queries.tasks` those of
    tasks."""

    FILE_READY = "file.ready"
    FILE_FAILED = "file.failed"
    FILE_CANCELLED = "file.cancelled"
    FILE_QUARANTINED = "file.quarantined"
    FILE_REJECTED = "file.rejected"
    FILE_TRASHED = "file.trashed"
    FILE_RESTORED = "file.restored"
    FILE_ERASED = "file.erased"
    JOB_WAITING = "job.waiting"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    HOLD_PLACED = "hold.placed"
    HOLD_NOTICE = "hold.notice"
    HOLD_REMINDER = "hold.reminder"
    HOLD_RELEASED = "hold.released"
    ERASURE_HELD = "erasure.held"
    ERASURE_COMPLETED = "erasure.completed"
    TASK_OVERDUE = "task.overdue"
    INTEGRITY_FAULT_FOUND = "integrity.fault_found"
    INTEGRITY_FAULT_CLOSED = "integrity.fault_closed"


TEST_EVENT = "webhook.test"
"""Sent when somebody asks for it, to the endpoint that it was asked of, subscribed or not."""


class DeliveryState(StrEnum):
    """`failed` is the dead letter: nothing more is tried until somebody replays it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of an attempt, or why there was none.

    `refused`: answered, but not with 2xx; `address-not-allowed`: the name leads to an address to which
    nothing is sent; `endpoint-off`: it was deleted or switched off; `not-visible`: its owner may not
    see the file any more; `too-many-pending`: the endpoint had its limit of unfinished deliveries.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    REDIRECTED = "redirected"
    GONE = "gone"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    ADDRESS_NOT_ALLOWED = "address-not-allowed"
    ENDPOINT_OFF = "endpoint-off"
    NOT_VISIBLE = "not-visible"
    TOO_MANY_PENDING = "too-many-pending"
    CANCELLED = "cancelled"
    LOST = "lost"


FINAL_OUTCOMES = frozenset(
    (Outcome.DELIVERED, Outcome.GONE, Outcome.ENDPOINT_OFF, Outcome.NOT_VISIBLE)
)
"""After which no further attempt is made."""


class DeliverWebhookInput(Contract):
    """`round` counts replays, from 1. `delays_seconds`: the pause before each attempt."""

    tenant_id: UUID
    webhook_id: UUID
    delivery_id: UUID
    round: int
    delays_seconds: Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_ATTEMPTS)]


class AttemptInput(Contract):
    tenant_id: UUID
    webhook_id: UUID
    delivery_id: UUID
    round: int
    number: int


class Attempt(Contract):
    """`at` is null where nothing was sent. `revision`: which of the webhook's answered, since another
    address may have been set meanwhile. `retry_after_seconds`: what the receiver asked for, within
    MAX_WAIT_SECONDS."""

    outcome: Outcome
    at: datetime | None = None
    status: int | None = None
    duration_ms: int = 0
    revision: int | None = None
    retry_after_seconds: float | None = None


class RecordAttemptInput(Contract):
    """Without `next_attempt_at` the delivery is over."""

    tenant_id: UUID
    delivery_id: UUID
    round: int
    number: int
    attempt: Attempt
    next_attempt_at: datetime | None = None


def workflow_id(delivery_id: UUID, delivery_round: int) -> str:
    return f"deliver-webhook-{delivery_id}-{delivery_round}"


class WebhookActivities(ABC):
    @activity.defn(name="send_webhook")
    @abstractmethod
    async def send_webhook(self, request: AttemptInput) -> Attempt:
        """One attempt. What the receiver or the way to it is at fault for is the result; what fails is
        ours, and is tried again without counting. An attempt whose worker died is made again: receivers
        tell repetitions by the id."""

    @activity.defn(name="record_attempt")
    @abstractmethod
    async def record_attempt(self, request: RecordAttemptInput) -> None:
        """The attempt's row, and what becomes of the delivery, in one transaction. Idempotent."""

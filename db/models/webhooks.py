"""Events that are sent out: to whom, signed with what, and what became of each."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, time_field


class Webhook(SQLModel, table=True):
    """An endpoint. It has the rights of the principal that made it. `disabled_reason` says why we
    switched it off; one that is deleted stays until its secrets are destroyed."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    principal_id: UUID = Field(foreign_key="principal.id")
    url: str
    description: str
    events: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    enabled: bool = True
    disabled_reason: str | None = None  # muniment.contracts.deliver_webhook.Outcome
    revision: int = 1
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    deleted_at: datetime | None = optional_time_field()


class WebhookSecret(SQLModel, table=True):
    """A key that signs, sealed as a blob. `expires_at` is set when another takes its place: until
    then both sign."""

    __tablename__ = "webhook_secret"

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    webhook_id: UUID = Field(foreign_key="webhook.id", index=True)
    scheme: str  # muniment.webhook_signing.SignatureScheme
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    public_key: str | None = None
    created_at: datetime = time_field()
    expires_at: datetime | None = optional_time_field()


class WebhookEvent(SQLModel, table=True):
    """Something that happened and that an endpoint subscribes to: written by triggers, in the
    transaction in which it happened. `data` holds ids and states. Without `file_id` it is for
    administrators."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        Index("ix_webhook_event_pending", "id", postgresql_where=text("dispatched_at IS NULL")),
        Index("ix_webhook_event_occurred_at", "occurred_at", "id"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    type: str  # muniment.contracts.deliver_webhook.EventType, or TEST_EVENT
    occurred_at: datetime = time_field()
    file_id: UUID | None = None
    data: dict[str, JsonValue] = Field(sa_column=Column(JSONB, nullable=False))
    dispatched_at: datetime | None = optional_time_field()


class WebhookDelivery(SQLModel, table=True):
    """An event on its way to an endpoint. `round` counts replays, from 1, `attempts` those of the
    present round; `reason` is what the last one came to."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index(
            "ix_webhook_delivery_created", "webhook_id", text("created_at DESC"), text("id DESC")
        ),
        Index(
            "ix_webhook_delivery_state",
            "webhook_id",
            "state",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index(
            "ix_webhook_delivery_unstarted",
            "id",
            postgresql_where=text("state = 'pending' AND started_at IS NULL"),
        ),
        Index("ix_webhook_delivery_open", "webhook_id", postgresql_where=text("state = 'pending'")),
        Index(
            "ix_webhook_delivery_pending_since",
            text("coalesce(started_at, created_at)"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_webhook_delivery_failed", "webhook_id", postgresql_where=text("state = 'failed'")
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    webhook_id: UUID = Field(foreign_key="webhook.id", ondelete="CASCADE")
    event_id: UUID = Field(foreign_key="webhook_event.id", ondelete="CASCADE", index=True)
    state: str  # muniment.contracts.deliver_webhook.DeliveryState
    round: int = 1
    attempts: int = 0
    reason: str | None = None  # muniment.contracts.deliver_webhook.Outcome
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    next_attempt_at: datetime | None = optional_time_field()
    finished_at: datetime | None = optional_time_field()


class WebhookAttempt(SQLModel, table=True):
    """What an endpoint answered, and how long it took; nothing of its answer's body."""

    __tablename__ = "webhook_attempt"

    delivery_id: UUID = Field(
        foreign_key="webhook_delivery.id", primary_key=True, ondelete="CASCADE"
    )
    round: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    at: datetime = time_field()
    outcome: str  # muniment.contracts.deliver_webhook.Outcome
    status: int | None = None
    duration_ms: int

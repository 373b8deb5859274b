"""Legal holds: a matter, what it holds, and who must know of it. Rows are evidence and are never deleted."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class LegalHold(SQLModel, table=True):
    """A matter. It holds until it is released, and then until `cooling_ends_at`. `reviewed_at`: when its
    queries and subjects were last looked for. `confirmed_at`: when somebody last said that it is needed.
    `started_at`: when its workflow was told to begin."""

    __tablename__ = "legal_hold"
    __table_args__ = (
        Index(
            "ix_legal_hold_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")
        ),
        Index("ix_legal_hold_unstarted", "created_at", postgresql_where=text("started_at IS NULL")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    matter: str
    placed_by: UUID
    cooling_off_days: int
    reminder_days: int
    review_days: int
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    reviewed_at: datetime = time_field()
    confirmed_at: datetime | None = optional_time_field()
    confirmed_by: UUID | None = None
    released_at: datetime | None = optional_time_field()
    released_by: UUID | None = None
    cooling_ends_at: datetime | None = optional_time_field()


class LegalHoldItem(SQLModel, table=True):
    """What somebody put under the hold: a file, a collection with whatever comes into it, or files that
    `terms` (of api.legal_holds.schemas) fit."""

    __tablename__ = "legal_hold_item"
    __table_args__ = (
        Index("ix_legal_hold_item_hold_id", "hold_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_legal_hold_item_collection_id",
            "collection_id",
            postgresql_where=text("collection_id IS NOT NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    hold_id: UUID = Field(foreign_key="legal_hold.id")
    kind: str  # db.queries.legal_holds.ItemKind
    file_id: UUID | None = None
    collection_id: UUID | None = None
    terms: dict[str, JsonValue] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True))
    )
    added_by: UUID
    created_at: datetime = time_field()


class LegalHoldFile(SQLModel, table=True):
    """A file that an item named, or that its terms fitted when they were looked for.

    Files' rows are never deleted. A foreign key would have PostgreSQL lock each behind `lock_holds`, while
    whoever changes a file locks its row first and then asks what holds it."""

    __tablename__ = "legal_hold_file"

    hold_id: UUID = Field(foreign_key="legal_hold.id", primary_key=True)
    file_id: UUID = Field(primary_key=True, index=True)
    tenant_id: UUID = tenant_field()
    item_id: UUID = Field(foreign_key="legal_hold_item.id", index=True)
    created_at: datetime = time_field()


class LegalHoldCustodian(SQLModel, table=True):
    """A principal who must know of the hold, and when it was told and said so."""

    __tablename__ = "legal_hold_custodian"

    hold_id: UUID = Field(foreign_key="legal_hold.id", primary_key=True)
    principal_id: UUID = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    notified_at: datetime | None = optional_time_field()
    reminded_at: datetime | None = optional_time_field()
    reminders: int = 0
    acknowledged_at: datetime | None = optional_time_field()

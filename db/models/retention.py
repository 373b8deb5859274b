"""Retention: policies, locks of files, and when somebody last asked for a file."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import CheckConstraint, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class RetentionPolicy(SQLModel, table=True):
    """Files that fit all that is given of collection, media type (or `image/*`), label and metadata are kept
    for `days` from what `trigger` says, and then `disposition` is due. Ended and never deleted."""

    __tablename__ = "retention_policy"
    __table_args__ = (
        CheckConstraint(
            "(trigger = 'event') = (event_field IS NOT NULL)", name="policy_knows_its_event"
        ),
        CheckConstraint(
            "(disposition = 'relabel') = (relabel_to IS NOT NULL)", name="policy_knows_its_label"
        ),
        Index(
            "ix_retention_policy_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    name: str
    collection_id: UUID | None = None
    media_type: str | None = None
    label: str | None = None
    attributes: dict[str, JsonValue] | None = Field(
        default=None, sa_column=Column("metadata", JSONB(none_as_null=True))
    )
    trigger: str  # muniment.contracts.retention.Trigger
    event_field: str | None = None
    days: int
    lock_mode: str | None = None  # muniment.contracts.retention.LockMode
    disposition: str  # muniment.contracts.retention.Disposition
    relabel_to: str | None = None
    revision: int = 1
    created_by: UUID
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    ended_at: datetime | None = optional_time_field()
    ended_by: UUID | None = None


class RetentionLock(SQLModel, table=True):
    """What somebody said of one file. As with holds no foreign key to the file: it would have PostgreSQL
    lock the file's row behind `lock_holds`."""

    __tablename__ = "retention_lock"

    file_id: UUID = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    mode: str  # muniment.contracts.retention.LockMode
    retain_until: datetime = time_field()
    placed_by: UUID
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class FileAccess(SQLModel, table=True):
    """When somebody last asked for the file's content, to the day. Not in the file's own row: what is told
    again (answers, searches) would be forgotten with each change of that, and a download would wait for
    whoever changes the file."""

    __tablename__ = "file_access"

    file_id: UUID = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    accessed_at: datetime = time_field()

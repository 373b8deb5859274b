"""Retention: policies, locks of files, when somebody last asked for a file, and what becomes of files."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import CheckConstraint, Column, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
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


class RetentionSweep(SQLModel, table=True):
    """A look at all of a tenant's files; one is open at a time. `after_id` is the last file that was
    looked at in the present state; `most`: so many may be deleted and relabelled without asking. `held`
    and what is due are as of `judged_at`, `acted` counts deletions and relabelings since then."""

    __tablename__ = "retention_sweep"
    __table_args__ = (
        Index(
            "ux_retention_sweep_open",
            "tenant_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_retention_sweep_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    workflow_id: str
    state: str  # muniment.contracts.retention_sweep.SweepState
    is_dry_run: bool = False
    as_of: datetime = time_field()
    requested_by: UUID | None = None
    created_at: datetime = time_field()
    finished_at: datetime | None = optional_time_field()
    after_id: UUID | None = None
    judged_at: datetime | None = optional_time_field()
    most: int | None = None
    files: int = 0
    held: int = 0
    due_deletions: int = 0
    due_reviews: int = 0
    due_relabelings: int = 0
    acted: int = 0
    deleted: int = 0
    reviews: int = 0
    relabelled: int = 0
    passed_over: int = 0


class Disposition(SQLModel, table=True):
    """A file whose policies want people to say whether it is deleted. `policies` are those; `keep_until`: not
    asked again before, where somebody rejected it; `job_id` is the erasure's. As with locks no foreign key
    to the file."""

    __tablename__ = "disposition"
    __table_args__ = (
        Index(
            "ux_disposition_open",
            "file_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_disposition_kept",
            "file_id",
            "keep_until",
            postgresql_where=text("keep_until IS NOT NULL"),
        ),
        Index(
            "ix_disposition_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    file_id: UUID
    sweep_id: UUID = Field(foreign_key="retention_sweep.id", index=True)
    state: str  # muniment.contracts.retention_sweep.DispositionState
    policies: list[UUID] = Field(sa_column=Column(ARRAY(Uuid), nullable=False))
    created_at: datetime = time_field()
    ended_at: datetime | None = optional_time_field()
    keep_until: datetime | None = optional_time_field()
    job_id: UUID | None = None


class RetentionDecision(SQLModel, table=True):
    """What a person decided about a sweep or a disposition, and why. Written once; what acts is founded on it
    alone."""

    __tablename__ = "retention_decision"
    __table_args__ = (
        CheckConstraint("num_nonnulls(sweep_id, disposition_id) = 1", name="decision_is_about_one"),
        Index("ux_retention_decision_stage", "disposition_id", "stage", unique=True),
        Index("ux_retention_decision_person", "disposition_id", "principal_id", unique=True),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    sweep_id: UUID | None = Field(default=None, foreign_key="retention_sweep.id", index=True)
    disposition_id: UUID | None = Field(default=None, foreign_key="disposition.id")
    stage: int
    verdict: str  # muniment.contracts.retention_sweep.RetentionVerdict
    principal_id: UUID
    reason: str
    created_at: datetime = time_field()

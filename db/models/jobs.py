"""Jobs, their events, people's decisions, and stage results by fingerprint."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import BigInteger, Column, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field
from db.models.xid8 import Xid8


class Job(SQLModel, table=True):
    """The row is the start-intent (`started_at` is null until Temporal took the workflow) and the
    projection that answers when the workflow cannot. `event_seq` is the last seq of its events;
    whoever appends one holds this row's lock."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_open", "id", postgresql_where=text("finished_at IS NULL")),
        Index("ix_job_tenant_open", "tenant_id", postgresql_where=text("finished_at IS NULL")),
        Index("ix_job_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_job_not_started",
            "created_at",
            postgresql_where=text("started_at IS NULL AND finished_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    kind: str  # muniment.contracts.jobs.JobKind
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    version_id: UUID | None = Field(
        default=None, foreign_key="file_version.id", ondelete="CASCADE", index=True
    )
    workflow_id: str = Field(unique=True)
    run_id: str | None = None
    state: str  # muniment.contracts.jobs.JobState
    stage: str | None = None
    stages: list[dict[str, JsonValue]] = Field(
        default=[], sa_column=Column(JSONB, nullable=False, server_default="[]")
    )
    pages_total: int = 0
    pages_done: int = 0
    pages_failed: int = 0
    pages_reused: int = 0
    percent: float = 0.0
    degraded: bool = False
    priority: int = 3
    retry_of: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    settings: dict[str, JsonValue] = Field(
        default={}, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )  # muniment.contracts.jobs.JobSettings
    error: dict[str, JsonValue] | None = Field(default=None, sa_column=Column(JSONB))
    requested_by: UUID | None = Field(default=None, foreign_key="principal.id")
    request_id: str | None = None
    trace_parent: str | None = None
    event_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, default=0))
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    finished_at: datetime | None = optional_time_field()


class JobEvent(SQLModel, table=True):
    """Append-only. `seq` counts per job, in commit order. `x` is the writing transaction: a reader of
    the whole tenant takes only rows with `x < pg_snapshot_xmin(pg_current_snapshot())`, in (x, id)
    order, else it would skip rows that commit late."""

    __tablename__ = "job_event"
    __table_args__ = (
        UniqueConstraint("job_id", "seq"),
        Index("ix_job_event_tenant_order", "tenant_id", "x", "id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    tenant_id: UUID = tenant_field()
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    x: str | None = Field(
        default=None,
        sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    )
    event: str  # stage | page | state | retry | end
    payload: dict[str, JsonValue] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = time_field()


class JobEventHorizon(SQLModel, table=True):
    """The newest event of the tenant that is no longer kept: of those before it some may be missing.
    Written by a trigger on `job_event`; the application role may only read it."""

    __tablename__ = "job_event_horizon"

    tenant_id: UUID = tenant_field(primary_key=True)
    x: str = Field(sa_column=Column(Xid8, nullable=False))
    event_id: int = Field(sa_column=Column(BigInteger, nullable=False))


class Decision(SQLModel, table=True):
    """What a person decided about a waiting job, written under that person's rights."""

    __tablename__ = "decision"

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", index=True)
    principal_id: UUID = Field(foreign_key="principal.id")
    verdict: str  # muniment.contracts.lifecycle.Verdict
    reason: str | None = None
    created_at: datetime = time_field()


class JobPassword(SQLModel, table=True):
    """Where the password of a job's encrypted document lies sealed; gone when the job has ended.
    `tag` tells passwords apart without telling them."""

    __tablename__ = "job_password"

    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", primary_key=True)
    tenant_id: UUID = tenant_field()
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    tag: bytes
    created_at: datetime = time_field()


class StageResult(SQLModel, table=True):
    """Where the result with this fingerprint lies. Never written for a failure."""

    __tablename__ = "stage_result"

    tenant_id: UUID = tenant_field(primary_key=True)
    fingerprint: str = Field(primary_key=True)
    stage: str
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    summary: dict[str, JsonValue] = Field(
        default={}, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )
    created_at: datetime = time_field()


class StageOutput(SQLModel, table=True):
    """What a stage of a job put out; `part` is the first page of a batch of `read`, else 0."""

    __tablename__ = "stage_output"

    tenant_id: UUID = tenant_field()
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", primary_key=True)
    stage: str = Field(primary_key=True)
    part: int = Field(primary_key=True)
    fingerprint: str
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    summary: dict[str, JsonValue] = Field(
        default={}, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )

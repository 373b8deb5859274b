"""Batches: many files taken through a window, and which job each came to."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Batch(SQLModel, table=True):
    """The row is the start-intent (`started_at` is null until Temporal took the workflow)."""

    __tablename__ = "batch"
    __table_args__ = (
        Index("ix_batch_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")),
        Index("ix_batch_tenant_open", "tenant_id", postgresql_where=text("finished_at IS NULL")),
        Index(
            "ix_batch_not_started",
            "created_at",
            postgresql_where=text("started_at IS NULL AND finished_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    workflow_id: str = Field(unique=True)
    run_id: str | None = None
    state: str  # muniment.contracts.ingest_batch.BatchState
    priority: int = 3
    total: int
    source: str | None = None
    """The place whose objects are taken in, as the operator calls it; null where files were named."""
    prefix: str = ""
    collection_id: UUID | None = Field(
        default=None, foreign_key="collection.id", ondelete="SET NULL", index=True
    )
    listed_to: str | None = None
    """The last object that was listed, in the source's order; null once the listing has ended, since
    it may name a person whose file is erased."""
    listed_at: datetime | None = optional_time_field()
    """When the listing came to its end; null while it goes on."""
    truncated: bool = False
    problem: str | None = None
    """Why the place could not be listed."""
    requested_by: UUID = Field(foreign_key="principal.id")
    request_id: str | None = None
    created_at: datetime = time_field()
    started_at: datetime | None = optional_time_field()
    finished_at: datetime | None = optional_time_field()


class BatchItem(SQLModel, table=True):
    """A file of a batch, in the order in which it was named, or an object that becomes one. How the
    file fared is its job's to say. `is_own` when the batch made the job, and did not find it under
    way or done. `object_key` is blanked when the file is erased; `problem` says why an object did
    not become a file."""

    __tablename__ = "batch_item"
    __table_args__ = (
        # Two objects of one name and content are one file.
        Index(
            "ix_batch_item_named_file",
            "batch_id",
            "file_id",
            unique=True,
            postgresql_where=text("object_key IS NULL"),
        ),
        Index(
            "ix_batch_item_waiting",
            "batch_id",
            "number",
            postgresql_where=text("admitted_at IS NULL"),
        ),
    )

    batch_id: UUID = Field(foreign_key="batch.id", ondelete="CASCADE", primary_key=True)
    number: int = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    file_id: UUID | None = Field(
        default=None, foreign_key="file.id", ondelete="CASCADE", index=True
    )
    object_key: str | None = None
    object_size: int = Field(default=0, sa_type=BigInteger)
    problem: str | None = None
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL", index=True)
    is_own: bool = False
    admitted_at: datetime | None = optional_time_field()

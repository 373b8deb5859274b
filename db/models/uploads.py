"""Uploads in progress (tus), and the sealed pieces that they consist of."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Text, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Upload(SQLModel, table=True):
    """What a client is sending piece by piece. `received` is the offset that was acknowledged; `size`
    is null while the client has not said it; `parts` counts those that are kept. `metadata` (what is
    known of the file) is blanked when the upload ends; `concatenation` is `Upload-Concat` as it came. A
    row that has ended is kept for a while, so that it can be told from one that never was. Until
    `joining_until` the request `joining_id` makes a file of it, and no other does."""

    __tablename__ = "upload"
    __table_args__ = (
        Index(
            "ix_upload_open",
            "tenant_id",
            "expires_at",
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_upload_expires_at", "expires_at", postgresql_where=text("closed_at IS NULL")),
        Index("ix_upload_closed_at", "closed_at", postgresql_where=text("closed_at IS NOT NULL")),
        Index(
            "ix_upload_with_parts",
            "id",
            postgresql_where=text("closed_at IS NOT NULL AND parts > 0"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    principal_id: UUID = Field(foreign_key="principal.id")
    state: str  # db.queries.resumable_uploads.UploadState
    size: int | None = Field(default=None, sa_type=BigInteger)
    received: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    parts: int = 0
    described: str = Field(
        default="", sa_column=Column("metadata", Text, nullable=False)
    )  # `metadata` is SQLAlchemy's own attribute
    concatenation: str = Field(default="", sa_column=Column(Text, nullable=False))
    file_id: UUID | None = Field(
        default=None, foreign_key="file.id", ondelete="SET NULL", index=True
    )
    created_at: datetime = time_field()
    expires_at: datetime = time_field()
    closed_at: datetime | None = optional_time_field()
    joining_id: UUID | None = None
    joining_until: datetime | None = optional_time_field()


class UploadPart(SQLModel, table=True):
    """A sealed piece of an upload. Its blob has no row of its own: this one is what names it. It goes
    when the blob's key is destroyed, so an upload that has parts cannot be deleted."""

    __tablename__ = "upload_part"

    upload_id: UUID = Field(foreign_key="upload.id", primary_key=True)
    start: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    tenant_id: UUID = tenant_field()
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    blob_id: UUID = Field(index=True, unique=True)


class UploadTimer(SQLModel, table=True):
    """A tenant with unfinished uploads: the next of them expires at `due_at`, until when its workflow
    sleeps. `set_at` is null until that was told to, `asked_at` is when a worker last asked it to."""

    __tablename__ = "upload_timer"

    tenant_id: UUID = tenant_field(primary_key=True)
    due_at: datetime = time_field()
    set_at: datetime | None = optional_time_field()
    asked_at: datetime | None = optional_time_field()

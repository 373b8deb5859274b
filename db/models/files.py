"""Files, their versions, and the blobs that hold content and artifacts."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class File(SQLModel, table=True):
    """`current_version` is the version that readers see; `revision` grows with every change (ETag).
    `collection_id` is None only of what was erased, once its collection was deleted.

    `trashed_from` remembers the state to restore. A file that came out of another names it, the
    version, its path and place in it, and the uploaded file that all began with (`root_id`).
    """

    __tablename__ = "file"
    __table_args__ = (
        CheckConstraint("collection_id IS NOT NULL OR state = 'erased'", "file_has_collection"),
        Index("ix_file_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")),
        Index("ix_file_collection_name", "collection_id", "name"),
        Index(
            "ux_file_member",
            "parent_version_id",
            "member_ordinal",
            unique=True,
            postgresql_where=text("parent_version_id IS NOT NULL"),
        ),
        Index("ix_file_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_file_root", "root_id", postgresql_where=text("root_id IS NOT NULL")),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    collection_id: UUID | None = Field(default=None, foreign_key="collection.id")
    owner_id: UUID | None = Field(default=None, foreign_key="principal.id")
    name: str
    state: str  # muniment.contracts.jobs.FileState
    trashed_from: str | None = None
    trashed_at: datetime | None = optional_time_field()
    current_version: int = 1
    media_type: str
    labels: list[str] = Field(
        default=[], sa_column=Column(ARRAY(Text), nullable=False, server_default="{}")
    )
    attributes: dict[str, JsonValue] = Field(
        default={},
        sa_column=Column("metadata", JSONB, nullable=False, server_default="{}"),
    )
    extracted: dict[str, JsonValue] = Field(
        default={}, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )
    page_count: int | None = None
    degraded: bool = False
    revision: int = 1
    parent_id: UUID | None = Field(default=None, foreign_key="file.id", ondelete="SET NULL")
    parent_version_id: UUID | None = Field(
        default=None, foreign_key="file_version.id", ondelete="SET NULL"
    )
    root_id: UUID | None = None
    member_ordinal: int | None = None
    member_path: str | None = None
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class FileVersion(SQLModel, table=True):
    """Immutable content, numbered from 1; the scan's verdict and the published document with it.
    `counted_pages`: what it takes of the tenant's quota of pages. `text_key_id`: the blob of the key that
    seals its text in the database, in a collection with `encrypted_text`. `is_masked`: tokens stand for
    findings in its passages, and who may not see what they stand for sees nothing else of it either."""

    __tablename__ = "file_version"
    __table_args__ = (
        UniqueConstraint("file_id", "number"),
        Index(
            "ix_file_version_document_blob_id",
            "document_blob_id",
            postgresql_where=text("document_blob_id IS NOT NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE")
    number: int
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    name: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    sha256: bytes
    declared_media_type: str
    media_type: str | None = None
    page_count: int | None = None
    counted_pages: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    scan_state: str | None = None
    scan_engine: str | None = None
    scan_database: str | None = None
    scan_signature: str | None = None
    scanned_at: datetime | None = optional_time_field()
    document_blob_id: UUID | None = Field(default=None, foreign_key="blob.id")
    text_key_id: UUID | None = None
    is_masked: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    published_at: datetime | None = optional_time_field()
    created_at: datetime = time_field()


class Blob(SQLModel, table=True):
    """Sealed bytes, stored once. Content is found by `dedup_tag` within the tenant; an artifact by
    its stage_result. `destroyed_at` is set before the key dies, so that nobody refers to it anew.
    `verified_at`: when it was last read again and compared, whatever came of it. `tier` is where it
    lies, `accessed_at` when somebody last asked for the content, to the day."""

    __tablename__ = "blob"
    __table_args__ = (
        Index(
            "ix_blob_rotation",
            "tenant_id",
            text("coalesce(verified_at, created_at)"),
            "id",
            postgresql_where=text("destroyed_at IS NULL AND kind <> 'password'"),
        ),
        Index(
            "ix_blob_hot_content",
            "tenant_id",
            text("coalesce(accessed_at, created_at)"),
            "id",
            postgresql_where=text("destroyed_at IS NULL AND kind = 'content' AND tier = 'hot'"),
        ),
        Index(
            "ux_blob_dedup_tag",
            "tenant_id",
            "dedup_tag",
            unique=True,
            postgresql_where=text("dedup_tag IS NOT NULL AND destroyed_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    kind: str  # content | artifact | password
    dedup_tag: bytes | None = None
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    sha256: bytes
    created_at: datetime = time_field()
    destroyed_at: datetime | None = optional_time_field()
    verified_at: datetime | None = optional_time_field()
    tier: str = Field(
        default="hot", sa_column_kwargs={"server_default": "hot"}
    )  # muniment.contracts.move_tier.Tier
    accessed_at: datetime | None = optional_time_field()


class BlobReference(SQLModel, table=True):
    """A version needs a blob; a blob's key dies with the last of these. `role`: `content` or the
    stage that made the artifact."""

    __tablename__ = "blob_reference"

    tenant_id: UUID = tenant_field()
    blob_id: UUID = Field(foreign_key="blob.id", primary_key=True)
    version_id: UUID = Field(
        foreign_key="file_version.id", primary_key=True, ondelete="CASCADE", index=True
    )
    role: str = Field(primary_key=True)
    created_at: datetime = time_field()

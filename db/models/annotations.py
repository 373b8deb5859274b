"""What people write on files: annotations, where each stands in other readings, comments below them."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, Float, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Annotation(SQLModel, table=True):
    """A note on a file (`page` null), on a box of a page (`region`), or on words (`quote`), as it was made;
    what it was made on never changes.

    `reading_id` is the document that the version had then (`document_blob_id`), by which a later reading
    of it is told. `region` and `boxes` are in the page's frame, points. `quote` are the words, or those
    that stood in the region; `occurrence` counts, from 0, those before it among the `occurrences` of the
    same words on the page. `page_digest` is the SHA-256 of the page's folded text.

    In a collection with `encrypted_text` quote, prefix and suffix are empty, and `sealed_words` is all
    three under the text key that the blob `text_key_id` holds.
    """

    __tablename__ = "annotation"
    __table_args__ = (
        Index(
            "ix_annotation_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        Index("ix_annotation_file_id", "file_id", text("created_at DESC"), text("id DESC")),
        Index("ix_annotation_author_id", "author_id", text("created_at DESC"), text("id DESC")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE")
    version_id: UUID = Field(foreign_key="file_version.id", ondelete="CASCADE", index=True)
    reading_id: UUID | None = None
    author_id: UUID | None = Field(default=None, foreign_key="principal.id", ondelete="SET NULL")
    body: str = Field(sa_column=Column(Text, nullable=False))
    tags: list[str] = Field(
        default=[], sa_column=Column(ARRAY(Text), nullable=False, server_default="{}")
    )
    colour: str | None = None
    page: int | None = None
    page_width: float = 0
    page_height: float = 0
    page_rotation: int = 0
    page_digest: bytes = b""
    region: list[float] | None = Field(default=None, sa_column=Column(ARRAY(Float)))
    quote: str = Field(default="", sa_column=Column(Text, nullable=False))
    prefix: str = Field(default="", sa_column=Column(Text, nullable=False))
    suffix: str = Field(default="", sa_column=Column(Text, nullable=False))
    sealed_words: bytes | None = None
    text_key_id: UUID | None = None
    start_offset: int | None = None
    end_offset: int | None = None
    occurrence: int = 0
    occurrences: int = 0
    boxes: list[JsonValue] = Field(default=[], sa_column=Column(JSONB, nullable=False))
    resolved_at: datetime | None = optional_time_field()
    resolved_by: UUID | None = Field(default=None, foreign_key="principal.id", ondelete="SET NULL")
    revision: int = 1
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class AnnotationAnchor(SQLModel, table=True):
    """Where an annotation stands in one reading of one version, found by a worker: the place that it was
    made on stays with the annotation. `score` (0-1) is how alike the words are. `sealed_words` as with the
    annotation, under the key of the version that they were found in."""

    __tablename__ = "annotation_anchor"
    __table_args__ = (Index("ix_annotation_anchor_version_page", "version_id", "page"),)

    annotation_id: UUID = Field(foreign_key="annotation.id", primary_key=True, ondelete="CASCADE")
    version_id: UUID = Field(foreign_key="file_version.id", primary_key=True, ondelete="CASCADE")
    tenant_id: UUID = tenant_field()
    reading_id: UUID | None = None
    method: int
    state: str  # muniment.contracts.anchor_annotations.AnchorState
    score: float | None = None
    page: int | None = None
    region: list[float] | None = Field(default=None, sa_column=Column(ARRAY(Float)))
    quote: str = Field(default="", sa_column=Column(Text, nullable=False))
    sealed_words: bytes | None = None
    text_key_id: UUID | None = None
    start_offset: int | None = None
    end_offset: int | None = None
    boxes: list[JsonValue] = Field(default=[], sa_column=Column(JSONB, nullable=False))
    found_at: datetime = time_field()


class AnnotationComment(SQLModel, table=True):
    """An answer below an annotation. It names the file too, so that it is erased with it."""

    __tablename__ = "annotation_comment"
    __table_args__ = (
        Index(
            "ix_annotation_comment_annotation_id",
            "annotation_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    annotation_id: UUID = Field(foreign_key="annotation.id", ondelete="CASCADE")
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    author_id: UUID | None = Field(default=None, foreign_key="principal.id", ondelete="SET NULL")
    body: str = Field(sa_column=Column(Text, nullable=False))
    revision: int = 1
    created_at: datetime = time_field()
    updated_at: datetime = time_field()

"""What was read and what is searched: pages, chunks, postings, vectors, findings."""

from datetime import datetime
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class PageRow(SQLModel, table=True):
    """A published page: `blob_id` is the PageBatch that holds it, `position` its index there."""

    __tablename__ = "page"

    tenant_id: UUID = tenant_field()
    version_id: UUID = Field(foreign_key="file_version.id", primary_key=True, ondelete="CASCADE")
    page: int = Field(primary_key=True)
    width: float
    height: float
    rotation: int = 0
    source: str  # muniment.contracts.documents.PageSource
    engine: str
    confidence: float | None = None
    blob_id: UUID | None = Field(default=None, foreign_key="blob.id", index=True)
    position: int = 0
    problem: str | None = None


class PageLayer(SQLModel, table=True):
    """What one version of an engine read of a published page; the page's row is the current one.
    `read_at` is when the artifact that holds it was kept."""

    __tablename__ = "page_layer"

    version_id: UUID = Field(foreign_key="file_version.id", primary_key=True, ondelete="CASCADE")
    page: int = Field(primary_key=True)
    engine: str = Field(primary_key=True)
    engine_version: str = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    source: str  # muniment.contracts.documents.PageSource
    confidence: float | None = None
    blob_id: UUID = Field(foreign_key="blob.id", index=True)
    position: int
    is_current: bool
    read_at: datetime = time_field()


class ChunkRow(SQLModel, table=True):
    """A published passage. `text_hash` is keyed by the tenant: equal text has equal hashes within a
    tenant and nowhere else.

    In a collection with `encrypted_text` text and headings are empty, and `sealed_text` is both under
    the text key that the blob `text_key_id` holds (muniment.objects.sealed_texts)."""

    __tablename__ = "chunk"
    __table_args__ = (
        Index("ix_chunk_text_hash", "tenant_id", "text_hash"),
        Index(
            "ix_chunk_version_ordinal",
            *("version_id", "ordinal"),
            unique=True,
            postgresql_include=("id", "tenant_id"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    version_id: UUID = Field(foreign_key="file_version.id", ondelete="CASCADE")
    ordinal: int
    text: str = Field(sa_column=Column(Text, nullable=False))
    text_hash: bytes
    token_count: int
    headings: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    pages: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    boxes: list[JsonValue] = Field(sa_column=Column(JSONB, nullable=False))
    sealed_text: bytes | None = None
    text_key_id: UUID | None = None
    created_at: datetime = time_field()


class LexicalDocument(SQLModel, table=True):
    """A version whose words are searched: its passages have the numbers from `first_number` on, by their
    ordinals. `terms` is the length of all of them together. `language` is PostgreSQL's name of a
    text search configuration. `is_merged`: its postings were in a round of maintenance."""

    __tablename__ = "lexical_document"
    __table_args__ = (
        Index("ux_lexical_document_number", "tenant_id", "first_number", unique=True),
        Index("ix_lexical_document_unmerged", "tenant_id", postgresql_where=text("NOT is_merged")),
    )

    version_id: UUID = Field(foreign_key="file_version.id", primary_key=True, ondelete="CASCADE")
    tenant_id: UUID = Field(foreign_key="tenant.id")
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    language: str
    first_number: int = Field(sa_type=BigInteger)
    passages: int
    terms: int = Field(sa_type=BigInteger)
    is_merged: bool = False


class Posting(SQLModel, table=True):
    """Where a term stands: `entries` says of each passage how often, and how long the passage is
    (db/queries/postings.py). Terms are the lexemes of `to_tsvector` in that language. Without a foreign key:
    to look the tenant up for each of thousands of rows took a fifth of what a publication takes."""

    __tablename__ = "posting"

    tenant_id: UUID = Field(primary_key=True)
    language: str = Field(primary_key=True)
    term: str = Field(primary_key=True)
    first_number: int = Field(primary_key=True, sa_type=BigInteger)
    last_number: int = Field(sa_type=BigInteger)
    passages: int
    entries: bytes


class UnmergedPosting(SQLModel, table=True):
    """What a publication wrote, until it is merged into `posting`: `share` of its terms
    (db/queries/publication_statements.py), in the order of their bytes, and the entries of each. Share 0 is
    always there. `last_number`: of the publication's last passage. Without a foreign key, as there."""

    __tablename__ = "unmerged_posting"

    tenant_id: UUID = Field(primary_key=True)
    language: str = Field(primary_key=True)
    share: int = Field(primary_key=True, sa_type=SmallInteger)
    first_number: int = Field(primary_key=True, sa_type=BigInteger)
    last_number: int = Field(sa_type=BigInteger)
    terms: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    entries: list[bytes] = Field(sa_column=Column(ARRAY(LargeBinary), nullable=False))


class PostingRemoval(SQLModel, table=True):
    """Passages that were deleted, and the terms whose postings still hold their numbers."""

    __tablename__ = "posting_removal"

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE", index=True)
    language: str
    first_number: int = Field(sa_type=BigInteger)
    last_number: int = Field(sa_type=BigInteger)
    terms: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))


class IndexVersion(SQLModel, table=True):
    """An embedding model's index; one is active per tenant, and one at most is being built or waits to be
    activated. `filled_until`: up to which hash of a text a building one has its vectors; empty at the
    beginning of a pass, and afterwards. `outcome`: how a retired one came to be; `emptied_at`: since when
    it has no vectors. `graph_tried_at`: when a publication last set about making the HNSW index over its
    vectors."""

    __tablename__ = "index_version"
    __table_args__ = (
        UniqueConstraint("id", "dimensions"),
        Index(
            "index_version_active",
            "tenant_id",
            unique=True,
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "index_version_next",
            "tenant_id",
            unique=True,
            postgresql_where=text("state IN ('building', 'ready')"),
        ),
        Index(
            "ix_index_version_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    model_id: str
    model_version: str
    dimensions: int
    state: str  # muniment.contracts.reindex.IndexState
    created_at: datetime = time_field()
    activated_at: datetime | None = optional_time_field()
    graph_tried_at: datetime | None = optional_time_field()
    activation: str = "manual"  # muniment.contracts.reindex.Activation
    outcome: str | None = None  # muniment.contracts.reindex.Outcome
    is_paused: bool = False
    passages_total: int = Field(default=0, sa_type=BigInteger)
    passages_done: int = Field(default=0, sa_type=BigInteger)
    filled_until: bytes = b""
    evaluation: dict[str, JsonValue] | None = Field(default=None, sa_column=Column(JSONB))
    started_at: datetime | None = optional_time_field()
    retire_at: datetime | None = optional_time_field()
    emptied_at: datetime | None = optional_time_field()


class EmbeddingRow(SQLModel, table=True):
    """A chunk's vector in an index version, of that one's dimensions."""

    __tablename__ = "embedding"
    __table_args__ = (
        ForeignKeyConstraint(
            ["index_version_id", "dimensions"], ["index_version.id", "index_version.dimensions"]
        ),
    )

    chunk_id: UUID = Field(foreign_key="chunk.id", primary_key=True, ondelete="CASCADE")
    index_version_id: UUID = Field(primary_key=True, index=True)
    tenant_id: UUID = tenant_field()
    vector: list[float] = Field(sa_column=Column(HALFVEC, nullable=False))
    dimensions: int | None = Field(
        default=None, sa_column=Column(Integer, Computed("vector_dims(vector)", persisted=True))
    )


class FindingRow(SQLModel, table=True):
    """Where personal data or a secret stands: place and kind, never the value. `act` is the strictest
    that the policies ask for of it, `token` what stands for it in what readers are shown."""

    __tablename__ = "finding"
    __table_args__ = (
        Index("ix_finding_tenant_newest", "tenant_id", text("id DESC")),
        Index(
            "ix_finding_token",
            "tenant_id",
            "token",
            postgresql_where=text("token IS NOT NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    version_id: UUID = Field(foreign_key="file_version.id", ondelete="CASCADE", index=True)
    kind: str
    entity: str
    page: int
    start_offset: int
    end_offset: int
    score: float
    recogniser: str
    recogniser_version: str = Field(default="", sa_column_kwargs={"server_default": ""})
    boxes: list[list[float]] = Field(
        default=[], sa_column=Column(JSONB, nullable=False, server_default="[]")
    )
    act: str = Field(default="record", sa_column_kwargs={"server_default": "record"})
    token: str | None = None

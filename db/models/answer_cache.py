"""Responses that are told again, and what makes them stale."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, Index, LargeBinary, Uuid
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, tenant_field, time_field


class CorpusEpoch(SQLModel, table=True):
    """The tenant's rows together count the transactions that may have changed what a search finds. Triggers
    write them (migration 0034), each transaction one that no other has locked."""

    __tablename__ = "corpus_epoch"

    tenant_id: UUID = Field(foreign_key="tenant.id", primary_key=True)
    id: UUID = Field(primary_key=True)
    changes: int = Field(sa_column=Column(BigInteger, nullable=False))


class CachedResponse(SQLModel, table=True):
    """`sealed` answered a request that had this `key` (keyed, as who asked and what is) at this epoch, out
    of these files. Not in PostgreSQL's log. Where the tenant has questions that are alike answered alike,
    `alike_key` is the keyed hash of all in which they have to be equal, and `sealed_vector` the
    question's."""

    __tablename__ = "cached_response"
    __table_args__ = (
        Index("ux_cached_response_key", "tenant_id", "key", unique=True),
        Index(
            "ix_cached_response_alike",
            "tenant_id",
            "alike_key",
            sql("created_at DESC"),
            postgresql_where=sql("alike_key IS NOT NULL"),
        ),
        {"prefixes": ["UNLOGGED"]},
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    kind: str  # db.queries.answer_cache.ResponseKind
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))
    file_ids: list[UUID] = Field(sa_column=Column(ARRAY(Uuid()), nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    alike_key: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    sealed_vector: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    size: int
    created_at: datetime = time_field()
    expires_at: datetime = time_field()


class AlikeQuestionPolicy(SQLModel, table=True):
    """From which cosine on (0–1) an answer is told again to another question; none, or no row: to none."""

    __tablename__ = "alike_question_policy"

    tenant_id: UUID = tenant_field(primary_key=True)
    least_likeness: float | None = None
    revision: int = 1
    updated_at: datetime = time_field()

"""Responses that are told again, and what makes them stale."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, Index, LargeBinary, Uuid
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, time_field


class CorpusEpoch(SQLModel, table=True):
    """The tenant's rows together count the transactions that may have changed what a search finds. Triggers
    write them (migration 0034), each transaction one that no other has locked."""

    __tablename__ = "corpus_epoch"

    tenant_id: UUID = Field(foreign_key="tenant.id", primary_key=True)
    id: UUID = Field(primary_key=True)
    changes: int = Field(sa_column=Column(BigInteger, nullable=False))


class CachedResponse(SQLModel, table=True):
    """`sealed` answered a request that had this `key` (keyed, as who asked and what is) at this epoch, out
    of these files. Not in PostgreSQL's log."""

    __tablename__ = "cached_response"
    __table_args__ = (
        Index("ux_cached_response_key", "tenant_id", "key", unique=True),
        {"prefixes": ["UNLOGGED"]},
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    kind: str  # db.queries.answer_cache.ResponseKind
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))
    file_ids: list[UUID] = Field(sa_column=Column(ARRAY(Uuid()), nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    size: int
    created_at: datetime = time_field()
    expires_at: datetime = time_field()

"""What is asked of a tenant's documents, as far as the tenant has that kept."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, LargeBinary
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, tenant_field, time_field


class AskedQuery(SQLModel, table=True):
    """A search or a question that was answered. `key` is the HMAC of its words under the tenant's key, so
    that equal ones are counted together; who asked is not kept. `text` is where the policy says so.
    `is_cached`: what had been answered before was told again."""

    __tablename__ = "asked_query"
    __table_args__ = (
        Index("ix_asked_query_tenant_asked", "tenant_id", "asked_at"),
        Index("ix_asked_query_tenant_key", "tenant_id", "key", "asked_at"),
        Index(
            "ix_asked_query_tenant_text",
            "tenant_id",
            "asked_at",
            postgresql_where=sql("text IS NOT NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    asked_at: datetime = time_field()
    kind: str  # db.queries.analytics.QueryKind
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    text: str | None = None
    found: int
    milliseconds: float
    is_cached: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})


class AnalyticsPolicy(SQLModel, table=True):
    """What the tenant has kept of queries, and for how long. A tenant without a row has the default of the
    settings."""

    __tablename__ = "analytics_policy"

    tenant_id: UUID = tenant_field(primary_key=True)
    keeps: str  # db.queries.analytics.Keeps
    keep_days: int
    revision: int = 1
    updated_at: datetime = time_field()

"""What was read again from the store, and what was found not to be as it was stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, time_field


class IntegrityRun(SQLModel, table=True):
    """A tenant's verification; one is open at a time. `planned_blobs` is null until it has begun.

    `blobs` counts those looked at, `looked_again` those of them that had a fault before.
    `is_cut_short`: the limit of bytes ended it before it had looked at what was planned.
    `is_store_away`: the store, or one of its tiers, held nothing of what was to be looked at there;
    `away_tiers` were left out from there on.
    """

    __tablename__ = "integrity_run"
    __table_args__ = (
        Index(
            "ux_integrity_run_open",
            "tenant_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_integrity_run_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    workflow_id: str
    state: str  # muniment.contracts.verify_integrity.VerificationState
    created_at: datetime = time_field()
    finished_at: datetime | None = optional_time_field()
    planned_blobs: int | None = None
    blobs: int = 0
    looked_again: int = 0
    bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    faults_found: int = 0
    faults_closed: int = 0
    is_cut_short: bool = False
    is_store_away: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    away_tiers: list[str] = Field(
        default=[], sa_column=Column(ARRAY(String), nullable=False, server_default="{}")
    )


class IntegrityFault(SQLModel, table=True):
    """A blob that is not what was stored, from when it was first seen until it was sound again. The
    files that need it are found by its references; the row goes when the blob is erased."""

    __tablename__ = "integrity_fault"
    __table_args__ = (
        Index(
            "ux_integrity_fault_open",
            "blob_id",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(
            "ix_integrity_fault_tenant_seen",
            "tenant_id",
            "first_seen_at",
            "id",
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    blob_id: UUID = Field(foreign_key="blob.id", ondelete="CASCADE", index=True)
    kind: str  # muniment.contracts.verify_integrity.FaultKind
    first_seen_at: datetime = time_field()
    last_seen_at: datetime = time_field()
    closed_at: datetime | None = optional_time_field()

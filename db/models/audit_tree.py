"""The audit trail's tree, a tenant's own: what is yet to be sealed, its leaves, complete subtrees, and the
checkpoints that were signed. The application may add to it, and never changes what is there."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Index, SmallInteger, text
from sqlmodel import Field, SQLModel

from db.models.columns import optional_time_field, tenant_field, time_field


class AuditUnsealed(SQLModel, table=True):
    """An event that has no place in the tree yet. A trigger adds it with the event, in the transaction of
    the act, so that none is missed however late that commits; sealing takes it away."""

    __tablename__ = "audit_unsealed"

    tenant_id: UUID = tenant_field(primary_key=True)
    id: UUID = Field(primary_key=True)
    queued_at: datetime = Field(
        sa_column=Column(
            DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")
        )
    )


class AuditLeaf(SQLModel, table=True):
    """The place of an event, from 0 on, with the hash of its leaf and the commitment in that. It does not
    refer to the event: what was removed is to be noticed, and not forgotten with it."""

    __tablename__ = "audit_leaf"
    __table_args__ = (Index("ix_audit_leaf_event_id", "tenant_id", "event_id", unique=True),)

    tenant_id: UUID = tenant_field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    event_id: UUID
    commitment: bytes
    hash: bytes


class AuditSubtree(SQLModel, table=True):
    """The root of a complete subtree of 256, 65,536, … leaves (`level` 8, 16, …), the `index`-th of them:
    with these no proof reads more than some hundred rows of a level."""

    __tablename__ = "audit_subtree"

    tenant_id: UUID = tenant_field(primary_key=True)
    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    hash: bytes


class AuditCheckpoint(SQLModel, table=True):
    """What was signed of the tree when it had `size` leaves: a note (muniment/audit/checkpoints.py), and
    the key that verifies it. `copied_at`: when it lay in the second place, if there is one."""

    __tablename__ = "audit_checkpoint"
    __table_args__ = (
        Index(
            "ix_audit_checkpoint_uncopied",
            "tenant_id",
            "size",
            postgresql_where=text("copied_at IS NULL"),
        ),
    )

    tenant_id: UUID = tenant_field(primary_key=True)
    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes
    note: str
    verifier_key: str
    created_at: datetime = time_field()
    copied_at: datetime | None = optional_time_field()

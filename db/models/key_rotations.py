"""Rotations of tenants' keys. The keys themselves, wrapped ones too, never lie in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, time_field


class KeyRotation(SQLModel, table=True):
    """A rotation of the tenant's key; one is open at a time. Provider and versions are null until it
    has begun: the versions are that provider's.

    The wrapped keys are looked through in shards, in two rounds, from `retire_at` on in the second.
    `keys_unreadable` are those of the present round that do not unwrap. `replacing`: blobs without rows
    whose keys are being replaced; whoever goes on after a crash looks at them.
    """

    __tablename__ = "key_rotation"
    __table_args__ = (
        Index(
            "ux_key_rotation_open",
            "tenant_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_key_rotation_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    state: str  # muniment.contracts.rotate_keys.RotationState
    created_at: datetime = time_field()
    finished_at: datetime | None = optional_time_field()
    provider: str | None = None  # muniment.settings.KeyProviderSettings
    from_version: int | None = None
    to_version: int | None = None
    round: int = 1
    shards_done: int = 0
    keys_looked_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    keys_rewrapped: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    keys_unreadable: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    retire_at: datetime | None = optional_time_field()
    replacing: list[UUID] = Field(
        default=[],
        sa_column=Column(ARRAY(Uuid), nullable=False, server_default="{}"),
    )

"""Invitations: who may become a principal by a secret that is good once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Invitation(SQLModel, table=True):
    """`name` is what the person will be called here. Its token is stored as SHA-256. `principal_id`:
    who came of it."""

    __tablename__ = "invitation"
    __table_args__ = (
        Index("ux_invitation_token_hash", "token_hash", unique=True),
        Index(
            "ux_invitation_open_name",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
        Index(
            "ix_invitation_tenant_created", "tenant_id", text("created_at DESC"), text("id DESC")
        ),
        Index("ix_invitation_over_since", text("coalesce(accepted_at, revoked_at, expires_at)")),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    created_by: UUID = Field(foreign_key="principal.id", ondelete="CASCADE", index=True)
    name: str
    is_admin: bool = False
    token_hash: bytes
    created_at: datetime = time_field()
    expires_at: datetime = time_field()
    accepted_at: datetime | None = optional_time_field()
    revoked_at: datetime | None = optional_time_field()
    principal_id: UUID | None = Field(
        default=None, foreign_key="principal.id", ondelete="CASCADE", index=True
    )


class InvitationGroup(SQLModel, table=True):
    """A group that whoever accepts the invitation will belong to."""

    __tablename__ = "invitation_group"

    invitation_id: UUID = Field(foreign_key="invitation.id", primary_key=True, ondelete="CASCADE")
    group_id: UUID = Field(
        foreign_key="principal_group.id", primary_key=True, ondelete="CASCADE", index=True
    )
    tenant_id: UUID = tenant_field()

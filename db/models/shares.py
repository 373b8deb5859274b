"""Share links, who came by them, and passwords that were tried at them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, time_field


class ShareLink(SQLModel, table=True):
    """A link by which a file is downloaded without a key. `version_number` null: the version in use.

    Its token is stored as SHA-256. `session_key`, together with the token, signs what visitors carry; a
    new one ends all their sessions. `downloads` counts sessions that took content. With
    `watermark` copies are handed out whose pages say who shared them.
    """

    __tablename__ = "share_link"
    __table_args__ = (
        Index(
            "ix_share_link_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
        *(
            Index(f"ix_share_link_{each}", each, text("created_at DESC"), text("id DESC"))
            for each in ("file_id", "created_by")
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    file_id: UUID = Field(foreign_key="file.id", ondelete="CASCADE")
    version_number: int | None = None
    created_by: UUID = Field(foreign_key="principal.id", ondelete="CASCADE")
    token_hash: bytes = Field(unique=True)
    session_key: bytes
    password_hash: str | None = None
    networks: list[str] = Field(
        default=[], sa_column=Column(ARRAY(Text), nullable=False, server_default="{}")
    )
    max_downloads: int | None = None
    watermark: bool = False
    downloads: int = 0
    revision: int = 1
    created_at: datetime = time_field()
    expires_at: datetime = time_field()
    last_used_at: datetime | None = optional_time_field()
    revoked_at: datetime | None = optional_time_field()


class ShareSession(SQLModel, table=True):
    """A visitor's session that took content, and so was counted; it takes more until it expires."""

    __tablename__ = "share_session"
    __table_args__ = (Index("ix_share_session_expires", "expires_at"),)

    share_id: UUID = Field(foreign_key="share_link.id", primary_key=True, ondelete="CASCADE")
    session_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    expires_at: datetime = time_field()


class ShareTry(SQLModel, table=True):
    """A password that is being tried or was wrong, within the last minutes. `address` is a keyed hash
    of where it came from."""

    __tablename__ = "share_try"
    __table_args__ = (
        Index("ix_share_try_share_at", "share_id", "at"),
        Index("ix_share_try_at", "at"),
    )

    id: UUID = id_field()
    tenant_id: UUID = Field(foreign_key="tenant.id")
    share_id: UUID = Field(foreign_key="share_link.id", ondelete="CASCADE")
    address: bytes
    at: datetime = time_field()

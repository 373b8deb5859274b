"""Who there is and what they may see."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Column, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class Tenant(SQLModel, table=True):
    """Whose administrators make and disable others `is_operator`. Of one that is disabled all principals
    are; the database sees to that."""

    __tablename__ = "tenant"

    id: UUID = id_field()
    name: str = Field(unique=True)
    is_operator: bool = False
    disabled_at: datetime | None = optional_time_field()
    revision: int = 1
    created_at: datetime = time_field()


class Principal(SQLModel, table=True):
    """A person or a program; an administrator sees and manages everything of the tenant. One that was
    deleted stays as a row without its name, for what it once did; it is disabled, too."""

    __tablename__ = "principal"
    __table_args__ = (
        Index(
            "ux_principal_name",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    kind: str  # user | service
    name: str
    is_admin: bool = False
    revision: int = 1
    disabled_at: datetime | None = optional_time_field()
    disabled_with_tenant: bool = False
    deleted_at: datetime | None = optional_time_field()
    created_at: datetime = time_field()


class PrincipalGroup(SQLModel, table=True):
    __tablename__ = "principal_group"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    name: str
    revision: int = 1
    created_at: datetime = time_field()


class GroupMember(SQLModel, table=True):
    __tablename__ = "group_member"

    tenant_id: UUID = tenant_field()
    group_id: UUID = Field(foreign_key="principal_group.id", primary_key=True, ondelete="CASCADE")
    principal_id: UUID = Field(
        foreign_key="principal.id", primary_key=True, ondelete="CASCADE", index=True
    )
    from_issuer: bool = False  # else somebody put the principal into the group


class ApiKey(SQLModel, table=True):
    """Stored as SHA-256 with a display prefix; the key itself is shown once."""

    __tablename__ = "api_key"

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    principal_id: UUID = Field(foreign_key="principal.id", ondelete="CASCADE")
    name: str
    prefix: str
    key_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    expires_at: datetime | None = optional_time_field()
    last_used_at: datetime | None = optional_time_field()
    revoked_at: datetime | None = optional_time_field()
    created_at: datetime = time_field()


class StreamTicket(SQLModel, table=True):
    """Opens one event stream for a browser within its minute, for whoever came with the key or the
    sign-in; of an issuer's token, of which nothing is stored, it names the principal, by which
    identity it came, the scopes, and when the token `ends_at`. Stored as SHA-256, as keys are."""

    __tablename__ = "stream_ticket"

    ticket_hash: bytes = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    key_id: UUID | None = Field(default=None, foreign_key="api_key.id", ondelete="CASCADE")
    sign_in_id: UUID | None = Field(
        default=None, foreign_key="sign_in.id", ondelete="CASCADE", index=True
    )
    principal_id: UUID | None = Field(
        default=None, foreign_key="principal.id", ondelete="CASCADE", index=True
    )
    scopes: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    ends_at: datetime | None = optional_time_field()
    identity_hash: bytes | None = None
    expires_at: datetime = time_field()
    used_at: datetime | None = optional_time_field()


class Collection(SQLModel, table=True):
    """`visibility` tenant: every principal of the tenant may read; private: owner and grants only.
    `text_mode` is the same for all its files, and does not change while it has any. `language_models`
    says which of them may read it. `attributes` are what clients of vector stores note of it."""

    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    name: str
    visibility: str = "tenant"  # tenant | private
    text_mode: str = Field(
        default="full", sa_column_kwargs={"server_default": "full"}
    )  # muniment.contracts.text_modes.TextMode
    language_models: str = Field(
        default="any", sa_column_kwargs={"server_default": "any"}
    )  # muniment.contracts.language_models.ModelUse
    attributes: dict[str, JsonValue] = Field(
        default={},
        sa_column=Column("metadata", JSONB, nullable=False, server_default="{}"),
    )
    owner_id: UUID | None = Field(default=None, foreign_key="principal.id")
    revision: int = 1
    created_at: datetime = time_field()


class AccessGrant(SQLModel, table=True):
    """A principal or a group may read, write or manage a file or a collection: one level for each
    pair of who and what."""

    __tablename__ = "access_grant"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "principal_id",
            "group_id",
            "file_id",
            "collection_id",
            name="ux_access_grant_pair",
            postgresql_nulls_not_distinct=True,
        ),
        Index(
            "ix_access_grant_tenant_created",
            "tenant_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    principal_id: UUID | None = Field(
        default=None, foreign_key="principal.id", ondelete="CASCADE", index=True
    )
    group_id: UUID | None = Field(
        default=None, foreign_key="principal_group.id", ondelete="CASCADE", index=True
    )
    file_id: UUID | None = Field(
        default=None, foreign_key="file.id", ondelete="CASCADE", index=True
    )
    collection_id: UUID | None = Field(
        default=None, foreign_key="collection.id", ondelete="CASCADE", index=True
    )
    level: str  # read | write | manage
    created_at: datetime = time_field()

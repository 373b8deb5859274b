"""How people come in: their passwords, and the tokens that a sign-in gives.

Attempts to sign in are counted in `sign_in_attempt`, which only functions of the database touch.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from db.models.columns import id_field, optional_time_field, tenant_field, time_field


class PrincipalPassword(SQLModel, table=True):
    """A person's password as argon2id made it, with its parameters and salt."""

    __tablename__ = "principal_password"

    principal_id: UUID = Field(foreign_key="principal.id", primary_key=True, ondelete="CASCADE")
    tenant_id: UUID = tenant_field()
    password_hash: str
    changed_at: datetime = time_field()


class SignIn(SQLModel, table=True):
    """What began with a password, and what all tokens that come of it belong to: when it ends, they
    do."""

    __tablename__ = "sign_in"
    __table_args__ = (Index("ix_sign_in_expires_at", "expires_at"),)

    id: UUID = id_field()
    tenant_id: UUID = tenant_field()
    principal_id: UUID = Field(foreign_key="principal.id", ondelete="CASCADE", index=True)
    created_at: datetime = time_field()
    expires_at: datetime = time_field()
    ended_at: datetime | None = optional_time_field()


class BearerToken(SQLModel, table=True):
    """Stored as SHA-256, as keys are. A refresh token that was used stays until its sign-in is over:
    whoever shows it again has a copy."""

    __tablename__ = "bearer_token"

    token_hash: bytes = Field(primary_key=True)
    tenant_id: UUID = tenant_field()
    sign_in_id: UUID = Field(foreign_key="sign_in.id", ondelete="CASCADE", index=True)
    kind: str  # access | refresh | session
    expires_at: datetime = time_field()
    used_at: datetime | None = optional_time_field()


class ExternalIdentity(SQLModel, table=True):
    """Whom an issuer of tokens means by a subject. Of a principal that was deleted the hash alone
    stays, so that its tokens are refused and not taken for somebody new's. `groups_at`: when the
    token was issued that its groups were last taken from."""

    __tablename__ = "external_identity"

    tenant_id: UUID = Field(foreign_key="tenant.id", primary_key=True, index=True)
    identity_hash: bytes = Field(primary_key=True)
    principal_id: UUID = Field(foreign_key="principal.id", unique=True, ondelete="CASCADE")
    issuer: str | None
    subject: str | None
    groups_at: datetime | None = optional_time_field()
    created_at: datetime = time_field()


class SignInAttempt(SQLModel, table=True):
    """One try at a name or from an address, which `subject` is a hash of. Until it `failed` it is
    under way, or whoever made it was lost."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (
        Index("ix_sign_in_attempt_subject", "subject", "at"),
        Index("ix_sign_in_attempt_at", "at"),
    )

    id: UUID = Field(primary_key=True)
    subject: bytes = Field(primary_key=True)
    at: datetime = time_field()
    failed: bool = False

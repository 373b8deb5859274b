"""Invitations as clients see them: never the secret, except in the answer that made it."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, model_validator

from api.oidc.verifying import MAX_TOKEN_CHARACTERS
from api.principals.schemas import PrincipalName
from api.sign_ins.passwords import NewPassword
from api.times import UtcTime

MAX_GROUPS = 50

State = Literal["open", "accepted", "revoked", "expired"]


class Invitation(BaseModel):
    """`groups`: those that whoever accepts will belong to. `principal_id`: who came of it. While whoever
    made it is no administrator who can come in, nobody can accept it."""

    id: UUID
    name: str
    is_admin: bool
    groups: list[UUID]
    state: State
    created_by: UUID
    created_at: UtcTime
    expires_at: UtcTime
    accepted_at: UtcTime | None
    revoked_at: UtcTime | None
    principal_id: UUID | None


class NewInvitation(BaseModel):
    """Of a person, by the name that it will sign in with. `expires_at`: after seven days where none is
    given, and after thirty at the latest."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "ada@example.org"},
                {
                    "name": "grace@example.org",
                    "groups": ["01920000-0000-7000-8000-000000000001"],
                    "expires_at": "2026-12-01T12:00:00Z",
                },
            ]
        },
    )

    name: PrincipalName
    is_admin: bool = False
    groups: Annotated[list[UUID], Field(max_length=MAX_GROUPS)] = []
    expires_at: AwareDatetime | None = None


class CreatedInvitation(Invitation):
    """`token` is shown this once; a repetition with the same Idempotency-Key has null."""

    token: str | None


class Acceptance(BaseModel):
    """With a password of one's own choice, or an access token of the issuer, whose subject then means
    the new principal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"token": "munin_…", "password": "correct horse battery"}]},
    )

    token: Annotated[SecretStr, Field(max_length=200, description="Of the invitation.")]
    password: NewPassword | None = None
    issuer_token: Annotated[SecretStr, Field(max_length=MAX_TOKEN_CHARACTERS)] | None = None

    @model_validator(mode="after")
    def _has_one_way_in(self) -> "Acceptance":
        if (self.password is None) == (self.issuer_token is None):
            raise ValueError("give either password or issuer_token")
        return self


class AcceptedInvitation(BaseModel):
    """Who came of it, and what it signs in with."""

    principal_id: UUID
    name: str
    tenant: str

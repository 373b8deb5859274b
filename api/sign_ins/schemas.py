"""Signing in, as clients see it: OAuth 2.0's names (RFC 6749), as JSON or as a form. What else its
clients send, as `client_id` and `scope`, is left unread."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr

from api.principals.schemas import Kind, PrincipalName
from api.sign_ins.passwords import GivenPassword, NewPassword
from api.storable_text import StorableText

DEFAULT_TENANT = "default"


class NameAndPassword(BaseModel):
    """What somebody is known by."""

    username: PrincipalName
    password: GivenPassword
    tenant: Annotated[StorableText, Field(max_length=200, description="The tenant's name.")] = (
        DEFAULT_TENANT
    )


class PasswordGrant(NameAndPassword):
    """Signing in with name and password."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "grant_type": "password",
                    "username": "ada@example.org",
                    "password": "correct horse battery",
                }
            ]
        },
    )

    grant_type: Literal["password"]


class RefreshGrant(BaseModel):
    """New tokens for those that run out. A refresh token is good once."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [{"grant_type": "refresh_token", "refresh_token": "munrt_…"}]
        },
    )

    grant_type: Literal["refresh_token"]
    refresh_token: Annotated[SecretStr, Field(max_length=200)]


class TokenRequest(RootModel[PasswordGrant | RefreshGrant]):
    """By `grant_type`."""

    root: Annotated[PasswordGrant | RefreshGrant, Field(discriminator="grant_type")]


class RevokeRequest(BaseModel):
    """RFC 7009: either token of the sign-in that is to end."""

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"token": "munrt_…"}]}
    )

    token: Annotated[SecretStr, Field(max_length=200)]
    token_type_hint: Annotated[str | None, Field(max_length=50)] = None


class Tokens(BaseModel):
    """`expires_in` and `refresh_expires_in` in seconds. `scope` joins the scopes by blanks."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    scope: str


class Me(BaseModel):
    """Whoever calls, and what it came with."""

    id: UUID
    kind: Kind
    name: str
    is_admin: bool
    tenant_id: UUID
    tenant: str
    scopes: list[str]
    came_with: Literal["api_key", "sign_in", "issuer"]


class PasswordToSet(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"password": "correct horse battery"}]}
    )

    password: NewPassword


class PasswordChange(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "current_password": "correct horse battery",
                    "new_password": "staple battery horse correct",
                }
            ]
        },
    )

    current_password: GivenPassword
    new_password: NewPassword

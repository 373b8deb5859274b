"""API keys as clients see them: never the secret, except in the answer that made it."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.storable_text import StorableText
from api.times import UtcTime
from muniment.api_keys import ALL_SCOPES


def _known(scope: str) -> str:
    if scope not in ALL_SCOPES:
        raise ValueError(f"scopes are {', '.join(ALL_SCOPES)}")
    return scope


Scope = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(ALL_SCOPES)})]


class ApiKey(BaseModel):
    """`prefix` is how the key begins, so that people can tell keys apart."""

    id: UUID
    principal_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    expires_at: UtcTime | None
    last_used_at: UtcTime | None
    revoked_at: UtcTime | None
    created_at: UtcTime


class NewApiKey(BaseModel):
    """A key of the caller's own principal or, made by an administrator, of another. It can have no
    scope that what the caller came with lacks; made with a key, it expires with that at the latest."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "scanner", "scopes": ["files:write"]}]},
    )

    name: Annotated[StorableText, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=50)]
    expires_at: AwareDatetime | None = None
    principal_id: Annotated[
        UUID | None, Field(description="Whose; without it the caller's own.")
    ] = None


class CreatedApiKey(ApiKey):
    """`secret` is shown this once; a repetition with the same Idempotency-Key has null."""

    secret: str | None

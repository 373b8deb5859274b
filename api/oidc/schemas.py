"""Whom the issuer's tokens mean, as clients see it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.oidc.verifying import MAX_SUBJECT_CHARACTERS
from api.storable_text import StorableText
from api.times import UtcTime


class Identity(BaseModel):
    """`subject` is what the `issuer` calls the principal: `sub` in its tokens."""

    issuer: str
    subject: str
    created_at: UtcTime


class NewIdentity(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"subject": "5d1e2c3b-90aa-4f1c-9a61-3d4f0c2e8b77"}]},
    )

    subject: Annotated[
        StorableText,
        Field(
            min_length=1,
            max_length=MAX_SUBJECT_CHARACTERS,
            description="As the issuer's tokens have it in `sub`.",
        ),
    ]

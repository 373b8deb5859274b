"""Principals as clients see them."""

import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.times import UtcTime

Kind = Literal["user", "service"]


def clean_name(name: str) -> str:
    """As it is stored and compared: composed (NFC), without blanks around it."""
    if not name.isprintable() or not name.strip():
        raise ValueError("a name is made of printable characters")
    return unicodedata.normalize("NFC", name.strip())


PrincipalName = Annotated[
    str,
    Field(min_length=1, max_length=200, examples=["ada@example.org"]),
    AfterValidator(clean_name),
]


class Principal(BaseModel):
    """`user`: a person, who may have a password; `service`: a program, which has API keys. An
    administrator sees and manages everything of the tenant. One that is disabled cannot come in."""

    id: UUID
    kind: Kind
    name: str
    is_admin: bool
    disabled_at: UtcTime | None
    created_at: UtcTime


class NewPrincipal(BaseModel):
    """Only an administrator makes an administrator."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "user", "name": "ada@example.org"}]},
    )

    kind: Kind
    name: PrincipalName
    is_admin: bool = False


class PrincipalChange(BaseModel):
    """What is absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"disabled": True}]})

    name: PrincipalName | None = None
    is_admin: bool | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "PrincipalChange":
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("null is no value of any field")
        return self

"""Tenants, as those who operate see them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.principals.schemas import PrincipalName
from api.times import UtcTime


class Tenant(BaseModel):
    """Nobody comes into one that is disabled. One that operates makes and disables the others."""

    id: UUID
    name: str
    is_operator: bool
    disabled_at: UtcTime | None
    created_at: UtcTime


class FirstAdministrator(BaseModel):
    """A program's principal. The key has every scope, is shown once, and makes people."""

    id: UUID
    name: str
    api_key: str | None


class CreatedTenant(Tenant):
    administrator: FirstAdministrator


class NewTenant(BaseModel):
    """`name` is what people sign in with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "acme"}]})

    name: PrincipalName
    administrator: Annotated[
        PrincipalName, Field(description="Name of the first administrator.")
    ] = "administrator"


class TenantChange(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"disabled": True}]})

    disabled: bool

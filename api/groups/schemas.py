"""Groups as clients see them."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.principals.schemas import PrincipalName
from api.times import UtcTime


class Group(BaseModel):
    """What is granted to it, its members have."""

    id: UUID
    name: str
    created_at: UtcTime


class NewGroup(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "accounting"}]}
    )

    name: PrincipalName


class GroupChange(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "accounting and tax"}]}
    )

    name: PrincipalName

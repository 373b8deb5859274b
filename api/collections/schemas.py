"""Collections as clients see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.times import UtcTime

Visibility = Literal["tenant", "private"]


def _clean(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("a name is made of printable characters")
    return name.strip()


CollectionName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_clean)]


class Collection(BaseModel):
    """`visibility` tenant: everyone of the tenant reads its files and may add some; private: its
    owner, and who was granted it."""

    id: UUID
    name: str
    visibility: Visibility
    owner_id: UUID | None
    created_at: UtcTime


class NewCollection(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "law", "visibility": "private"}]}
    )

    name: CollectionName
    visibility: Visibility = "tenant"


class CollectionChange(BaseModel):
    """What is absent stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"visibility": "private"}]}
    )

    name: CollectionName | None = None
    visibility: Visibility | None = None

"""Grants as clients see them."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, model_validator

from api.times import UtcTime

Level = Literal["read", "write", "manage"]


class Grant(BaseModel):
    """To a principal or a group, on a file or a collection. Each level holds the one before it: `write`
    changes, `manage` erases, moves and grants."""

    id: UUID
    principal_id: UUID | None
    group_id: UUID | None
    file_id: UUID | None
    collection_id: UUID | None
    level: Level
    created_at: UtcTime


class NewGrant(BaseModel):
    """To one of `principal_id` and `group_id`, on one of `file_id` and `collection_id`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "group_id": "01920000-0000-7000-8000-000000000001",
                    "collection_id": "01920000-0000-7000-8000-000000000002",
                    "level": "read",
                }
            ]
        },
    )

    principal_id: UUID | None = None
    group_id: UUID | None = None
    file_id: UUID | None = None
    collection_id: UUID | None = None
    level: Level

    @model_validator(mode="after")
    def _names_one_of_each(self) -> "NewGrant":
        if (self.principal_id is None) == (self.group_id is None):
            raise ValueError("name either principal_id or group_id")
        if (self.file_id is None) == (self.collection_id is None):
            raise ValueError("name either file_id or collection_id")
        return self

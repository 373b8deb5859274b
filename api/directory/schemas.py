"""The directory, as whoever shares sees it."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel


class Entry(BaseModel):
    """`id` is what a grant names: as `group_id` of a group, as `principal_id` of the others."""

    kind: Literal["user", "service", "group"]
    id: UUID
    name: str


class Found(BaseModel):
    """By name. `truncated`: there are more, so that the query should say more of the name."""

    data: list[Entry]
    truncated: bool

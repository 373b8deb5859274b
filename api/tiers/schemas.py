"""Tiers as clients see them."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from muniment.contracts.move_tier import Tier


class WantedTier(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tier: Tier = Field(description="`hot`, or `cold`: for what is seldom asked for.")


class FileTiers(BaseModel):
    """How many of a file's versions lie in which tier, and how many are still to be moved. They can be
    read meanwhile."""

    file_id: UUID
    hot: int
    cold: int
    moving: int

"""Tiers as clients see them."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.queries.tier_policies import RuleSource
from muniment.contracts.move_tier import Tier


class WantedTier(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tier: Tier = Field(description="`hot`, or `cold`: for what is seldom asked for.")


class TierRule(BaseModel):
    """What decides when content goes to the cold tier by itself."""

    source: RuleSource = Field(
        description="Whose rule it is: the collection's own, the tenant's, or the installation's;"
        " `another_collection`: of one that has the same content, and keeps it in the hot tier longer."
    )
    after_days: float | None = Field(
        description="Content that nobody asked for in so many days goes there; null: it stays."
    )
    min_bytes: int = Field(description="Smaller content stays.")


class Retrievals(BaseModel):
    """Of the newest hundred versions in the cold tier, how many have to be retrieved from an archive before
    they are read, are on their way, or were retrieved and can be read for some days. Asking for content
    that is archived begins its retrieval."""

    archived: int
    in_progress: int
    retrieved: int


class FileTiers(BaseModel):
    """How many of a file's versions lie in which tier, and how many are still to be moved. They can be
    read meanwhile."""

    file_id: UUID
    hot: int
    cold: int
    moving: int
    retrieval: Retrievals | None = Field(
        default=None,
        description="Null where the cold store does not answer, or is asked too much already.",
    )
    rule: TierRule | None = Field(
        description="Null of what remains of an erased file whose collection was deleted."
    )

"""Language models as clients see them."""

from enum import StrEnum

from pydantic import BaseModel, Field

from api.times import UtcTime


class ModelState(StrEnum):
    """`resting`: it failed several times in a row, and this API process leaves it alone for a while."""

    AVAILABLE = "available"
    RESTING = "resting"
    PAUSED = "paused"


class LanguageModel(BaseModel):
    """A model that the operator configured. Where it is reached is not told."""

    name: str = Field(description="What it is called here.")
    model: str = Field(description="What its server calls it.")
    local: bool = Field(
        description="It runs in the house: collections with `language_models: local` may be read by it."
    )
    context_tokens: int
    state: ModelState
    paused_at: UtcTime | None = None
    paused_by_operator: bool = Field(
        default=False, description="For every tenant, by an administrator of the one that operates."
    )


class Tokens(BaseModel):
    """What models read and wrote for the tenant in this month (UTC)."""

    used: int
    reserved: int = Field(description="For answers that are in the making.")
    limit: int | None = Field(description="Null: any number.")
    resets_at: UtcTime


class LanguageModels(BaseModel):
    """In the order in which they are asked."""

    data: list[LanguageModel]
    tokens: Tokens

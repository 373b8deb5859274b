"""Tier policies as clients see them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_DAYS = 36_600
MAX_BYTES = 2**53 - 1


class WantedTierPolicy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after_days: Annotated[
        float | None,
        Field(
            ge=1,
            le=MAX_DAYS,
            allow_inf_nan=False,
            description="Content that nobody asked for in so many days goes to the cold tier; null: it"
            " stays in the hot one.",
        ),
    ]
    min_bytes: Annotated[int, Field(ge=0, le=MAX_BYTES, description="Smaller content stays.")] = (
        1024**2
    )

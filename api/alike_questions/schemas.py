"""From which likeness on a tenant has another question answered as an earlier one was."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LEAST_LIKENESS = 0.8
"""Below it nearly every question of a subject is alike to every other."""

Likeness = Annotated[
    float | None,
    Field(
        ge=LEAST_LIKENESS,
        le=1.0,
        description="The least cosine with the earlier question; null: no answer is told again to another"
        " question.",
        examples=[0.97],
    ),
]


class WantedAlikeQuestionPolicy(BaseModel):
    """What is to hold from now on."""

    model_config = ConfigDict(extra="forbid")

    least_likeness: Likeness


class AlikeQuestionPolicy(BaseModel):
    """What holds."""

    least_likeness: Likeness

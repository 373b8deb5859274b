"""Index versions as clients see them."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.times import UtcTime
from db.models import IndexVersion as IndexVersionRow
from muniment.contracts.reindex import Activation, IndexEvaluation, IndexState, Outcome
from muniment.embedding import MODEL_ID, SHORT_MODEL_ID

_FILLED = (IndexState.READY, IndexState.ACTIVE, IndexState.SUPERSEDED)


class NewIndexVersion(BaseModel):
    """What is to be built from the passages that are there. `automatic` activates it as soon as it is ready
    and, where it has a graph, finds what it should; else that waits for a person."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"model": SHORT_MODEL_ID, "activation": "manual"}]},
    )

    model: str = Field(
        default=MODEL_ID,
        max_length=200,
        description=f"`{MODEL_ID}` or `{SHORT_MODEL_ID}`.",
    )
    activation: Activation = Activation.MANUAL


class IndexVersion(BaseModel):
    """A tenant's vectors of one embedding model. The one that is `active` is searched; the one that is
    `building` or `ready` may take its place, and then the former is `superseded` until `retire_at`: it is
    kept as whole as the active one, and may be gone back to. `retired`: its vectors are deleted; `outcome`
    says why."""

    id: UUID
    model: str
    model_version: str
    dimensions: int
    state: IndexState
    outcome: Outcome | None
    activation: Activation
    paused: bool
    percent: float = Field(description="Of the building, 0–100.")
    passages_total: int = Field(description="That were there when the building began.")
    passages_done: int = Field(description="That the building gave their vectors.")
    evaluation: IndexEvaluation | None = Field(
        description="What was measured before it could be activated."
    )
    created_at: UtcTime
    activated_at: UtcTime | None
    retire_at: UtcTime | None

    @classmethod
    def of(cls, row: IndexVersionRow) -> Self:
        same = {"id", "model_version", "dimensions", "state", "outcome", "activation"}
        same |= {"passages_total", "passages_done", "evaluation"}
        same |= {"created_at", "activated_at", "retire_at"}
        return cls(
            model=row.model_id,
            paused=row.is_paused,
            percent=_percent(row),
            **row.model_dump(include=same),
        )


def _percent(row: IndexVersionRow) -> float:
    """Short of a hundred until nothing is missing."""
    if row.state in _FILLED:
        return 100.0
    if not row.passages_total:
        return 0.0
    return min(99.9, round(100 * row.passages_done / row.passages_total, 1))

"""Policies for findings as clients see them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.findings.schemas import MAX_ENTITY
from api.storable_text import StorableText
from api.times import UtcTime
from db.models import FindingPolicy as PolicyRecord
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import FindingAct


class NewFindingPolicy(BaseModel):
    """What is to become of findings from now on. Of several that concern a finding the strictest holds:
    `refuse` before `review` before `mask` before `record`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"entity": "CREDIT_CARD", "minimum_confidence": 0.5, "act": "mask"}
        },
    )

    act: FindingAct
    collection_id: Annotated[
        UUID | None,
        Field(description="Whose files it is for; without one the whole tenant's."),
    ] = None
    kind: Annotated[
        FindingKind | None, Field(description="Findings of this kind; without one of any.")
    ] = None
    entity: Annotated[
        StorableText | None,
        Field(
            min_length=1,
            max_length=MAX_ENTITY,
            pattern=r"^[A-Z][A-Z0-9_]*$",
            description="Findings of this type, as they are listed; without one of any.",
        ),
    ] = None
    minimum_confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0


class FindingPolicy(BaseModel):
    id: UUID
    act: FindingAct
    collection_id: UUID | None
    kind: FindingKind | None
    entity: Annotated[str | None, Field(examples=["CREDIT_CARD"])]
    minimum_confidence: float
    created_by: UUID
    created_at: UtcTime


def policy_view(policy: PolicyRecord) -> FindingPolicy:
    return FindingPolicy(
        id=policy.id,
        act=FindingAct(policy.act),
        collection_id=policy.collection_id,
        kind=None if policy.kind is None else FindingKind(policy.kind),
        entity=policy.entity,
        minimum_confidence=policy.minimum_score,
        created_by=policy.created_by,
        created_at=policy.created_at,
    )

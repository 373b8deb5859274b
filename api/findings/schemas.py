"""Findings as clients see them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.queries.findings import FindingDetail
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import FindingAct

MAX_ENTITY = 100


class FindingView(BaseModel):
    """A place, never the value. `start` and `end` are code points of the page's text, and equal for what
    is hidden and stands nowhere in it; `boxes` are in the page's frame, and empty where the reading
    knows no places."""

    id: UUID
    file_id: UUID
    version: int
    kind: FindingKind
    entity: Annotated[str, Field(examples=["EMAIL_ADDRESS"])]
    page: int
    start: int
    end: int
    boxes: list[list[float]] = Field(examples=[[[72.0, 90.0, 300.0, 104.0]]])
    confidence: float
    recogniser: Annotated[str, Field(examples=["EmailRecognizer"])]
    recogniser_version: Annotated[str, Field(examples=["presidio-analyzer-2.2.364"])]
    act: Annotated[FindingAct, Field(description="The strictest that policies ask for of it.")]
    token: Annotated[
        str | None,
        Field(
            description="What stands for it in passages, answers and pages; null: nothing does.",
            examples=["[EMAIL_ADDRESS_7Q2MK4XDPA]"],
        ),
    ]


class FindingValue(BaseModel):
    """What stands at a finding's place."""

    model_config = ConfigDict(json_schema_extra={"example": {"value": "ana@example.org"}})

    value: str


def finding_view(detail: FindingDetail) -> FindingView:
    row = detail.row
    return FindingView(
        id=row.id,
        file_id=detail.file_id,
        version=detail.version,
        kind=FindingKind(row.kind),
        entity=row.entity,
        page=row.page,
        start=row.start_offset,
        end=row.end_offset,
        boxes=row.boxes,
        confidence=row.score,
        recogniser=row.recogniser,
        recogniser_version=row.recogniser_version,
        act=FindingAct(row.act),
        token=row.token,
    )

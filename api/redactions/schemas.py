"""Redactions as they are asked for."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

Coordinate = Annotated[FiniteFloat, Field(ge=0, le=1_000_000)]
FindingType = Annotated[str, Field(min_length=1, max_length=100)]


class Region(BaseModel):
    """A place on a page: `bbox` is x0, y0, x1, y1 in points of the crop box after rotation, from its top
    left, as in `/pages`."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(ge=1, le=2**31 - 1)
    bbox: tuple[Coordinate, Coordinate, Coordinate, Coordinate] = Field(
        examples=[(72.0, 90.0, 300.0, 104.0)]
    )

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        left, top, right, bottom = self.bbox
        if left >= right or top >= bottom:
            raise ValueError("a box goes from left to right and from top to bottom")
        return self


class NewRedaction(BaseModel):
    """What is painted over: what was found, and regions."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "types": ["EMAIL_ADDRESS", "IBAN_CODE"],
                "least_confidence": 0.5,
                "regions": [{"page": 1, "bbox": [72.0, 90.0, 300.0, 104.0]}],
            }
        },
    )

    types: list[FindingType] | None = Field(
        default=None,
        max_length=100,
        description="Types of findings, as `EMAIL_ADDRESS`. Without it all; an empty list: none.",
        examples=[["EMAIL_ADDRESS", "IBAN_CODE"]],
    )
    least_confidence: float = Field(
        default=0.0, ge=0, le=1, description="Findings of less are left as they are."
    )
    regions: list[Region] = Field(default_factory=list, max_length=1_000)

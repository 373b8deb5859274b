"""Quotas as clients see them."""

from pydantic import BaseModel, Field


class Allowance(BaseModel):
    """Of one thing: how much there is, and how much there may be."""

    used: int
    limit: int | None = Field(description="Null: any amount.")


class Quotas(BaseModel):
    """What the tenant keeps, from the upload until the erasure; what lies in the trash counts."""

    bytes: Allowance = Field(
        description="Of every version of every file, as uploaded: content that several files have in"
        " common counts for each."
    )
    files: Allowance = Field(description="Those that came out of others included.")
    pages: Allowance = Field(description="Of every version of every file whose pages are known.")

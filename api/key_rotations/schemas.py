"""Rotations of the tenant's key as clients see them: versions, counts and times."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.times import UtcTime
from db.models import KeyRotation as KeyRotationRow
from muniment.contracts.rotate_keys import SHARDS, RotationState


class KeyRotation(BaseModel):
    """A rotation makes a new version of the tenant's key, wraps every data key anew, and then has the
    older versions unwrap nothing any more. Content stays as it is stored.

    The data keys are looked through in two rounds: at once, and from `retire_at` on for what was being
    uploaded meanwhile (`waiting` until then). `failed`: some data keys do not unwrap, or it was given
    up; nothing is retired then. Provider and versions are null until it has begun.
    """

    id: UUID
    state: RotationState
    created_at: UtcTime
    finished_at: UtcTime | None
    provider: str | None = Field(description="Whose versions these are: `file`, `vault` or `aws`.")
    from_version: int | None
    to_version: int | None
    round: int = Field(description="1 or 2.")
    percent: float = Field(description="Of the round, 0–100.")
    keys_looked_at: int
    keys_rewrapped: int
    keys_unreadable: int = Field(description="Data keys of the round that do not unwrap.")
    retire_at: UtcTime | None

    @classmethod
    def of(cls, row: KeyRotationRow) -> Self:
        fields = row.model_dump(exclude={"tenant_id", "shards_done", "replacing"})
        return cls(percent=round(100 * row.shards_done / SHARDS, 1), **fields)

"""Verification of stored content as clients see it: ids, counts and times."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.pagination import Page
from api.times import UtcTime
from muniment.contracts.verify_integrity import FaultKind, VerificationState


class IntegrityRun(BaseModel):
    """A run reads some blobs again, those first that were looked at longest ago, and repairs nothing.

    `planned_blobs` is null until it has begun. `looked_again`: those of `blobs` that had a fault
    before. `is_cut_short`: it ended at the limit of bytes, and the next one goes on there.
    `is_store_away`: nothing at all of what it looked for was in the store, or in one of its tiers.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: VerificationState
    created_at: UtcTime
    finished_at: UtcTime | None
    planned_blobs: int | None
    blobs: int
    looked_again: int
    bytes: int
    faults_found: int
    faults_closed: int
    is_cut_short: bool
    is_store_away: bool


class NeededBy(BaseModel):
    """A version that needs the blob: as its `content`, or as what that stage made of it."""

    file_id: UUID
    version: int
    role: str


class IntegrityFault(BaseModel):
    """A blob that is not what was stored, from when it was first seen on. It is closed when a run
    finds the blob sound again."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    blob_id: UUID
    kind: FaultKind
    first_seen_at: UtcTime
    last_seen_at: UtcTime
    needed_by: list[NeededBy] = Field(description="Versions that need it, the first twenty.")


class IntegrityReport(Page[IntegrityRun]):
    """Runs, newest first; and what is wrong now, first found first."""

    open_faults: int
    faults: list[IntegrityFault] = Field(
        description="The first hundred; `/v1/integrity/faults` lists all."
    )

"""Sweeps of retention and dispositions as clients see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.retention.schemas import MAX_DAYS, Time
from api.storable_text import StorableText
from api.times import UtcTime
from db.models import Disposition as DispositionRow
from db.models import RetentionDecision
from db.models import RetentionSweep as SweepRow
from muniment.contracts.retention_sweep import DispositionState, RetentionVerdict, SweepState


class NewSweep(BaseModel):
    """A look at all files of the tenant, now."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"dry_run": True}})

    dry_run: bool = Field(
        default=False, description="Files are judged and counted, and left alone."
    )
    as_of: Time | None = Field(
        default=None,
        description="The time as of which files are judged; without it now. One to come, of a dry run alone.",
    )


class NewDecision(BaseModel):
    """What a person decides, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"verdict": "approve", "reason": "Agreed with the archive."}},
    )

    verdict: RetentionVerdict
    reason: StorableText = Field(min_length=1, max_length=1_000)


class NewReview(NewDecision):
    """What a person decides about a file."""

    keep_days: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DAYS,
        description="Of a rejection: so long nobody is asked about the file again; 365 without it.",
    )


class Decision(BaseModel):
    """Stages of a sweep count from 1; a file that is due is decided about by two people."""

    id: UUID
    stage: int
    verdict: RetentionVerdict
    principal_id: UUID
    reason: str
    created_at: UtcTime

    @classmethod
    def of(cls, row: RetentionDecision) -> Self:
        return cls.model_validate(row, from_attributes=True)


class Sweep(BaseModel):
    """What is due is as of `judged_at`. `most`: so many may be deleted and relabelled without a decision.
    `held` would be due but for a legal hold. `passed_over` were due and came to be kept, or what
    came out of them is."""

    id: UUID
    state: SweepState
    dry_run: bool
    as_of: UtcTime
    requested_by: UUID | None = Field(description="Null: by its schedule.")
    created_at: UtcTime
    judged_at: UtcTime | None
    finished_at: UtcTime | None
    files: int
    held: int
    due_deletions: int
    due_reviews: int
    due_relabelings: int
    most: int | None
    deleted: int
    reviews: int = Field(description="Files that were put before people.")
    relabelled: int
    passed_over: int

    @classmethod
    def of(cls, row: SweepRow) -> Self:
        known = {name: getattr(row, name) for name in cls.model_fields if name != "dry_run"}
        return cls(**known, dry_run=row.is_dry_run)


class SweepWithDecisions(Sweep):
    """With what was decided, the first first."""

    decisions: list[Decision] = []


class Disposition(BaseModel):
    """A file whose retention has ended and whose `policies` want two people to agree before it is deleted.
    `keep_until`: nobody is asked again before. `job_id`: of the erasure."""

    id: UUID
    file_id: UUID
    sweep_id: UUID
    state: DispositionState
    policies: list[UUID]
    created_at: UtcTime
    ended_at: UtcTime | None
    keep_until: UtcTime | None
    job_id: UUID | None
    decisions: list[Decision] = []

    @classmethod
    def of(cls, row: DispositionRow, decisions: Sequence[RetentionDecision]) -> Self:
        names = cls.model_fields.keys() - {"decisions"}
        known = {name: getattr(row, name) for name in names}
        return cls(**known, decisions=[Decision.of(each) for each in decisions])


def with_decisions(row: SweepRow, decisions: Sequence[RetentionDecision]) -> SweepWithDecisions:
    shown = Sweep.of(row).model_dump()
    return SweepWithDecisions(**shown, decisions=[Decision.of(each) for each in decisions])


def moment_of(wanted: NewSweep, moment: datetime) -> datetime:
    return moment if wanted.as_of is None else wanted.as_of

"""A job as clients see it."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr

from api.storable_text import LARGEST_INTEGER, StorableText
from api.times import UtcTime
from muniment.contracts.jobs import (
    JobKind,
    JobState,
    PageCounts,
    Problem,
    StageName,
    StageState,
)


class StageView(BaseModel):
    """A stage. `done` and `total` count its own units: pages for `read`, chunks for `embed`."""

    name: StageName
    state: StageState
    done: int
    total: int
    attempts: int
    queue: str | None
    started_at: UtcTime | None
    finished_at: UtcTime | None
    error: Problem | None


class Job(BaseModel):
    """A job. Terminal states never change; `percent` (0–100) never falls.

    `stale`: the workflow did not answer in time, and this is what was last recorded.
    `eta_seconds` is null while nothing was counted from which to tell.
    """

    id: UUID
    kind: JobKind
    workflow_id: str
    run_id: str | None
    temporal_url: str | None
    file_id: UUID
    version: int | None
    state: JobState
    stage: StageName | None
    stages: list[StageView]
    pages: PageCounts
    percent: Annotated[float, Field(ge=0, le=100)]
    eta_seconds: float | None
    degraded: bool
    stale: bool
    priority: int
    retry_of: UUID | None
    error: Problem | None
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None


class ReprioritiseBody(BaseModel):
    """1 is first, 5 last."""

    priority: Annotated[int, Field(ge=1, le=5)]


class DecisionBody(BaseModel):
    """Why a file was released or rejected; kept with the decision."""

    reason: Annotated[StorableText | None, Field(max_length=2000)] = None


class RetryBody(BaseModel):
    """`pages` names the pages that should be read again. Pages that were read are found by their
    fingerprints and not read twice, so naming them checks that they exist and failed."""

    pages: Annotated[
        list[Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]] | None, Field(max_length=10_000)
    ] = None
    password: Annotated[SecretStr | None, Field(max_length=1_024, exclude=True)] = None
    """Opens an encrypted document; a job's own was destroyed when the job ended."""

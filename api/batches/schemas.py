"""A batch as clients see it."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.times import UtcTime
from muniment.contracts.ingest_batch import BatchState

MAX_FILES = 10_000


class NewBatch(BaseModel):
    """Files that are uploaded already, in the order in which they are to be read."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[list[UUID], Field(min_length=1, max_length=MAX_FILES)]
    priority: int = Field(default=3, ge=1, le=5)


class BatchCountsView(BaseModel):
    """`queued` have not begun; `running` are at work or paused; `waiting` wait for a person; `gone`
    were trashed or erased before their turn. They sum to `total`, but for files erased since."""

    total: int
    queued: int
    running: int
    waiting: int
    done: int
    failed: int
    cancelled: int
    gone: int


class Batch(BaseModel):
    """A batch. Its files' jobs are jobs as all others, and are told and retried as such."""

    id: UUID
    state: BatchState
    priority: int
    workflow_id: str
    temporal_url: str | None
    files: BatchCountsView
    percent: Annotated[float, Field(ge=0, le=100)]
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None

"""The activity feed as clients see it."""

from uuid import UUID

from pydantic import BaseModel

from api.times import UtcTime
from db.activity_feed import ActivityKind


class Actor(BaseModel):
    """`name` is null of whoever was deleted since."""

    id: UUID
    name: str | None


class ActivityEntry(BaseModel):
    """What was done to a file, by whom (null: by nobody, such as the end of its ingestion). `name` is what
    the file is called now. `subject_id` is what a kind speaks of besides: the share link, the grant, the
    annotation."""

    id: UUID
    at: UtcTime
    kind: ActivityKind
    file_id: UUID
    name: str
    version: int | None
    actor: Actor | None
    subject_id: UUID | None
    job_id: UUID | None

"""`/v1/activity` and `/v1/files/{id}/activity`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.activity.schemas import ActivityEntry, Actor
from api.authentication import Caller, require
from api.files.service import require_file
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import problems
from api.services import Provided
from db.activity_feed import ActivityKind
from db.queries import activity
from db.queries.activity import ActivityEntry as EntryRecord
from db.queries.activity import ActivityFilter

router = APIRouter(tags=["activity"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Kinds = Annotated[
    list[ActivityKind] | None,
    Query(alias="kind", max_length=len(ActivityKind), description="Any of these."),
]
By = Annotated[UUID | None, Query(alias="actor", description="Done by this principal.")]


@router.get(
    "/v1/activity", summary="List what happened to files, newest first", responses=problems(400)
)
async def list_activity(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    kind: Kinds = None,
    actor: By = None,
) -> Page[ActivityEntry]:
    """Of the files that the caller may read now, by the names that they have now. Grants are shown to
    whoever manages the file, share links to whoever made them and to administrators. A page may be empty
    and have a `next_cursor`: of many entries that the caller may not see, some are passed over at a time."""
    return await _listed(services, caller, ActivityFilter(None, actor, kind or ()), limit, cursor)


@router.get(
    "/v1/files/{file_id}/activity",
    summary="List what happened to a file, newest first",
    responses=problems(400, 404),
)
async def list_file_activity(
    file_id: UUID,
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    kind: Kinds = None,
    actor: By = None,
) -> Page[ActivityEntry]:
    """As `/v1/activity`, of one file; of one that was erased nothing is left."""
    async with services.database.transaction(caller.access) as session:
        await require_file(session, file_id)
    wanted = ActivityFilter(file_id, actor, kind or ())
    return await _listed(services, caller, wanted, limit, cursor)


async def _listed(
    services: Provided, caller: Caller, wanted: ActivityFilter, limit: int, cursor: str | None
) -> Page[ActivityEntry]:
    place = decode_cursor(TimeCursor, cursor)
    after = place.key() if place else None
    async with services.database.transaction(caller.access) as session:
        rows = await activity.list_activity(session, wanted, limit=limit + 1, after=after)
        is_full = len(rows) > limit
        place_after = None if is_full else await activity.looked_up_to(session, wanted, after)
    shown, last = cut(rows, limit)
    if last is not None:
        place_after = (last.activity.at, last.activity.id)
    following = None
    if place_after is not None:
        following = encode_cursor(TimeCursor(at=place_after[0], id=place_after[1]))
    return Page(data=[_view(each) for each in shown], next_cursor=following)


def _view(entry: EntryRecord) -> ActivityEntry:
    record = entry.activity
    actor = None
    if record.actor_id is not None:
        actor = Actor(id=record.actor_id, name=entry.actor_name)
    return ActivityEntry(
        id=record.id,
        at=record.at,
        kind=ActivityKind(record.kind),
        file_id=record.file_id,
        name=entry.file_name,
        version=entry.version_number,
        actor=actor,
        subject_id=record.subject_id,
        job_id=record.job_id,
    )

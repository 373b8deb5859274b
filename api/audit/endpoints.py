"""`/v1/audit`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, JsonValue

from api.authentication import Caller, require
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
from api.times import UtcTime
from db.queries import access
from db.queries.access import AuditFilter

router = APIRouter(prefix="/v1/audit", tags=["audit"])


class AuditEvent(BaseModel):
    """One act, written in the transaction of what it reports."""

    id: UUID
    at: UtcTime
    actor_id: UUID | None
    actor_kind: str
    action: str
    object_type: str
    object_id: UUID | None
    request_id: str | None
    payload: dict[str, JsonValue]


@router.get("", summary="List audit events, newest first", responses=problems(400))
async def list_audit_events(
    services: Provided,
    caller: Annotated[Caller, Depends(require("audit:read"))],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    object_id: Annotated[UUID | None, Query(alias="object")] = None,
    actor_id: Annotated[UUID | None, Query(alias="actor")] = None,
) -> Page[AuditEvent]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await access.list_audit_events(
            session,
            AuditFilter(action, object_id, actor_id),
            limit=limit + 1,
            after=place.key() if place else None,
        )
    shown, last = cut(rows, limit)
    following = None if last is None else encode_cursor(TimeCursor(at=last.at, id=last.id))
    data = [AuditEvent.model_validate(each, from_attributes=True) for each in shown]
    return Page(data=data, next_cursor=following)

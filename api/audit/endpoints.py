"""`/v1/audit`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from api.audit import service
from api.audit.schemas import AuditCheckpoint, AuditEvent, AuditProof, SealedTrail
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
from api.storable_text import LARGEST_BIG_INTEGER
from db.queries import access
from db.queries.access import AuditFilter

router = APIRouter(prefix="/v1/audit", tags=["audit"])


Auditor = Annotated[Caller, Depends(require("audit:read"))]
Manager = Annotated[Caller, Depends(require("tenants:manage"))]
MAX_EXPORTED = 1000
Size = Annotated[
    int | None,
    Query(
        ge=1,
        le=LARGEST_BIG_INTEGER,
        description="Of a checkpoint over so many events; else the newest.",
    ),
]
Seq = Annotated[int, Path(ge=0, le=LARGEST_BIG_INTEGER)]


@router.get("", summary="List audit events, newest first", responses=problems(400))
async def list_audit_events(
    services: Provided,
    caller: Auditor,
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
        data = await service.with_places(session, shown)
    following = None if last is None else encode_cursor(TimeCursor(at=last.at, id=last.id))
    return Page(data=data, next_cursor=following)


@router.get(
    "/checkpoint",
    summary="The newest signed checkpoint over the trail",
    responses=problems(400, 404),
)
async def show_audit_checkpoint(
    services: Provided,
    caller: Auditor,
    size: Size = None,
    since: Annotated[
        int | None,
        Query(
            ge=1,
            le=LARGEST_BIG_INTEGER,
            description="Prove that the trail of so many events is its beginning.",
        ),
    ] = None,
) -> AuditCheckpoint:
    async with services.database.transaction(caller.access) as session:
        return await service.show_checkpoint(session, size, since)


@router.get(
    "/proof/{seq}",
    summary="Prove that an event stands in the trail",
    responses=problems(400, 404),
)
async def prove_audit_event(
    services: Provided, caller: Auditor, seq: Seq, size: Size = None
) -> AuditProof:
    async with services.database.transaction(caller.access) as session:
        return await service.prove(session, seq, size)


@router.get(
    "/sealed",
    summary="Export the sealed trail, oldest first, to be verified elsewhere",
    responses=problems(400, 404),
)
async def export_audit_trail(
    services: Provided,
    caller: Auditor,
    first: Annotated[int, Query(ge=0, le=LARGEST_BIG_INTEGER)] = 0,
    until: Size = None,
    limit: Annotated[int, Query(ge=1, le=MAX_EXPORTED)] = MAX_EXPORTED,
) -> SealedTrail:
    """Keep `until`, the size of a checkpoint, the same from part to part: each export is itself recorded."""
    async with services.database.transaction(caller.access) as session:
        return await service.export(session, caller, first, until, limit)


@router.delete(
    "/{event_id}/details",
    status_code=204,
    summary="Erase the details of an event; the trail goes on proving the rest",
    responses=problems(404, 409),
)
async def erase_audit_details(services: Provided, caller: Manager, event_id: UUID) -> None:
    """Its payload and the address that it came from, for administrators; that they were erased is itself
    recorded."""
    async with services.database.transaction(caller.access) as session:
        await service.erase_details(session, caller, event_id)

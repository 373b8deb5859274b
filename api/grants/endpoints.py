"""`/v1/grants`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.grants import service
from api.grants.schemas import Grant, NewGrant
from api.idempotency import Answer, hash_of, idempotent, json_answer
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
from api.preconditions import IfMatch, tagged
from api.problem_responses import problems
from api.services import Provided
from db.queries import grants
from db.queries.grants import GrantPair

router = APIRouter(prefix="/v1/grants", tags=["grants"])

Sharer = Annotated[Caller, Depends(require("files:share"))]


@router.get("", summary="List grants, newest first", responses=problems(400))
async def list_grants(
    services: Provided,
    caller: Sharer,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    file: Annotated[UUID | None, Query(description="On this file.")] = None,
    collection: Annotated[UUID | None, Query(description="On this collection.")] = None,
    principal: Annotated[UUID | None, Query(description="To this principal.")] = None,
    group: Annotated[UUID | None, Query(description="To this group.")] = None,
) -> Page[Grant]:
    """Those on what the caller manages, and those to itself or its groups."""
    place = decode_cursor(TimeCursor, cursor)
    wanted = GrantPair(principal, group, file, collection)
    async with services.database.transaction(caller.access) as session:
        rows = await grants.list_grants(
            session, wanted, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.grant_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Let a principal or a group read, write or manage a file or a collection",
    response_model=Grant,
    responses={
        **problems(404, 409, 410, 422),
        200: {"model": Grant, "description": "There was one for the pair; it has this level now."},
    },
)
async def create_grant(
    body: NewGrant, request: Request, services: Provided, caller: Sharer
) -> Response:
    """For whoever manages the file or the collection: who owns it, an administrator, or who was granted
    `manage`. In force with the next request."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return tagged(replayed, service.tag_of(body.level))
        async with services.database.transaction(caller.access) as session:
            granted = await service.give(session, caller, body)
            await session.flush()
            view = service.grant_view(granted.grant).model_dump(mode="json")
            status = 201 if granted.is_new else 200
            answer = Answer(status, view, f"/v1/grants/{granted.grant.id}")
            await attempt.complete(session, answer)
    return tagged(json_answer(answer), service.tag_of(body.level))


@router.get("/{grant_id}", summary="Show a grant", response_model=Grant, responses=problems(404))
async def show_grant(grant_id: UUID, services: Provided, caller: Sharer) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_grant(session, grant_id)
    body = service.grant_view(found).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(found)})


@router.delete(
    "/{grant_id}", status_code=204, summary="Take a grant back", responses=problems(404, 412)
)
async def delete_grant(
    grant_id: UUID, services: Provided, caller: Sharer, if_match: IfMatch = None
) -> None:
    """For whoever manages what it is on. In force with the next request. The ETag tells the level."""
    async with services.database.transaction(caller.access) as session:
        await service.take_back(session, caller, if_match, grant_id)

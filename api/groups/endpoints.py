"""`/v1/groups`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.groups import service
from api.groups.schemas import Group, GroupChange, NewGroup
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
from api.preconditions import FIRST_TAG, IfMatch, tagged
from api.principals.listing import principals_page
from api.principals.schemas import Principal, PrincipalName
from api.problem_responses import problems
from api.services import Provided
from db.models import PrincipalGroup
from db.queries import principals
from db.queries.principals import PrincipalFilter

router = APIRouter(prefix="/v1/groups", tags=["groups"])

Manager = Annotated[Caller, Depends(require("principals:manage"))]


@router.get("", summary="List groups, newest first", responses=problems(400))
async def list_groups(
    services: Provided,
    caller: Manager,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    name: Annotated[PrincipalName | None, Query(description="Of exactly this name.")] = None,
) -> Page[Group]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await principals.list_groups(
            session, name=name, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.group_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Create a group",
    response_model=Group,
    responses=problems(409, 422),
)
async def create_group(
    body: NewGroup, request: Request, services: Provided, caller: Manager
) -> Response:
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return tagged(replayed, FIRST_TAG)
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            view = service.group_view(made).model_dump(mode="json")
            answer = Answer(201, view, f"/v1/groups/{made.id}")
            await attempt.complete(session, answer)
    return tagged(json_answer(answer), FIRST_TAG)


@router.get("/{group_id}", summary="Show a group", response_model=Group, responses=problems(404))
async def show_group(group_id: UUID, services: Provided, caller: Manager) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_group(session, group_id)
    return _tagged(found)


@router.patch(
    "/{group_id}",
    summary="Rename a group",
    response_model=Group,
    responses=problems(404, 409, 412, 422),
)
async def change_group(
    group_id: UUID,
    body: GroupChange,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.change(session, caller, if_match, group_id, body)
    return _tagged(found)


@router.delete(
    "/{group_id}", status_code=204, summary="Delete a group", responses=problems(404, 412)
)
async def delete_group(
    group_id: UUID, services: Provided, caller: Manager, if_match: IfMatch = None
) -> None:
    """What was granted to it ends with the next request of its members."""
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, if_match, group_id)


@router.get("/{group_id}/members", summary="List a group's members", responses=problems(400, 404))
async def list_members(
    group_id: UUID,
    services: Provided,
    caller: Manager,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Principal]:
    """Newest principals first."""
    async with services.database.transaction(caller.access) as session:
        await service.require_group(session, group_id)
    wanted = PrincipalFilter(group_id=group_id)
    return await principals_page(services, caller, wanted, limit, cursor)


@router.put(
    "/{group_id}/members/{principal_id}",
    status_code=204,
    summary="Make a principal a member of a group",
    responses=problems(404, 412),
)
async def add_member(
    group_id: UUID,
    principal_id: UUID,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> None:
    """It has what is granted to the group from its next request on. `If-Match` is the group's ETag, which
    tells its name, not its members."""
    async with services.database.transaction(caller.access) as session:
        await service.add_member(session, caller, if_match, group_id, principal_id)


@router.delete(
    "/{group_id}/members/{principal_id}",
    status_code=204,
    summary="Take a principal out of a group",
    responses=problems(404, 412),
)
async def remove_member(
    group_id: UUID,
    principal_id: UUID,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> None:
    async with services.database.transaction(caller.access) as session:
        await service.remove_member(session, caller, if_match, group_id, principal_id)


def _tagged(found: PrincipalGroup) -> Response:
    body = service.group_view(found).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(found)})

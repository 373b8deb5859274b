"""`/v1/principals`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from api.preconditions import FIRST_TAG, IfMatch, tagged
from api.principals import service
from api.principals.listing import principals_page
from api.principals.schemas import Kind, NewPrincipal, Principal, PrincipalChange, PrincipalName
from api.problem_responses import problems
from api.services import Provided
from db.models import Principal as PrincipalRecord
from db.queries.principals import PrincipalFilter

router = APIRouter(prefix="/v1/principals", tags=["principals"])

Manager = Annotated[Caller, Depends(require("principals:manage"))]
Named = Annotated[PrincipalName | None, Query(description="Of exactly this name.")]


@router.get("", summary="List principals, newest first", responses=problems(400))
async def list_principals(
    services: Provided,
    caller: Manager,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    name: Named = None,
    kind: Annotated[Kind | None, Query(description="People, or programs.")] = None,
) -> Page[Principal]:
    """Those that are disabled too, but none that was deleted."""
    return await principals_page(services, caller, PrincipalFilter(name, kind), limit, cursor)


@router.post(
    "",
    status_code=201,
    summary="Create a principal",
    response_model=Principal,
    responses=problems(409, 422),
)
async def create_principal(
    body: NewPrincipal, request: Request, services: Provided, caller: Manager
) -> Response:
    """It can do nothing until it has an API key, or a person a password."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return tagged(replayed, FIRST_TAG)
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            view = service.principal_view(made).model_dump(mode="json")
            answer = Answer(201, view, f"/v1/principals/{made.id}")
            await attempt.complete(session, answer)
    return tagged(json_answer(answer), FIRST_TAG)


@router.get(
    "/{principal_id}",
    summary="Show a principal",
    response_model=Principal,
    responses=problems(404),
)
async def show_principal(principal_id: UUID, services: Provided, caller: Manager) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_principal(session, principal_id)
    return _tagged(found)


@router.patch(
    "/{principal_id}",
    summary="Rename, disable or enable a principal, or make it an administrator",
    response_model=Principal,
    responses=problems(404, 409, 412, 422),
)
async def change_principal(
    principal_id: UUID,
    body: PrincipalChange,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> Response:
    """In force with the next request. Disabling ends what the principal signed in to; its API keys
    rest. The last administrator can be neither disabled nor made another."""
    async with services.database.transaction(caller.access) as session:
        found = await service.change(session, caller, if_match, principal_id, body)
    return _tagged(found)


@router.delete(
    "/{principal_id}",
    status_code=204,
    summary="Delete a principal",
    responses=problems(404, 409, 412, 422),
)
async def delete_principal(
    principal_id: UUID,
    services: Provided,
    caller: Manager,
    successor: Annotated[
        UUID | None,
        Query(description="Whom the files, collections and unfinished batches go to."),
    ] = None,
    if_match: IfMatch = None,
) -> None:
    """Its keys are revoked, its sign-ins end, its grants and memberships go, and its name is free. The
    audit trail keeps its id. 409 while it owns something and no successor is named."""
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, if_match, principal_id, successor)


def _tagged(found: PrincipalRecord) -> Response:
    body = service.principal_view(found).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(found)})

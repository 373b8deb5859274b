"""`/v1/tenants`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
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
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from api.tenants import service
from api.tenants.schemas import CreatedTenant, NewTenant, Tenant, TenantChange
from db.queries import tenants
from db.queries.tenants import FoundTenant

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])

Operator = Annotated[Caller, Depends(require("tenants:manage"))]


@router.get("", summary="List tenants, newest first", responses=problems(400))
async def list_tenants(
    services: Provided, caller: Operator, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Tenant]:
    """For administrators of the tenant that operates, as everything here."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        await service.require_operator(session, caller)
        rows = await tenants.list_tenants(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.tenant_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Create a tenant",
    response_model=CreatedTenant,
    responses=problems(409, 422),
)
async def create_tenant(
    body: NewTenant, request: Request, services: Provided, caller: Operator
) -> Response:
    """With a first administrator, whose API key is shown in this answer and never again."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            location = f"/v1/tenants/{made.id}"
            kept = made.model_copy(deep=True)
            kept.administrator.api_key = None
            await attempt.complete(session, Answer(201, kept.model_dump(mode="json"), location))
    return json_answer(Answer(201, made.model_dump(mode="json"), location))


@router.get("/{tenant_id}", summary="Show a tenant", response_model=Tenant, responses=problems(404))
async def show_tenant(tenant_id: UUID, services: Provided, caller: Operator) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_tenant(session, caller, tenant_id)
    return _tagged(found)


@router.patch(
    "/{tenant_id}",
    summary="Disable or enable a tenant",
    response_model=Tenant,
    responses=problems(404, 409, 412, 422),
)
async def change_tenant(
    tenant_id: UUID,
    body: TenantChange,
    services: Provided,
    caller: Operator,
    if_match: IfMatch = None,
) -> Response:
    """Nobody comes into a disabled tenant from the next request on, by whatever door; its sign-ins end,
    its share links, webhooks and imports rest. What was begun goes on to its end, and so do the
    checks of what is stored. Enabled again, those may come in who could before."""
    async with services.database.transaction(caller.access) as session:
        found = await service.change(session, caller, if_match, tenant_id, disabled=body.disabled)
    return _tagged(found)


def _tagged(found: FoundTenant) -> Response:
    body = service.tenant_view(found).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(found)})

"""`/v1/api-keys`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.api_keys import service
from api.api_keys.schemas import ApiKey, CreatedApiKey, NewApiKey
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
from api.problem_responses import problems
from api.services import Provided
from db.queries import access

router = APIRouter(prefix="/v1/api-keys", tags=["api keys"])

Manager = Annotated[Caller, Depends(require("keys:manage"))]


@router.get("", summary="List API keys, newest first", responses=problems(400))
async def list_api_keys(
    services: Provided, caller: Manager, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ApiKey]:
    """The caller's own; for an administrator all of the tenant's."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await access.list_api_keys(
            session,
            principal_id=service.whose(caller),
            limit=limit + 1,
            after=place.key() if place else None,
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.api_key_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    response_model=CreatedApiKey,
    responses=problems(404, 409, 422),
)
async def create_api_key(
    body: NewApiKey, request: Request, services: Provided, caller: Manager
) -> Response:
    """The secret is shown in this answer and never again."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made, secret = await service.create(session, caller, body)
            view = service.api_key_view(made).model_dump(mode="json")
            location = f"/v1/api-keys/{made.id}"
            await attempt.complete(session, Answer(201, {**view, "secret": None}, location))
    return json_answer(Answer(201, {**view, "secret": secret}, location))


@router.delete(
    "/{key_id}", summary="Revoke an API key", response_model=ApiKey, responses=problems(404)
)
async def revoke_api_key(key_id: UUID, services: Provided, caller: Manager) -> ApiKey:
    """At once and for good; revoking a revoked key changes nothing."""
    async with services.database.transaction(caller.access) as session:
        return service.api_key_view(await service.revoke(session, caller, key_id))

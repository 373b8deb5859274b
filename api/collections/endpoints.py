"""`/v1/collections`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.collections import service
from api.collections.schemas import Collection, CollectionChange, NewCollection
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
from api.problem_responses import problems
from api.services import Provided
from db.queries import collections

router = APIRouter(prefix="/v1/collections", tags=["collections"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]
Deleter = Annotated[Caller, Depends(require("files:delete"))]


@router.get("", summary="List collections, newest first", responses=problems(400))
async def list_collections(
    services: Provided, caller: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Collection]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await collections.list_collections(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.collection_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Create a collection",
    response_model=Collection,
    responses=problems(409, 422),
)
async def create_collection(
    body: NewCollection, request: Request, services: Provided, caller: Writer
) -> Response:
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return tagged(replayed, FIRST_TAG)
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            view = service.collection_view(made).model_dump(mode="json")
            answer = Answer(201, view, f"/v1/collections/{made.id}")
            await attempt.complete(session, answer)
    return tagged(json_answer(answer), FIRST_TAG)


@router.get(
    "/{collection_id}",
    summary="Show a collection",
    response_model=Collection,
    responses=problems(404),
)
async def show_collection(collection_id: UUID, services: Provided, caller: Reader) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_collection(session, collection_id)
    body = service.collection_view(found).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(found)})


@router.patch(
    "/{collection_id}",
    summary="Change a collection",
    response_model=Collection,
    responses=problems(404, 409, 412, 422),
)
async def change_collection(
    collection_id: UUID,
    body: CollectionChange,
    services: Provided,
    caller: Writer,
    if_match: IfMatch = None,
) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.change(session, caller, if_match, collection_id, body)
    view = service.collection_view(found).model_dump(mode="json")
    return JSONResponse(view, headers={"ETag": service.entity_tag(found)})


@router.delete(
    "/{collection_id}",
    status_code=204,
    summary="Delete an empty collection",
    responses=problems(404, 409),
)
async def delete_collection(collection_id: UUID, services: Provided, caller: Deleter) -> None:
    await service.delete(services.database, caller, collection_id)

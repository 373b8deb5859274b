"""`/openai/v1/vector_stores`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.openai_compatible.errors import PREFIX, UnsupportedParameter
from api.openai_compatible.ids import IdPrefix, uuid_of
from api.openai_compatible.lists import After, ListPage, OldestOrNewest, PageSize, page_limit
from api.openai_compatible.responses import openai_problems
from api.openai_compatible.vector_stores import service
from api.openai_compatible.vector_stores.schemas import (
    DeletedVectorStore,
    NewVectorStore,
    SearchResults,
    VectorStore,
    VectorStoreChange,
    VectorStoreSearch,
)
from api.openai_compatible.vector_stores.search import search_store
from api.services import Provided

router = APIRouter(prefix=f"{PREFIX}/vector_stores", tags=["OpenAI"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]
Deleter = Annotated[Caller, Depends(require("files:delete"))]
Searching = Annotated[Caller, Depends(require("search"))]
Before = Annotated[str | None, Query(description="Not served: lists are walked with `after`.")]


@router.post(
    "",
    summary="Create a vector store",
    response_model=VectorStore,
    responses=openai_problems(404, 409),
)
async def create_store(
    body: NewVectorStore, request: Request, services: Provided, caller: Writer
) -> Response:
    """A collection that everyone of the tenant reads, as `POST /v1/collections` makes it."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            answer = Answer(200, made.model_dump(mode="json"))
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get("", summary="List vector stores", responses=openai_problems(404))
async def list_stores(
    services: Provided,
    caller: Reader,
    limit: PageSize = 20,
    after: After = None,
    before: Before = None,
    order: OldestOrNewest = "desc",
) -> ListPage[VectorStore]:
    """Every collection that the caller may read."""
    refuse_before(before)
    return await service.list_stores(
        services,
        caller,
        limit=page_limit(limit),
        after=None if after is None else uuid_of(IdPrefix.VECTOR_STORE, after),
        order=order,
    )


@router.get("/{vector_store_id}", summary="Show a vector store", responses=openai_problems(404))
async def show_store(vector_store_id: str, services: Provided, caller: Reader) -> VectorStore:
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        found = await service.require_store(session, store_id)
        return (await service.store_views(session, [found]))[0]


@router.post(
    "/{vector_store_id}",
    summary="Change a vector store's name or metadata",
    responses=openai_problems(404, 409),
)
async def change_store(
    vector_store_id: str, body: VectorStoreChange, services: Provided, caller: Writer
) -> VectorStore:
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        return await service.change(session, caller, store_id, body)


@router.delete(
    "/{vector_store_id}", summary="Delete a vector store", responses=openai_problems(404, 409)
)
async def delete_store(
    vector_store_id: str, services: Provided, caller: Deleter
) -> DeletedVectorStore:
    """Files that were attached to it stay; 409 while it is the collection in which files lie."""
    await service.delete(services, caller, uuid_of(IdPrefix.VECTOR_STORE, vector_store_id))
    return DeletedVectorStore(id=vector_store_id)


@router.post(
    "/{vector_store_id}/search",
    summary="Search a vector store",
    responses=openai_problems(404),
)
async def search(
    vector_store_id: str, body: VectorStoreSearch, services: Provided, caller: Searching
) -> SearchResults:
    """By words and by meaning, as `POST /v1/search`, among the store's files that the caller may read."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    return await search_store(services, caller, store_id, body)


def refuse_before(before: str | None) -> None:
    if before is not None:
        raise UnsupportedParameter("before", "lists are walked forwards", remedy="Use `after`.")

"""`/openai/v1/vector_stores/{id}/files` and `…/file_batches`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.openai_compatible.errors import PREFIX
from api.openai_compatible.ids import IdPrefix, uuid_of
from api.openai_compatible.lists import After, ListPage, OldestOrNewest, PageSize, page_limit
from api.openai_compatible.responses import openai_problems
from api.openai_compatible.vector_stores import batches, holding
from api.openai_compatible.vector_stores.endpoints import Before, refuse_before
from api.openai_compatible.vector_stores.schemas import (
    DetachedFile,
    FileBatch,
    FileContent,
    FileState,
    FoundText,
    NewFileBatch,
    NewVectorStoreFile,
    VectorStoreFile,
    VectorStoreFileChange,
)
from api.openai_compatible.vector_stores.service import refuse_chunking, require_store
from api.pages import service as pages
from api.services import Provided

router = APIRouter(prefix=f"{PREFIX}/vector_stores/{{vector_store_id}}", tags=["OpenAI"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]
Wanted = Annotated[FileState | None, Query(alias="filter", description="Files in this state.")]
POLL_AFTER = {"openai-poll-after-ms": "500"}
"""How long OpenAI's client waits before it asks again."""


@router.post(
    "/files",
    summary="Add a file to a vector store",
    response_model=VectorStoreFile,
    responses=openai_problems(404, 409),
)
async def add_file(
    vector_store_id: str,
    body: NewVectorStoreFile,
    request: Request,
    services: Provided,
    caller: Writer,
) -> Response:
    """The file stays in its collection, and who may read it is as before; it can be in any number of
    stores. It is read once, when it is uploaded."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    refuse_chunking(body.chunking_strategy)
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            store = await require_store(session, store_id, "write")
            wanted = holding.Wanted(body.file_id, body.attributes)
            (file_id,) = await holding.hold(session, caller, store, [wanted])
            held = await holding.require_held(session, store, file_id)
            answer = Answer(200, held.model_dump(mode="json"))
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get("/files", summary="List a vector store's files", responses=openai_problems(404))
async def list_files(
    vector_store_id: str,
    services: Provided,
    caller: Reader,
    limit: PageSize = 20,
    after: After = None,
    before: Before = None,
    order: OldestOrNewest = "desc",
    state: Wanted = None,
) -> ListPage[VectorStoreFile]:
    """Those that lie in the collection, and those that were added to it."""
    refuse_before(before)
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        return await holding.list_files(
            session,
            await require_store(session, store_id),
            state=state,
            limit=page_limit(limit),
            after=None if after is None else uuid_of(IdPrefix.FILE, after),
            order=order,
        )


@router.get(
    "/files/{openai_file_id}",
    summary="Show a vector store's file",
    response_model=VectorStoreFile,
    responses=openai_problems(404),
)
async def show_file(
    vector_store_id: str, openai_file_id: str, services: Provided, caller: Reader
) -> Response:
    """Its `status` is what clients poll."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id)
        file_id = uuid_of(IdPrefix.FILE, openai_file_id)
        held = await holding.require_held(session, store, file_id)
    return JSONResponse(held.model_dump(mode="json"), headers=POLL_AFTER)


@router.get(
    "/files/{openai_file_id}/content",
    summary="Show the text of a vector store's file",
    responses=openai_problems(404, 409, 410),
)
async def show_content(
    vector_store_id: str, openai_file_id: str, services: Provided, caller: Reader
) -> FileContent:
    """As it was read, the pages in their order; 409 before that."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    file_id = uuid_of(IdPrefix.FILE, openai_file_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id)
        await holding.require_held(session, store, file_id)
    version = await pages.require_published(services, caller, file_id, None, "text")
    pieces = [piece async for piece in pages.text(services, caller, file_id, version)]
    return FileContent(data=[FoundText(text=b"".join(pieces).decode())])


@router.post(
    "/files/{openai_file_id}",
    summary="Change the attributes of a vector store's file",
    responses=openai_problems(404, 409),
)
async def change_file(
    vector_store_id: str,
    openai_file_id: str,
    body: VectorStoreFileChange,
    services: Provided,
    caller: Writer,
) -> VectorStoreFile:
    """They are the file's metadata, and so the same in every store that has it."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id)
        file_id = uuid_of(IdPrefix.FILE, openai_file_id)
        await holding.require_held(session, store, file_id)
        await holding.set_attributes(session, caller, file_id, body.attributes or {})
        return await holding.require_held(session, store, file_id)


@router.delete(
    "/files/{openai_file_id}",
    summary="Take a file out of a vector store",
    responses=openai_problems(404, 409),
)
async def remove_file(
    vector_store_id: str, openai_file_id: str, services: Provided, caller: Writer
) -> DetachedFile:
    """The file stays; 409 where it lies in this collection, and was not added to it."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id, "write")
        await holding.let_go(session, caller, store, uuid_of(IdPrefix.FILE, openai_file_id))
    return DetachedFile(id=openai_file_id)


@router.post(
    "/file_batches",
    summary="Add many files to a vector store",
    response_model=FileBatch,
    responses=openai_problems(404, 409),
)
async def add_batch(
    vector_store_id: str,
    body: NewFileBatch,
    request: Request,
    services: Provided,
    caller: Writer,
) -> Response:
    """All of them, or none."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            store = await require_store(session, store_id, "write")
            made = await batches.create(session, caller, store, body)
            answer = Answer(200, made.model_dump(mode="json"))
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get(
    "/file_batches/{file_batch_id}",
    summary="Show a batch of files",
    response_model=FileBatch,
    responses=openai_problems(404),
)
async def show_batch(
    vector_store_id: str, file_batch_id: str, services: Provided, caller: Reader
) -> Response:
    """Its `status` is what clients poll."""
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id)
        batch_id = uuid_of(IdPrefix.FILE_BATCH, file_batch_id)
        batch = await batches.require_batch(session, store, batch_id)
        shown = await batches.view(session, store, batch)
    return JSONResponse(shown.model_dump(mode="json"), headers=POLL_AFTER)


@router.get(
    "/file_batches/{file_batch_id}/files",
    summary="List the files of a batch",
    responses=openai_problems(404),
)
async def list_batch(
    vector_store_id: str,
    file_batch_id: str,
    services: Provided,
    caller: Reader,
    limit: PageSize = 20,
    after: After = None,
    before: Before = None,
    order: OldestOrNewest = "desc",
    state: Wanted = None,
) -> ListPage[VectorStoreFile]:
    refuse_before(before)
    store_id = uuid_of(IdPrefix.VECTOR_STORE, vector_store_id)
    async with services.database.transaction(caller.access) as session:
        store = await require_store(session, store_id)
        batch_id = uuid_of(IdPrefix.FILE_BATCH, file_batch_id)
        batch = await batches.require_batch(session, store, batch_id)
        return await holding.list_files(
            session,
            store,
            state=state,
            limit=page_limit(limit),
            after=None if after is None else uuid_of(IdPrefix.FILE, after),
            order=order,
            file_ids=batch.file_ids,
        )

"""`/v1/batches`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.batches import service
from api.batches.schemas import Batch, NewBatch
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
from db.queries import batches
from muniment.contracts.ingest_batch import CANCEL_UPDATE, PAUSE_UPDATE, RESUME_UPDATE

router = APIRouter(prefix="/v1/batches", tags=["batches"])

Reader = Annotated[Caller, Depends(require("jobs:read"))]
Writer = Annotated[Caller, Depends(require("jobs:write"))]


@router.get("", summary="List batches, newest first", responses=problems(400))
async def list_batches(
    services: Provided, caller: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Batch]:
    """The caller's own; an administrator's list has all of the tenant."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await batches.list_batches(
            session, limit=limit + 1, after=place.key() if place else None
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, services.links, shown)
    following = None if last is None else TimeCursor(at=last.created_at, id=last.id)
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


@router.post(
    "",
    status_code=202,
    summary="Bring many files to ready, uploaded ones or a source's",
    response_model=Batch,
    responses=problems(409, 422),
)
async def create_batch(
    body: NewBatch, request: Request, services: Provided, caller: Writer
) -> Response:
    """Files whose ingestion failed or was cancelled are ingested anew, a bounded number at a time;
    those at work are waited for, those that are ready count as done. Objects of a source are taken
    in first (the key needs `files:write`, too); the same content under the same name is not taken
    in twice, and what cannot be taken in is counted and named."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            batch = await service.create(services, session, caller, body)
            view = (await service.views(session, services.links, [batch]))[0]
            answer = Answer(202, view.model_dump(mode="json"), f"/v1/batches/{batch.id}")
            await attempt.complete(session, answer)
    await service.start(services, batch)
    return json_answer(answer)


@router.get("/{batch_id}", summary="Show a batch", responses=problems(404))
async def show_batch(batch_id: UUID, services: Provided, caller: Reader) -> Batch:
    async with services.database.transaction(caller.access) as session:
        return await service.show(session, services.links, batch_id)


@router.post("/{batch_id}/cancel", summary="Cancel a batch", responses=problems(404, 409, 503))
async def cancel_batch(batch_id: UUID, services: Provided, caller: Writer) -> Batch:
    """Nothing further begins, and what is at work for it is cancelled; its state follows."""
    return await service.tell(services, caller, batch_id, CANCEL_UPDATE)


@router.post("/{batch_id}/pause", summary="Pause a batch", responses=problems(404, 409, 503))
async def pause_batch(batch_id: UUID, services: Provided, caller: Writer) -> Batch:
    """No further file begins; those at work go on to their end."""
    return await service.tell(services, caller, batch_id, PAUSE_UPDATE)


@router.post(
    "/{batch_id}/resume", summary="Resume a paused batch", responses=problems(404, 409, 503)
)
async def resume_batch(batch_id: UUID, services: Provided, caller: Writer) -> Batch:
    return await service.tell(services, caller, batch_id, RESUME_UPDATE)

"""`/v1/legal-holds`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from api.authentication import Caller, require
from api.files.disposition import attachment
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.legal_holds import service
from api.legal_holds.export import MEDIA_TYPE, exported
from api.legal_holds.schemas import Hold, HoldNotice, HoldNotices, Item, NewHold, NewItems
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
from db.audit import record
from db.queries import legal_holds

router = APIRouter(prefix="/v1/legal-holds", tags=["governance"])

Holder = Annotated[Caller, Depends(require("holds:manage"))]
Reader = Annotated[Caller, Depends(require("files:read"))]


@router.post(
    "",
    status_code=201,
    summary="Place a legal hold",
    response_model=Hold,
    responses=problems(409, 422),
)
async def place_hold(
    body: NewHold, request: Request, services: Provided, caller: Holder
) -> Response:
    """What it names is kept as it is, whoever asks: not changed, not moved to the trash, not erased. It
    reaches files of the whole tenant. Its custodians are told."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            placed = await service.place(session, caller, services.holds, body)
            answer = Answer(201, placed.model_dump(mode="json"), f"{router.prefix}/{placed.id}")
            await attempt.complete(session, answer)
    await service.tell_workflow(services, caller, placed.id)
    return json_answer(answer)


@router.get("", summary="List legal holds, newest first", responses=problems(400))
async def list_holds(
    services: Provided, caller: Holder, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Hold]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await legal_holds.list_holds(
            session, limit=limit + 1, after=place.key() if place else None
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, shown)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


@router.get("/notices", summary="List the notices that the caller was sent", responses=problems())
async def list_notices(services: Provided, caller: Reader) -> HoldNotices:
    """As a custodian of matters that are not released."""
    async with services.database.transaction(caller.access) as session:
        found = await legal_holds.notices_for(session, caller.principal_id)
    return HoldNotices(data=[HoldNotice.of(each) for each in found])


@router.get("/{hold_id}", summary="Show a legal hold", responses=problems(404))
async def show_hold(hold_id: UUID, services: Provided, caller: Holder) -> Hold:
    async with services.database.transaction(caller.access) as session:
        return (await service.views(session, [await service.require_hold(session, hold_id)]))[0]


@router.get(
    "/{hold_id}/items", summary="List what a legal hold names", responses=problems(400, 404)
)
async def list_items(
    hold_id: UUID,
    services: Provided,
    caller: Holder,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Item]:
    """Newest first."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        await service.require_hold(session, hold_id)
        rows = await legal_holds.list_items(
            session, hold_id, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[Item.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.post(
    "/{hold_id}/items",
    status_code=201,
    summary="Put more under a legal hold",
    response_model=Page[Item],
    responses=problems(404, 409, 422),
)
async def add_items(
    hold_id: UUID, body: NewItems, request: Request, services: Provided, caller: Holder
) -> Response:
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            added = await service.add_items(session, caller, hold_id, body.items)
            page = Page[Item](data=added, next_cursor=None)
            answer = Answer(201, page.model_dump(mode="json"), f"{router.prefix}/{hold_id}/items")
            await attempt.complete(session, answer)
    await service.tell_workflow(services, caller, hold_id)
    return json_answer(answer)


@router.post("/{hold_id}/release", summary="Release a legal hold", responses=problems(404))
async def release_hold(hold_id: UUID, services: Provided, caller: Holder) -> Hold:
    """Its cooling-off begins: it goes on holding until `cooling_ends_at`."""
    async with services.database.transaction(caller.access) as session:
        released = await service.release(session, caller, hold_id)
    await service.tell_workflow(services, caller, hold_id)
    return released


@router.post(
    "/{hold_id}/confirm",
    summary="Say that a legal hold is still needed",
    responses=problems(404, 409),
)
async def confirm_hold(hold_id: UUID, services: Provided, caller: Holder) -> Hold:
    """Nobody is asked again until `MUNIMENT_TASKS__HOLD_REVIEW_EVERY_DAYS` are over. A matter that nobody
    confirms goes on holding."""
    async with services.database.transaction(caller.access) as session:
        return await service.confirm(session, caller, hold_id)


@router.post(
    "/{hold_id}/acknowledge", summary="Say that one knows of a legal hold", responses=problems(404)
)
async def acknowledge_hold(hold_id: UUID, services: Provided, caller: Reader) -> HoldNotice:
    """By one of its custodians, who is reminded no more."""
    async with services.database.transaction(caller.access) as session:
        return await service.acknowledge(session, caller, hold_id)


@router.get(
    "/{hold_id}/export",
    summary="Download a legal hold's events for a court",
    response_class=Response,
    responses={
        **problems(404),
        200: {
            "description": "An event of the audit trail on each line, the oldest first.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def export_hold(hold_id: UUID, services: Provided, caller: Holder) -> Response:
    """The matter's own, and those of its files since it was placed: ids, never content."""
    async with services.database.transaction(caller.access) as session:
        await service.require_hold(session, hold_id)
        record(session, caller.act("legal_hold.exported", "legal_hold", hold_id))
    return StreamingResponse(
        exported(services, caller, hold_id),
        media_type=MEDIA_TYPE,
        headers={"Content-Disposition": attachment(f"hold-{hold_id}.jsonl")},
    )

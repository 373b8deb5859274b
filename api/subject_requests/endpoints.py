"""`/v1/subject-requests`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from api.authentication import Caller, require
from api.files.content import respond
from api.idempotency import Answer, idempotent, json_answer
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
from api.subject_requests import service
from api.subject_requests.schemas import (
    NewSubjectDecision,
    NewSubjectRequest,
    SubjectRequest,
    SubjectRequestDetail,
    SubjectRequestItem,
    SubjectStatement,
)
from db.audit import record
from db.queries import subject_requests

router = APIRouter(prefix="/v1/subject-requests", tags=["governance"])

Officer = Annotated[Caller, Depends(require("subjects:manage"))]


class FileCursor(BaseModel):
    """The last file of a page."""

    model_config = ConfigDict(extra="forbid")

    file_id: UUID


@router.post(
    "",
    status_code=202,
    summary="Find what there is of a person",
    response_model=SubjectRequest,
    responses=problems(409, 422),
)
async def open_request(
    body: NewSubjectRequest, request: Request, services: Provided, caller: Officer
) -> Response:
    """To hand out a copy, or to have it erased. Every file of the tenant is looked through: names, labels,
    metadata, masked findings and text. What is found waits for a decision."""
    async with idempotent(request, caller, services.database) as attempt:
        fingerprint = await service.fingerprint(services, caller, body)
        if replayed := attempt.replay(fingerprint):
            return replayed
        made = await services.texts.make_key(caller.tenant_id)
        try:
            async with services.database.transaction(caller.access) as session:
                row = await service.make(session, caller, made, body)
                (view,) = await service.views(session, [row])
                answer = Answer(202, view.model_dump(mode="json"), f"{router.prefix}/{row.id}")
                await attempt.complete(session, answer)
        except BaseException:
            await service.discard(services, caller, made)
            raise
    await service.tell_workflow(services, caller, view.id)
    return json_answer(answer)


@router.get("", summary="List subject requests, newest first", responses=problems(400))
async def list_requests(
    services: Provided, caller: Officer, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[SubjectRequest]:
    """Without the words in which they were asked."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await subject_requests.list_requests(
            session, limit=limit + 1, after=place.key() if place else None
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, shown)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


@router.get("/{subject_request_id}", summary="Show a subject request", responses=problems(404))
async def show_request(
    subject_request_id: UUID, services: Provided, caller: Officer
) -> SubjectRequestDetail:
    """That it was read is in the audit trail: it tells who the person is."""
    async with services.database.transaction(caller.access) as session:
        row = await service.require_request(session, subject_request_id)
        (view,) = await service.views(session, [row])
        record(session, caller.act("subject_request.read", "subject_request", row.id))
    return await service.detailed(services, row, view)


@router.get(
    "/{subject_request_id}/items",
    summary="List the files that name the person",
    responses=problems(400, 404),
)
async def list_items(
    subject_request_id: UUID,
    services: Provided,
    caller: Officer,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SubjectRequestItem]:
    """By their ids, the oldest first."""
    place = decode_cursor(FileCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        await service.require_request(session, subject_request_id)
        rows = await subject_requests.list_items(
            session,
            subject_request_id,
            limit=limit + 1,
            after=place.file_id if place else None,
        )
    shown, last = cut(rows, limit)
    following = FileCursor(file_id=last.item.file_id) if last else None
    return Page(
        data=[SubjectRequestItem.of(each) for each in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.post(
    "/{subject_request_id}/decisions",
    summary="Confirm or reject what was found of a person",
    responses=problems(404, 409, 422),
)
async def decide(
    subject_request_id: UUID, body: NewSubjectDecision, services: Provided, caller: Officer
) -> SubjectRequest:
    """Once. An erasure is confirmed by somebody else than asked for it, who has `files:delete` as well."""
    async with services.database.transaction(caller.access) as session:
        decided = await service.decide(session, caller, subject_request_id, body)
    await service.tell_workflow(services, caller, subject_request_id)
    return decided


@router.get(
    "/{subject_request_id}/export",
    summary="Download the copy of what there is of a person",
    response_class=Response,
    responses={
        **problems(404, 409, 410),
        200: {
            "description": "A ZIP archive of originals and JSON lines.",
            "content": {service.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def export(
    subject_request_id: UUID, request: Request, services: Provided, caller: Officer
) -> Response:
    """Originals, metadata, passages and the events about the files. It is there until `expires_at`, and until
    a file of it is to be erased."""
    async with services.database.transaction(caller.access) as session:
        copy = await service.require_export(session, caller, subject_request_id)
    return await respond(request, services.blobs, copy)


@router.get(
    "/{subject_request_id}/statement",
    summary="State what became of a subject request",
    responses=problems(404, 409),
)
async def state_ending(
    subject_request_id: UUID, services: Provided, caller: Officer
) -> SubjectStatement:
    """Once it has ended: what was erased, with the erasures that are certified, and what was refused."""
    async with services.database.transaction(caller.access) as session:
        return await service.statement(session, subject_request_id)

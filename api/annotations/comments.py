"""`/v1/annotations/{id}/comments`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.annotations import commenting, service
from api.annotations.schemas import Comment, CommentBody
from api.annotations.view import comment_view, entity_tag
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
from db.queries import annotations
from db.queries.annotations import CommentDetail

router = APIRouter(prefix="/v1/annotations/{annotation_id}/comments", tags=["annotations"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Annotator = Annotated[Caller, Depends(require("annotations:write"))]


@router.get("", summary="List comments, newest first", responses=problems(400, 404, 409, 410))
async def list_comments(
    annotation_id: UUID,
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Comment]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        found = await service.require_annotation(session, caller, annotation_id)
        rows = await annotations.list_comments(
            session, annotation_id, limit=limit + 1, after=place.key() if place else None
        )
        service.record_reading(session, caller, found.annotation.file_id, 1)
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        made = last.comment
        following = encode_cursor(TimeCursor(at=made.created_at, id=made.id))
    return Page(data=[comment_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Answer an annotation",
    response_model=Comment,
    responses=problems(404, 409, 410, 422),
)
async def create_comment(
    annotation_id: UUID,
    body: CommentBody,
    request: Request,
    services: Provided,
    caller: Annotator,
) -> Response:
    """For whoever may read the file; needs `files:read` too."""
    service.require_reading(caller)
    async with idempotent(request, caller, services.database) as attempt:
        if attempt.is_repetition:
            async with services.database.transaction(caller.access) as session:
                await service.require_annotation(session, caller, annotation_id)
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = await commenting.create(session, caller, annotation_id, body)
            view = comment_view(made).model_dump(mode="json")
            location = f"/v1/annotations/{annotation_id}/comments/{made.comment.id}"
            answer = Answer(201, view, location)
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get(
    "/{comment_id}",
    summary="Show a comment",
    response_model=Comment,
    responses=problems(404, 409, 410),
)
async def show_comment(
    annotation_id: UUID, comment_id: UUID, services: Provided, caller: Reader
) -> Response:
    """The ETag is for `If-Match` on PATCH."""
    async with services.database.transaction(caller.access) as session:
        await service.require_annotation(session, caller, annotation_id)
        found = await commenting.require_comment(session, annotation_id, comment_id)
        service.record_reading(session, caller, found.comment.file_id, 1)
    return _tagged(found)


@router.patch(
    "/{comment_id}",
    summary="Change a comment",
    response_model=Comment,
    responses=problems(404, 409, 410, 412, 422),
)
async def change_comment(
    annotation_id: UUID,
    comment_id: UUID,
    body: CommentBody,
    services: Provided,
    caller: Annotator,
    if_match: IfMatch = None,
) -> Response:
    """By its author."""
    service.require_reading(caller)
    async with services.database.transaction(caller.access) as session:
        changed = await commenting.change(
            session, caller, if_match, annotation_id, comment_id, body
        )
    return _tagged(changed)


@router.delete(
    "/{comment_id}",
    status_code=204,
    summary="Delete a comment",
    responses=problems(404, 409, 410),
)
async def delete_comment(
    annotation_id: UUID, comment_id: UUID, services: Provided, caller: Annotator
) -> None:
    """By its author, and by whoever manages the file."""
    service.require_reading(caller)
    async with services.database.transaction(caller.access) as session:
        await commenting.delete(session, caller, annotation_id, comment_id)


def _tagged(found: CommentDetail) -> Response:
    view = comment_view(found).model_dump(mode="json")
    return JSONResponse(view, headers={"ETag": entity_tag(found.comment)})

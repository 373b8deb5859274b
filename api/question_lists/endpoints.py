"""`/v1/question-lists`."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from api.authentication import Caller, require
from api.events.authorization import still_allowed, while_allowed
from api.events.response import EventStreamResponse
from api.events.wire import MEDIA_TYPE as EVENT_STREAM
from api.files.disposition import attachment
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
from api.question_lists import service
from api.question_lists.reading import MEDIA_TYPE, read_questions
from api.question_lists.schemas import QuestionList, Resumption
from api.question_lists.service import Wanted
from api.services import Provided
from api.storable_text import LARGEST_INTEGER, StorableText
from db.audit import record
from db.queries import question_lists
from muniment.errors import Conflict
from retrieval.answer_permit import require_models
from retrieval.request import MAX_TOP_K, Generate

router = APIRouter(prefix="/v1/question-lists", tags=["answers"])

Searching = Annotated[Caller, Depends(require("search"))]

MAX_KEEP_DAYS = 30
DEFAULT_KEEP_DAYS = 7

_QUESTIONS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": "question,expected_file\r\nwhen does the lease end?,lease.pdf\r\n",
            }
        },
    }
}
"""FastAPI does not parse it."""


async def _wanted(
    collection: Annotated[StorableText | None, Query(max_length=200)] = None,
    generate: Generate = Generate.AUTO,
    top_k: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 8,
    max_tokens: Annotated[
        int | None,
        Query(
            ge=1,
            le=LARGEST_INTEGER,
            description="It pauses once language models read and wrote so many tokens for it.",
        ),
    ] = None,
    keep_days: Annotated[
        int,
        Query(
            ge=1,
            le=MAX_KEEP_DAYS,
            description="For so long its answers are kept after its end.",
        ),
    ] = DEFAULT_KEEP_DAYS,
) -> Wanted:
    return Wanted(collection, generate, top_k, max_tokens, keep_days)


@router.post(
    "",
    status_code=202,
    summary="Have the questions of a CSV file answered",
    response_model=QuestionList,
    responses=problems(409, 413, 415, 422),
    openapi_extra=_QUESTIONS,
)
async def create(
    request: Request,
    services: Provided,
    caller: Searching,
    wanted: Annotated[Wanted, Depends(_wanted)],
) -> Response:
    """One after another, each under the rights that the caller has then. The body is the file: its first row
    names the columns, of which `question` is needed, and `id`, `expected_answer`, `expected_file`,
    `expected_page` and `filter` (as a search's, in JSON) may be there. 422 names the rows that are wrong."""
    require_models(services.permits, wanted.generate)
    content = await request.body()
    content_type = request.headers.get("content-type", "")
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(content, content_type, repr(wanted))):
            return replayed
        # A file of many cells takes a second.
        rows = await asyncio.to_thread(read_questions, content, content_type)
        made = await service.seal(services, caller)
        try:
            async with services.database.transaction(caller.access) as session:
                row = await service.make(session, caller, made, wanted, rows)
                (view,) = await service.views(session, [row])
                answer = Answer(202, view.model_dump(mode="json"), f"{router.prefix}/{row.id}")
                await attempt.complete(session, answer)
        except BaseException:
            await service.discard(services, caller, made)
            raise
    await service.wake(services, caller, row.id)
    return json_answer(answer)


@router.get("", summary="List lists of questions, newest first", responses=problems(400))
async def list_question_lists(
    services: Provided, caller: Searching, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[QuestionList]:
    """The caller's own."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await question_lists.list_lists(
            session,
            caller.principal_id,
            limit=limit + 1,
            after=place.key() if place else None,
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, shown)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


@router.get(
    "/{list_id}",
    summary="Show a list of questions, and how far it has come",
    responses=problems(404),
)
async def show(services: Provided, caller: Searching, list_id: UUID) -> QuestionList:
    async with services.database.transaction(caller.access) as session:
        row = await service.require_list(session, caller, list_id)
        (view,) = await service.views(session, [row])
    return view


@router.get(
    "/{list_id}/events",
    summary="Follow a list of questions",
    response_class=Response,
    responses={
        **problems(404),
        200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
    },
)
async def events(services: Provided, caller: Searching, list_id: UUID) -> Response:
    """Server-sent events: `state` with the list at first and whenever it has changed, and `end` with it at
    last. They say where it stands, so that nothing is lost by following anew. A heartbeat comment comes every
    15 seconds."""
    async with services.database.transaction(caller.access) as session:
        await service.require_list(session, caller, list_id)
    services.events.slots.acquire()
    stream = while_allowed(
        service.following(services, caller, list_id), still_allowed(services.database, caller)
    )
    return EventStreamResponse(stream, services.events.slots.release)


@router.get(
    "/{list_id}/answers",
    summary="Download the answers of a list of questions",
    response_class=Response,
    responses={
        **problems(404, 409),
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    },
)
async def answers(services: Provided, caller: Searching, list_id: UUID) -> Response:
    """A CSV file with a row for each question. An answer for which a file was read that the caller may not
    read now is `withheld`. 409 until the list has ended."""
    async with services.database.transaction(caller.access) as session:
        row = await service.require_list(session, caller, list_id)
        if row.finished_at is None:
            raise Conflict("the list is at work", remedy="Ask again once its `finished_at` is set.")
        record(session, caller.act("question_list.read", "question_list", row.id))
    # A key that cannot be had is told before the first byte.
    await services.texts.key(row.tenant_id, row.text_key_id)
    return StreamingResponse(
        service.answers(services, caller, row),
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={
            "Content-Disposition": attachment("answers.csv"),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.post("/{list_id}/pause", summary="Pause a list of questions", responses=problems(404, 409))
async def pause(services: Provided, caller: Searching, list_id: UUID) -> QuestionList:
    """The question that is being asked is the last for now."""
    async with services.database.transaction(caller.access) as session:
        return await service.pause(session, caller, list_id)


@router.post(
    "/{list_id}/resume", summary="Let a list of questions go on", responses=problems(404, 409, 422)
)
async def resume(
    services: Provided,
    caller: Searching,
    list_id: UUID,
    body: Annotated[Resumption | None, Body()] = None,
) -> QuestionList:
    """409 where its tokens are used up, unless `max_tokens` is raised."""
    async with services.database.transaction(caller.access) as session:
        view = await service.resume(session, caller, list_id, body or Resumption())
    await service.wake(services, caller, list_id)
    return view


@router.post(
    "/{list_id}/cancel", summary="Cancel a list of questions", responses=problems(404, 409)
)
async def cancel(services: Provided, caller: Searching, list_id: UUID) -> QuestionList:
    """Its answers by then stay until it expires."""
    async with services.database.transaction(caller.access) as session:
        view = await service.cancel(session, caller, list_id)
    await service.stop(services, list_id)
    return view


@router.delete(
    "/{list_id}",
    status_code=204,
    summary="Delete a list of questions with its answers",
    responses=problems(404, 409),
)
async def delete(services: Provided, caller: Searching, list_id: UUID) -> None:
    """For good. 409 while it is at work."""
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, list_id)

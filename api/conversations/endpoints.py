"""`/v1/conversations`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from api.authentication import Caller, require
from api.conversations import exporting, searching, service
from api.conversations.answering import answered, followed
from api.conversations.asking import Asked
from api.conversations.following import answer_to_follow
from api.conversations.schemas import (
    AskingAgain,
    Conversation,
    ConversationAnswer,
    ConversationChange,
    ExportFormat,
    Message,
    NewConversation,
)
from api.conversations.socket_messages import LAST_NUMBER
from api.conversations.view import conversation_view
from api.events import tickets
from api.events.endpoints import LastEventIdHeader, LastEventIdQuery, parse_sequence
from api.events.wire import MEDIA_TYPE
from api.files.disposition import attachment
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    NumberCursor,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.preconditions import IfMatch
from api.problem_responses import Responses, problems
from api.services import Provided
from db.audit import record
from db.queries import conversations

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

Searching = Annotated[Caller, Depends(require("search"))]
Viewer = Annotated[Caller, Depends(tickets.require_or_ticket("search"))]
_STREAM: Responses = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


@router.get("", summary="List or search conversations", responses=problems(400, 422, 429))
async def list_conversations(
    services: Provided,
    caller: Searching,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    query: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="Those in which all these words stand: in the title, in questions, or in answers"
            " that may be shown.",
        ),
    ] = None,
) -> Page[Conversation]:
    """The caller's own, newest first. With `query` a page may be empty and have a `next_cursor`: 200
    conversations are looked through for one."""
    place = decode_cursor(TimeCursor, cursor)
    after = place.key() if place else None
    if query is not None:
        found = await searching.search(services, caller, query, limit=limit, after=after)
        async with services.database.transaction(caller.access) as session:
            payload = {"found": len(found.data)}
            record(session, caller.act("conversation.searched", "search", None, {**payload}))
        return Page(data=found.data, next_cursor=_time_cursor(found.looked_up_to))
    async with services.database.transaction(caller.access) as session:
        rows = await conversations.list_conversations(
            session, caller.principal_id, limit=limit + 1, after=after
        )
    shown, last = cut(rows, limit)
    following = None if last is None else (last.created_at, last.id)
    return Page(data=await service.titled(services, shown), next_cursor=_time_cursor(following))


@router.post(
    "",
    status_code=201,
    summary="Begin a conversation",
    response_model=Conversation,
    responses=problems(409, 422, 429, 503),
)
async def create_conversation(
    body: NewConversation, request: Request, services: Provided, caller: Searching
) -> Response:
    """Ask in it with `conversation_id` of `/v1/query`. A repetition with the same `Idempotency-Key` is
    answered without the title."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        key = await service.new_key(services, caller)
        made = service.new_conversation(caller, key, body.title)
        try:
            async with services.database.transaction(caller.access) as session:
                await service.create(session, services, caller, made, key)
                view = conversation_view(made, body.title)
                location = f"/v1/conversations/{made.id}"
                kept = view.model_copy(update={"title": None}).model_dump(mode="json")
                await attempt.complete(session, Answer(201, kept, location))
        except BaseException:
            await service.discard(services, caller, key)
            raise
    return json_answer(Answer(201, view.model_dump(mode="json"), location))


@router.get(
    "/{conversation_id}",
    summary="Show a conversation",
    response_model=Conversation,
    responses=problems(404),
)
async def show_conversation(
    conversation_id: UUID, services: Provided, caller: Searching
) -> Response:
    """The ETag is for `If-Match` on PATCH."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_conversation(session, caller, conversation_id)
    (view,) = await service.titled(services, [found])
    return JSONResponse(view.model_dump(mode="json"), headers={"ETag": service.entity_tag(found)})


@router.patch(
    "/{conversation_id}",
    summary="Rename a conversation",
    response_model=Conversation,
    responses=problems(404, 412, 422, 503),
)
async def change_conversation(
    conversation_id: UUID,
    body: ConversationChange,
    services: Provided,
    caller: Searching,
    if_match: IfMatch = None,
) -> Response:
    changed = await service.change(services, caller, if_match, conversation_id, body)
    view = conversation_view(changed, body.title)
    return JSONResponse(view.model_dump(mode="json"), headers={"ETag": service.entity_tag(changed)})


@router.delete(
    "/{conversation_id}",
    status_code=204,
    summary="Delete a conversation",
    responses=problems(404),
)
async def delete_conversation(conversation_id: UUID, services: Provided, caller: Searching) -> None:
    """For good: with its messages and their feedback, and the key that opens them."""
    await service.delete(services, caller, conversation_id)


@router.get(
    "/{conversation_id}/export",
    summary="Export a conversation",
    response_class=Response,
    responses={
        **problems(404, 422),
        200: {
            "description": "A file: JSON with every message, or Markdown of the newest course.",
            "content": {
                "text/markdown": {"schema": {"type": "string"}},
            },
        },
    },
)
async def export_conversation(
    conversation_id: UUID,
    services: Provided,
    caller: Searching,
    format: ExportFormat = ExportFormat.JSON,  # noqa: A002 - the parameter's name
) -> Response:
    """Answers that may quote a file that the caller may not read now are left out of it."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_conversation(session, caller, conversation_id)
        payload = {"format": format.value, "messages": found.message_count}
        record(session, caller.act("conversation.exported", "conversation", found.id, {**payload}))
    is_json = format is ExportFormat.JSON
    stream = exporting.as_json if is_json else exporting.as_markdown
    name = f"conversation-{found.created_at:%Y-%m-%d}.{'json' if is_json else 'md'}"
    return StreamingResponse(
        stream(services, caller, found),
        media_type="application/json" if is_json else "text/markdown; charset=utf-8",
        headers={"Content-Disposition": attachment(name), "Cache-Control": "no-store"},
    )


@router.get(
    "/{conversation_id}/messages",
    summary="List messages, newest first",
    responses=problems(400, 404),
)
async def list_messages(
    conversation_id: UUID,
    services: Provided,
    caller: Searching,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Message]:
    """Questions that were edited, and answers that were made anew, are all there: `parent_id` says what each
    follows."""
    place = decode_cursor(NumberCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        found = await service.require_conversation(session, caller, conversation_id)
        rows = await conversations.list_messages(
            session, found.id, limit=limit + 1, before=place.number if place else None
        )
    shown, last = cut(rows, limit)
    data = await service.messages_shown(services, caller, found, shown, "conversation.read")
    following = None if last is None else encode_cursor(NumberCursor(number=last.ordinal))
    return Page(data=data, next_cursor=following)


@router.get(
    "/{conversation_id}/messages/{message_id}",
    summary="Show a message",
    responses=problems(404),
)
async def show_message(
    conversation_id: UUID, message_id: UUID, services: Provided, caller: Searching
) -> Message:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_conversation(session, caller, conversation_id)
        row = await service.require_message(session, found.id, message_id)
    (view,) = await service.messages_shown(services, caller, found, [row], "conversation.read")
    return view


@router.post(
    "/{conversation_id}/messages/{message_id}/regenerate",
    summary="Answer a question once more",
    response_model=ConversationAnswer,
    responses={
        **problems(400, 404, 409, 422, 429, 503),
        200: {
            "model": ConversationAnswer,
            "description": "The answer; with `stream` its events, as of /v1/query.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
    },
)
async def regenerate(
    conversation_id: UUID,
    message_id: UUID,
    body: AskingAgain,
    request: Request,
    services: Provided,
    caller: Searching,
) -> Response:
    """`message_id` is the question's, or that of one of its answers, which all stay."""
    asked = Asked(conversation_id, again=message_id)
    return await answered(request, services, caller, asked, body)


@router.get(
    "/{conversation_id}/messages/{message_id}/events",
    summary="Follow an answer",
    response_class=Response,
    responses={
        **problems(400, 404, 429),
        **_STREAM,
        204: {"description": "The id was that of the answer's end: nothing more comes."},
    },
)
async def message_events(
    conversation_id: UUID,
    message_id: UUID,
    services: Provided,
    caller: Viewer,
    last_event_id: LastEventIdHeader = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Server-sent events `token`, `citation`, and at last `done`, or `end` where there is no whole answer.
    `Last-Event-ID` goes on behind that event, at whichever process of the API. Events are kept for ten
    minutes; after that `done` alone tells the answer, without its passages. An answer that nobody follows is
    not made on for longer than the operator has set."""
    after = min(parse_sequence(last_event_id or last_event_id_query) or 0, LAST_NUMBER)
    found, row, has_more = await answer_to_follow(
        services, caller, conversation_id, message_id, after
    )
    if not has_more:
        return Response(status_code=204)
    return followed(services, caller, found, row, after)


def _time_cursor(place: tuple[datetime, UUID] | None) -> str | None:
    return None if place is None else encode_cursor(TimeCursor(at=place[0], id=place[1]))

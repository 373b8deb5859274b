"""`/v1/search` and `/v1/query`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.conversations.answering import answered
from api.conversations.asking import Asked
from api.conversations.schemas import AskingAgain, ConversationAnswer
from api.events.response import EventStreamResponse
from api.events.wire import HEARTBEAT, MEDIA_TYPE, server_sent_event
from api.problem_responses import problems
from api.search.connected import unless_left, with_silences
from api.search.recording import audit, note
from api.search.schemas import QueryBody, SearchBody
from api.services import Provided, Services
from db.queries.analytics import QueryKind
from retrieval.answer_extractive import Pages
from retrieval.cache.answers import PreparedAnswer, RepeatedAnswer, prepare_cached
from retrieval.cache.searches import cached_search
from retrieval.cited_pages import PageReaders
from retrieval.response import (
    Answer,
    AnswerEvent,
    CitationEvent,
    DoneEvent,
    SearchResponse,
    TokenEvent,
)

router = APIRouter(prefix="/v1", tags=["search"])

Searching = Annotated[Caller, Depends(require("search"))]


@router.post("/search", summary="Search passages", responses=problems(400, 422))
async def search(body: SearchBody, services: Provided, caller: Searching) -> SearchResponse:
    """Passages of the files that the caller may read, by words, by meaning, or both."""
    began = perf_counter()
    if body.cache:
        found = await cached_search(services.cache, services.search, caller.access, body.request)
    else:
        found = await services.search.search(caller.access, body.request)
    note(services, caller, QueryKind.SEARCH, body.query, len(found.data), began, found.cached)
    await audit(services, caller, "search.performed", len(found.data), found.cached)
    return found


@router.post(
    "/query",
    summary="Ask a question",
    response_model=Answer | ConversationAnswer,
    responses={
        **problems(400, 404, 409, 422, 429, 503),
        200: {
            "model": Answer | ConversationAnswer,
            "description": "The answer; with `stream` its events `token`, `citation`, `done`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
    },
)
async def query(
    body: QueryBody, request: Request, services: Provided, caller: Searching
) -> Response:
    """Every citation names the file, the page, the boxes and the exact words, and says whether that was
    verified. A language model answers where the operator configured one; `meta` says which. 429
    `token-budget-exhausted`: for `generate: llm`, when the tenant's tokens of this month are used up.

    In a conversation a question that goes on from former ones is searched for in their context (`asked`), a
    stream begins with `message`, which names the answer, and goes on at its
    `/v1/conversations/{conversation_id}/messages/{message_id}/events` when the connection drops."""
    if body.conversation_id is not None:
        return await _in_conversation(body, body.conversation_id, request, services, caller)
    readers = PageReaders(services.database, services.blobs, caller.access)
    pages = Pages(readers.text, readers.lines)
    began = perf_counter()
    prepared: PreparedAnswer
    if body.cache:
        prepared = await prepare_cached(
            services.cache, services.answers, caller.access, body.request, pages
        )
    else:
        prepared = await services.answers.prepare(caller.access, body.request, pages)

    def noted(answer: Answer) -> None:
        found, cached = len(answer.citations), bool(answer.meta.cached)
        note(services, caller, QueryKind.QUESTION, body.query, found, began, cached)

    if body.stream:
        try:
            told_as = prepared.cached if isinstance(prepared, RepeatedAnswer) else False
            await audit(services, caller, "query.answered", None, told_as)
        except BaseException:
            await prepared.close()
            raise
        return EventStreamResponse(_wired(prepared, noted), on_end=prepared.close)
    try:
        answer = await unless_left(request, _last(prepared))
    finally:
        await prepared.close()
    noted(answer)
    cited = len(answer.citations)
    await audit(services, caller, "query.answered", cited, answer.meta.cached)
    return Response(answer.model_dump_json(), media_type="application/json")


async def _in_conversation(
    body: QueryBody, conversation_id: UUID, request: Request, services: Services, caller: Caller
) -> Response:
    asked = Asked(conversation_id, body.query, edits=body.edits, follows=body.follows)
    how = AskingAgain(
        top_k=body.top_k,
        collection=body.collection,
        filter=body.filter,
        generate=body.generate,
        stream=body.stream,
    )
    return await answered(request, services, caller, asked, how)


async def _last(prepared: PreparedAnswer) -> Answer:
    async with aclosing(prepared.events(is_whole=True)) as events:
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
    raise AssertionError("the last event is the answer")


async def _wired(
    prepared: PreparedAnswer, noted: Callable[[Answer], None]
) -> AsyncGenerator[bytes, None]:
    """The events, with a comment wherever none came for a while."""
    async with aclosing(with_silences(prepared.events())) as events:
        async for event in events:
            if event is None:
                yield HEARTBEAT
                continue
            if isinstance(event, DoneEvent):
                noted(event.answer)
            yield _wire(event)


def _wire(event: AnswerEvent) -> bytes:
    if isinstance(event, TokenEvent):
        return server_sent_event("token", event.model_dump_json(include={"text"}))
    if isinstance(event, CitationEvent):
        return server_sent_event("citation", event.citation.model_dump_json())
    return server_sent_event("done", event.answer.model_dump_json())

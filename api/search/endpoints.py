"""`/v1/search` and `/v1/query`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.authentication import Caller, require
from api.events.response import EventStreamResponse
from api.events.wire import HEARTBEAT, HEARTBEAT_SECONDS, MEDIA_TYPE, server_sent_event
from api.problem_responses import problems
from api.search.schemas import QueryBody
from api.services import Provided, Services
from db.audit import record
from db.queries.analytics import QueryKind
from retrieval.answer import AnswerInTheMaking
from retrieval.answer_extractive import Pages
from retrieval.cited_pages import PageReaders
from retrieval.request import QuestionRequest, SearchRequest
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

_LEFT_CHECK_SECONDS = 0.25


@router.post("/search", summary="Search passages", responses=problems(400, 422))
async def search(body: SearchRequest, services: Provided, caller: Searching) -> SearchResponse:
    """Passages of the files that the caller may read, by words, by meaning, or both."""
    began = perf_counter()
    found = await services.search.search(caller.access, body)
    _note(services, caller, QueryKind.SEARCH, body.query, len(found.data), began)
    await _audit(services, caller, "search.performed", len(found.data))
    return found


@router.post(
    "/query",
    summary="Ask a question",
    response_model=Answer,
    responses={
        **problems(400, 422, 429),
        200: {
            "model": Answer,
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
    `token-budget-exhausted`: for `generate: llm`, when the tenant's tokens of this month are used up."""
    readers = PageReaders(services.database, services.blobs, caller.access)
    question = QuestionRequest(
        query=body.query,
        top_k=body.top_k,
        collection=body.collection,
        filter=body.filter,
        generate=body.generate,
    )
    pages = Pages(readers.text, readers.lines)
    began = perf_counter()
    prepared = await services.answers.prepare(caller.access, question, pages)

    def answered(answer: Answer) -> None:
        _note(services, caller, QueryKind.QUESTION, body.query, len(answer.citations), began)

    if body.stream:
        try:
            await _audit(services, caller, "query.answered", None)
        except BaseException:
            await prepared.close()
            raise
        return EventStreamResponse(_wired(prepared, answered), on_end=prepared.close)
    async with prepared:
        answer = await _whole(request, prepared)
    answered(answer)
    await _audit(services, caller, "query.answered", len(answer.citations))
    return Response(answer.model_dump_json(), media_type="application/json")


async def _whole(request: Request, prepared: AnswerInTheMaking) -> Answer:
    """Raises ClientDisconnect when the client leaves first, which ends the work of the model."""
    making = asyncio.create_task(_last(prepared))
    try:
        while not making.done():
            await asyncio.wait({making}, timeout=_LEFT_CHECK_SECONDS)
            if not making.done() and await request.is_disconnected():
                raise ClientDisconnect
        return making.result()
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)


async def _last(prepared: AnswerInTheMaking) -> Answer:
    async with aclosing(prepared.events(is_whole=True)) as events:
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
    raise AssertionError("the last event is the answer")


async def _wired(
    prepared: AnswerInTheMaking, answered: Callable[[Answer], None]
) -> AsyncGenerator[bytes, None]:
    """The events, with a comment wherever none came for a while, as when a language model thinks: proxies
    and clients see that the connection lives."""
    async with aclosing(prepared.events()) as events:
        coming = asyncio.create_task(_next(events))
        try:
            while True:
                await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
                if not coming.done():
                    yield HEARTBEAT
                    continue
                event = coming.result()
                if event is None:
                    return
                if isinstance(event, DoneEvent):
                    answered(event.answer)
                yield _wire(event)
                coming = asyncio.create_task(_next(events))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _next(events: AsyncGenerator[AnswerEvent, None]) -> AnswerEvent | None:
    return await anext(events, None)


def _wire(event: AnswerEvent) -> bytes:
    if isinstance(event, TokenEvent):
        return server_sent_event("token", event.model_dump_json(include={"text"}))
    if isinstance(event, CitationEvent):
        return server_sent_event("citation", event.citation.model_dump_json())
    return server_sent_event("done", event.answer.model_dump_json())


def _note(
    services: Services, caller: Caller, kind: QueryKind, words: str, found: int, began: float
) -> None:
    """For the tenant's analytics, as far as it has that kept."""
    milliseconds = (perf_counter() - began) * 1000
    services.queries.note(caller.tenant_id, kind, words, found, milliseconds)


async def _audit(services: Services, caller: Caller, action: str, found: int | None) -> None:
    """What was asked is not kept: questions are personal data."""
    async with services.database.transaction(caller.access) as session:
        record(session, caller.act(action, "search", None, {"found": found}))

"""`/v1/search` and `/v1/query`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from api.authentication import Caller, require
from api.events.wire import MEDIA_TYPE, server_sent_event
from api.pages.service import PageReaders
from api.problem_responses import problems
from api.search.schemas import QueryBody
from api.services import Provided, Services
from db.audit import record
from retrieval.request import QuestionRequest, SearchRequest
from retrieval.response import (
    Answer,
    AnswerEvent,
    CitationEvent,
    SearchResponse,
    TokenEvent,
)

router = APIRouter(prefix="/v1", tags=["search"])

Searching = Annotated[Caller, Depends(require("search"))]


@router.post("/search", summary="Search passages", responses=problems(400, 422))
async def search(body: SearchRequest, services: Provided, caller: Searching) -> SearchResponse:
    """Passages of the files that the caller may read, by words, by meaning, or both."""
    found = await services.search.search(caller.access, body)
    await _audit(services, caller, "search.performed", len(found.data))
    return found


@router.post(
    "/query",
    summary="Ask a question",
    response_model=Answer,
    responses={
        **problems(400, 422),
        200: {
            "model": Answer,
            "description": "The answer; with `stream` its events `token`, `citation`, `done`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
    },
)
async def query(body: QueryBody, services: Provided, caller: Searching) -> Response:
    """Every citation names the file, the page, the boxes and the exact words."""
    readers = PageReaders(services.database, services.blobs, caller)
    question = QuestionRequest(
        query=body.query,
        top_k=body.top_k,
        collection=body.collection,
        filter=body.filter,
        generate=body.generate,
    )
    if not body.stream:
        answer = await services.answers.answer(
            caller.access, question, page_text=readers.text, page_lines=readers.lines
        )
        await _audit(services, caller, "query.answered", len(answer.citations))
        return Response(answer.model_dump_json(), media_type="application/json")
    events = services.answers.stream(
        caller.access, question, page_text=readers.text, page_lines=readers.lines
    )
    first = await anext(events)
    await _audit(services, caller, "query.answered", None)
    return StreamingResponse(
        _wired(first, events), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
    )


async def _wired(first: AnswerEvent, rest: AsyncIterator[AnswerEvent]) -> AsyncIterator[bytes]:
    yield _wire(first)
    async for event in rest:
        yield _wire(event)


def _wire(event: AnswerEvent) -> bytes:
    if isinstance(event, TokenEvent):
        return server_sent_event("token", event.model_dump_json(include={"text"}))
    if isinstance(event, CitationEvent):
        return server_sent_event("citation", event.citation.model_dump_json())
    return server_sent_event("done", event.answer.model_dump_json())


async def _audit(services: Services, caller: Caller, action: str, found: int | None) -> None:
    """What was asked is not kept: questions are personal data."""
    async with services.database.transaction(caller.access) as session:
        record(session, caller.act(action, "search", None, {"found": found}))

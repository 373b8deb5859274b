"""`/openai/v1/chat/completions`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.events.response import EventStreamResponse
from api.events.wire import HEARTBEAT, MEDIA_TYPE
from api.openai_compatible.chat_completions.completion import Completion
from api.openai_compatible.chat_completions.question import (
    asked_last,
    ignored_parameters,
    question_of,
    refuse_unsupported,
)
from api.openai_compatible.chat_completions.schemas import ChatCompletion, NewChatCompletion
from api.openai_compatible.errors import PREFIX
from api.openai_compatible.models.service import require_model
from api.openai_compatible.responses import openai_problems
from api.openai_compatible.vector_stores.service import require_store
from api.search.connected import unless_left, with_silences
from api.search.recording import audit, note
from api.services import Provided, Services
from db.queries.analytics import QueryKind
from retrieval.answer import AnswerInTheMaking
from retrieval.answer_extractive import Pages
from retrieval.cited_pages import PageReaders
from retrieval.request import StoreQuestionRequest
from retrieval.response import Answer, DoneEvent, TokenEvent

router = APIRouter(prefix=f"{PREFIX}/chat/completions", tags=["OpenAI"])

Searching = Annotated[Caller, Depends(require("search"))]


@router.post(
    "",
    summary="Answer the last message of a chat from the documents",
    response_model=ChatCompletion,
    responses={
        **openai_problems(404),
        200: {
            "model": ChatCompletion,
            "description": "The answer; with `stream` its chunks, and `[DONE]`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
    },
)
async def create_completion(
    body: NewChatCompletion, request: Request, services: Provided, caller: Searching
) -> Response:
    """As `POST /v1/query` answers: with checked citations, which are the message's annotations. `model` is a
    way to answer (`GET /openai/v1/models`)."""
    model = require_model(services, body.model)
    refuse_unsupported(body)
    question = question_of(body, model.generate)
    await _require_stores(services, caller, question)
    completion = Completion(model, ignored_parameters(body))
    readers = PageReaders(services.database, services.blobs, caller.access)
    began = perf_counter()
    prepared = await services.answers.prepare(
        caller.access, question, Pages(readers.text, readers.lines)
    )

    def answered(answer: Answer) -> None:
        found = len(answer.citations)
        note(services, caller, QueryKind.QUESTION, asked_last(body), found, began)

    if body.stream:
        try:
            await audit(services, caller, "query.answered", None)
        except BaseException:
            await prepared.close()
            raise
        options = body.stream_options
        include_usage = options is not None and options.include_usage
        stream = _wired(prepared, completion, answered, include_usage=include_usage)
        return EventStreamResponse(stream, on_end=prepared.close)
    async with prepared:
        answer = await unless_left(request, _last(prepared, completion))
    answered(answer)
    await audit(services, caller, "query.answered", len(answer.citations))
    return Response(completion.whole(answer).model_dump_json(), media_type="application/json")


async def _require_stores(
    services: Services, caller: Caller, question: StoreQuestionRequest
) -> None:
    if not question.vector_stores:
        return
    async with services.database.transaction(caller.access) as session:
        for store_id in question.vector_stores:
            await require_store(session, store_id)


async def _last(prepared: AnswerInTheMaking, completion: Completion) -> Answer:
    async with aclosing(prepared.events(is_whole=True)) as events:
        async for event in events:
            completion.take(event)
            if isinstance(event, DoneEvent):
                return event.answer
    raise AssertionError("the last event is the answer")


async def _wired(
    prepared: AnswerInTheMaking,
    completion: Completion,
    answered: Callable[[Answer], None],
    *,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """The chunks, with a comment wherever none came for a while, which clients skip."""
    yield completion.opening()
    async with aclosing(with_silences(prepared.events())) as events:
        async for event in events:
            if event is None:
                yield HEARTBEAT
                continue
            completion.take(event)
            if isinstance(event, TokenEvent):
                yield completion.piece(event.text)
            elif isinstance(event, DoneEvent):
                answered(event.answer)
                yield completion.closing(event.answer, include_usage=include_usage)

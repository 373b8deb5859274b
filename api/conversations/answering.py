"""What a question in a conversation is answered with: the whole answer, or its events."""

import asyncio
from uuid import UUID

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.authentication import Caller
from api.conversations import streaming
from api.conversations.asking import Asked, ask
from api.conversations.schemas import AskingAgain
from api.conversations.under_way import AnswerUnderWay
from api.events.authorization import still_allowed, while_allowed
from api.events.response import EventStreamResponse
from api.services import Services
from db.models import Conversation, ConversationMessage
from muniment.contracts.conversations import MessageState
from muniment.errors import Conflict, MunimentError

_LEFT_CHECK_SECONDS = 0.25


async def answered(
    request: Request, services: Services, caller: Caller, asked: Asked, how: AskingAgain
) -> Response:
    """Raises what `ask` raises, and ClientDisconnect when the client leaves before a whole answer."""
    if how.stream:
        services.events.slots.acquire()
        try:
            made = await ask(services, caller, asked, how)
        except BaseException:
            services.events.slots.release()
            raise
        stream = streaming.begin(services, caller, made)
        allowed = while_allowed(stream, still_allowed(services.database, caller))
        return EventStreamResponse(allowed, services.events.slots.release)
    made = await ask(services, caller, asked, how)
    await _wait(request, services, made)
    answer = streaming.answer_of(made)
    if answer is None:
        raise _none(made.state)
    return Response(answer.model_dump_json(), media_type="application/json")


def followed(
    services: Services,
    caller: Caller,
    conversation: Conversation,
    message: ConversationMessage,
    after: int,
) -> Response:
    """The rest of an answer's events."""
    services.events.slots.acquire()
    stream = streaming.resume(services, caller, conversation, message, after)
    allowed = while_allowed(stream, still_allowed(services.database, caller))
    return EventStreamResponse(allowed, services.events.slots.release)


async def _wait(request: Request, services: Services, made: AnswerUnderWay) -> None:
    """Whoever leaves ends the work: of a whole answer nothing was told that could be resumed."""
    waiting = asyncio.create_task(_read_to_its_end(made))
    message_id: UUID = made.place.message_id
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_LEFT_CHECK_SECONDS)
            if not waiting.done() and await request.is_disconnected():
                raise ClientDisconnect
    except BaseException:
        await services.under_way.abandon(message_id)
        raise
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})


async def _read_to_its_end(made: AnswerUnderWay) -> None:
    async for _ in made.follow(0):
        pass


def _none(state: MessageState) -> MunimentError:
    if state is MessageState.FORGOTTEN:
        return Conflict(
            "the conversation was deleted, or a file erased that the answer may quote, while it was made",
            remedy="Ask again.",
        )
    return MunimentError("the answer could not be made; it was logged")

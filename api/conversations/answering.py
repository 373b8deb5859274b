"""What a question in a conversation is answered with: the whole answer, or its events."""

import asyncio
import json
from uuid import UUID

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.authentication import Caller
from api.conversations import service, streaming
from api.conversations.asking import Asked, ask
from api.conversations.schemas import AskingAgain
from api.conversations.under_way import AnswerUnderWay
from api.conversations.view import state_of
from api.events.authorization import still_allowed, while_allowed
from api.events.response import EventStreamResponse
from api.idempotency import HEADER, REPLAYED_HEADER, hash_of, idempotent
from api.services import Services
from db.models import Conversation, ConversationMessage
from muniment.contracts.conversations import MessageState
from muniment.errors import Conflict, MunimentError

_LEFT_CHECK_SECONDS = 0.25


async def answered(
    request: Request, services: Services, caller: Caller, asked: Asked, how: AskingAgain
) -> Response:
    """Raises what `ask` raises, and ClientDisconnect when the client leaves before a whole answer. A
    repetition with the same Idempotency-Key is answered with the message that the first request made."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(repr(asked), how.model_dump_json())):
            return await _repeated(services, caller, json.loads(bytes(replayed.body)), how)
        if how.stream:
            services.events.slots.acquire()
        try:
            made = await ask(services, caller, asked, how, attempt)
        except BaseException:
            if how.stream:
                services.events.slots.release()
            raise
    if how.stream:
        stream = streaming.begin(services, caller, made)
        allowed = while_allowed(stream, still_allowed(services.database, caller))
        return EventStreamResponse(allowed, services.events.slots.release)
    # Who brought a key may come back with it: then it is made on as a stream's.
    await _wait(request, services, made, may_come_back=HEADER in request.headers)
    answer = await streaming.answer_or_reason(services, caller, made)
    if isinstance(answer, str):
        raise _none(answer)
    return Response(answer.model_dump_json(), media_type="application/json")


async def _repeated(
    services: Services, caller: Caller, named: dict[str, str], how: AskingAgain
) -> Response:
    """Without the passages, which are not kept."""
    async with services.database.transaction(caller.access) as session:
        conversation = await service.require_conversation(
            session, caller, UUID(named["conversation_id"])
        )
        message = await service.require_message(session, conversation.id, UUID(named["message_id"]))
    if how.stream:
        return followed(services, caller, conversation, message, 0)
    if state_of(message) is MessageState.GENERATING:
        raise Conflict("the answer is still being made", remedy="Repeat this a little later.")
    answer = await streaming.kept_answer(services, caller, conversation, message)
    if answer is None:
        raise Conflict(
            "the first request with this Idempotency-Key has no answer that may be shown now",
            remedy="Use a new key for a new request.",
        )
    return Response(
        answer.model_dump_json(),
        media_type="application/json",
        headers={REPLAYED_HEADER: "true"},
    )


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


async def _wait(
    request: Request, services: Services, made: AnswerUnderWay, *, may_come_back: bool
) -> None:
    """Else whoever leaves ends the work: of a whole answer nothing was told that could be resumed."""
    waiting = asyncio.create_task(_read_to_its_end(made))
    message_id: UUID = made.place.message_id
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_LEFT_CHECK_SECONDS)
            if not waiting.done() and await request.is_disconnected():
                raise ClientDisconnect
    except BaseException:
        if not may_come_back:
            await services.under_way.abandon(message_id)
        raise
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})


async def _read_to_its_end(made: AnswerUnderWay) -> None:
    async for _ in made.follow(0):
        pass


def _none(reason: str) -> MunimentError:
    if reason == streaming.WITHHELD:
        return Conflict(
            "a passage went out of reach while the question was answered", remedy="Ask again."
        )
    if reason == MessageState.FORGOTTEN:
        return Conflict(
            "the conversation was deleted, or a file erased that the answer may quote, while it was made",
            remedy="Ask again.",
        )
    return MunimentError("the answer could not be made; it was logged")

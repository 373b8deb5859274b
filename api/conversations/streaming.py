"""An answer's events to a reader, from wherever it was: of an answer that this process makes out of memory,
else out of PostgreSQL."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from pydantic import JsonValue

from api.authentication import Caller
from api.conversations.schemas import ConversationAnswer
from api.conversations.under_way import AnswerUnderWay, ToldEvent, ToldEvents
from api.conversations.view import state_of
from api.conversations.words import OpenedMessage, events_part, open_messages, sealed
from api.events.wire import HEARTBEAT, HEARTBEAT_SECONDS, RECONNECT, server_sent_event
from api.services import Services
from db.models import Conversation, ConversationMessage
from db.queries import answer_events, conversations
from muniment.contracts.conversations import MessageState
from muniment.errors import MunimentError
from retrieval.kept_answers import AnswerWords
from retrieval.request import SearchMode
from retrieval.response import Answer, AnswerMeta, TokenCount

LOOK_SECONDS = 0.2
"""So often a reader of what another process makes looks for more."""
WATCH_SECONDS = 1.0
"""So often it says that it waits, and whether it may read what it gets is asked again."""
WITHHELD = "withheld"

Numbered = tuple[int, ToldEvent]


async def begin(
    services: Services, caller: Caller, made: AnswerUnderWay
) -> AsyncGenerator[bytes, None]:
    """For who asked: which answer it is, then its events."""
    place = made.place
    named: dict[str, JsonValue] = {
        "conversation_id": str(place.conversation.id),
        "question_id": str(place.question_id),
        "message_id": str(place.message_id),
        "asked": place.asked,
    }
    yield RECONNECT + server_sent_event("message", json.dumps(named))
    async with aclosing(_wired(_of_memory(services, caller, made, 0))) as events:
        async for piece in events:
            yield piece


async def resume(
    services: Services,
    caller: Caller,
    conversation: Conversation,
    message: ConversationMessage,
    after: int,
) -> AsyncGenerator[bytes, None]:
    """For who comes back: the events behind that one."""
    made = services.under_way.get(message.id)
    numbered = (
        _of_database(services, caller, conversation, message.id, after)
        if made is None
        else _of_memory(services, caller, made, after)
    )
    yield RECONNECT
    async with aclosing(_wired(numbered)) as events:
        async for piece in events:
            yield piece


def answer_of(made: AnswerUnderWay) -> ConversationAnswer | None:
    """None where it came to none."""
    if made.answer is None or made.state is not MessageState.COMPLETED:
        return None
    place = made.place
    return ConversationAnswer(
        **dict(made.answer),
        conversation_id=place.conversation.id,
        question_id=place.question_id,
        message_id=place.message_id,
        asked=place.asked,
    )


async def _wired(numbered: AsyncGenerator[Numbered, None]) -> AsyncGenerator[bytes, None]:
    """With a comment wherever nothing came for a while."""
    async with aclosing(numbered):
        coming = asyncio.create_task(_next(numbered))
        try:
            while True:
                await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
                if not coming.done():
                    yield HEARTBEAT
                    continue
                event = coming.result()
                if event is None:
                    return
                number, told = event
                yield server_sent_event(told.event, told.data, str(number))
                coming = asyncio.create_task(_next(numbered))
        finally:
            coming.cancel()
            await asyncio.wait({coming})


async def _next(numbered: AsyncGenerator[Numbered, None]) -> Numbered | None:
    return await anext(numbered, None)


async def _of_memory(
    services: Services, caller: Caller, made: AnswerUnderWay, after: int
) -> AsyncGenerator[Numbered, None]:
    looked_at = 0.0
    async with aclosing(made.follow(after)) as events:
        async for number, told in events:
            if time.monotonic() - looked_at > WATCH_SECONDS:
                if (reason := await _not_shown(services, caller, made)) is not None:
                    yield number, _ended(reason)
                    return
                looked_at = time.monotonic()
            yield number, told
    answer = answer_of(made)
    if answer is not None and (reason := await _not_shown(services, caller, made)) is not None:
        yield len(made.told) + 1, _ended(reason)
        return
    yield len(made.told) + 1, _ended(made.state) if answer is None else _done(answer)


async def _of_database(
    services: Services, caller: Caller, conversation: Conversation, message_id: UUID, after: int
) -> AsyncGenerator[Numbered, None]:
    watched_at = 0.0
    while True:
        async with services.database.transaction(caller.access) as session:
            message = await conversations.get_message(session, conversation.id, message_id)
            if message is None:
                return
            is_withheld = bool(await conversations.withheld_messages(session, [message_id]))
            batches = await answer_events.batches_after(session, message_id, after)
            if time.monotonic() - watched_at > WATCH_SECONDS:
                watched_at = time.monotonic()
                await answer_events.note_watching(session, message_id)
        if is_withheld:
            yield max(message.event_count, after) + 1, _ended(WITHHELD)
            return
        opened = await services.texts.try_words(
            [
                sealed(conversation, events_part(message_id, each.seq), each.sealed)
                for each in batches
            ],
            ToldEvents,
        )
        for batch, told in zip(batches, opened, strict=True):
            if isinstance(told, MunimentError):
                raise told
            for number, event in enumerate(told.events, start=batch.seq):
                if number > after:
                    after = number
                    yield number, event
        if len(batches) == answer_events.BATCHES_AT_ONCE:
            continue
        if state_of(message) is not MessageState.GENERATING:
            break
        await asyncio.sleep(LOOK_SECONDS)
    answer = await kept_answer(services, caller, conversation, message)
    if answer is not None:
        yield message.event_count + 1, _done(answer)
    elif await _is_withheld(services, caller, message_id):
        yield max(message.event_count, after) + 1, _ended(WITHHELD)
    else:
        yield message.event_count + 1, _ended(state_of(message))


async def kept_answer(
    services: Services, caller: Caller, conversation: Conversation, message: ConversationMessage
) -> ConversationAnswer | None:
    """As it was answered, without the passages; None where there is none, or none that may be shown."""
    (opened,) = await open_messages(services.texts, [(conversation, message)])
    is_withheld = await _is_withheld(services, caller, message.id)
    return None if is_withheld else _kept(conversation, opened)


async def _not_shown(services: Services, caller: Caller, made: AnswerUnderWay) -> str | None:
    """Why nothing more of it may be shown, if so: what is made of it in memory may be out of date."""
    place = made.place
    async with services.database.transaction(caller.access) as session:
        message = await conversations.get_message(session, place.conversation.id, place.message_id)
        withheld = await conversations.withheld_messages(session, [place.message_id])
    if message is None or message.state == MessageState.FORGOTTEN:
        return MessageState.FORGOTTEN.value
    return WITHHELD if withheld else None


async def _is_withheld(services: Services, caller: Caller, message_id: UUID) -> bool:
    async with services.database.transaction(caller.access) as session:
        return bool(await conversations.withheld_messages(session, [message_id]))


def _ended(state: str) -> ToldEvent:
    return ToldEvent(event="end", data=json.dumps({"state": str(state)}))


def _done(answer: ConversationAnswer) -> ToldEvent:
    return ToldEvent(event="done", data=answer.model_dump_json())


def _kept(conversation: Conversation, opened: OpenedMessage) -> ConversationAnswer | None:
    message, words = opened.message, opened.answer
    if message.state != MessageState.COMPLETED or words is None or message.parent_id is None:
        return None
    return ConversationAnswer(
        **dict(_answer(words)),
        conversation_id=conversation.id,
        question_id=message.parent_id,
        message_id=message.id,
        asked="" if words.provenance is None else words.provenance.asked,
    )


def _answer(words: AnswerWords) -> Answer:
    made = words.provenance
    assert made is not None  # noqa: S101 - of what was completed
    meta = AnswerMeta(
        model=made.model,
        provider=made.provider,
        prompt=made.prompt,
        mode=SearchMode(made.mode),
        cached=False,
        degraded=made.degraded,
        reasons=made.reasons,
        truncated=made.truncated,
        unknown_marks=made.unknown_marks,
        timings_ms={},
        tokens=TokenCount(prompt=made.prompt_tokens, completion=made.completion_tokens),
    )
    return Answer(answer=words.text, citations=words.citations, sources=(), meta=meta)

"""An answer's events to a reader, from wherever it was: of an answer that this process makes out of memory,
else out of PostgreSQL."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.conversations.schemas import ConversationAnswer
from api.conversations.under_way import AnswerUnderWay, Place, ToldEvent, ToldEvents
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
NumberedEvents = AsyncGenerator[Numbered, None]


async def begin(
    services: Services, caller: Caller, made: AnswerUnderWay
) -> AsyncGenerator[bytes, None]:
    """For who asked: which answer it is, then its events."""
    yield RECONNECT + server_sent_event("message", json.dumps(named(made.place)))
    async with aclosing(_wired(of_memory(services, caller, made, 0))) as events:
        async for piece in events:
            yield piece


def named(place: Place) -> dict[str, JsonValue]:
    """Which answer it is: the data of the first event."""
    return {
        "conversation_id": str(place.conversation.id),
        "question_id": str(place.question_id),
        "message_id": str(place.message_id),
        "asked": place.asked,
    }


async def resume(
    services: Services,
    caller: Caller,
    conversation: Conversation,
    message: ConversationMessage,
    after: int,
) -> AsyncGenerator[bytes, None]:
    """For who comes back: the events behind that one."""
    yield RECONNECT
    async with aclosing(_wired(behind(services, caller, conversation, message, after))) as events:
        async for piece in events:
            yield piece


def behind(
    services: Services,
    caller: Caller,
    conversation: Conversation,
    message: ConversationMessage,
    after: int,
) -> NumberedEvents:
    """The events behind that one, wherever they are."""
    made = services.under_way.get(message.id)
    if made is None:
        return _of_database(services, caller, conversation, message.id, after)
    return of_memory(services, caller, made, after)


async def answer_or_reason(
    services: Services, caller: Caller, made: AnswerUnderWay
) -> ConversationAnswer | str:
    """What it came to, of its passages those that the caller may read at this moment; or why there is none
    that may be shown. That is asked here, since what is in memory may be out of date."""
    answer = made.answer
    if answer is None or made.state is not MessageState.COMPLETED:
        return made.state.value
    place = made.place
    async with services.database.transaction(caller.access) as session:
        files = {source.file_id for source in answer.sources}
        readable = await conversations.readable_names(session, files)
        reason = await _hidden(session, place.message_id)
    if reason is not None:
        return reason
    sources = tuple(source for source in answer.sources if source.file_id in readable)
    return ConversationAnswer(
        **dict(answer.model_copy(update={"sources": sources})),
        conversation_id=place.conversation.id,
        question_id=place.question_id,
        message_id=place.message_id,
        asked=place.asked,
    )


async def _wired(numbered: NumberedEvents) -> AsyncGenerator[bytes, None]:
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


async def _next(numbered: NumberedEvents) -> Numbered | None:
    return await anext(numbered, None)


async def of_memory(
    services: Services, caller: Caller, made: AnswerUnderWay, after: int
) -> NumberedEvents:
    """Of an answer that this process makes."""
    looked_at = 0.0
    async with aclosing(made.follow(after)) as events:
        async for number, told in events:
            if time.monotonic() - looked_at > WATCH_SECONDS:
                if (
                    reason := await _not_shown(services, caller, made.place.message_id)
                ) is not None:
                    yield number, _ended(reason)
                    return
                looked_at = time.monotonic()
            yield number, told
    answer = await answer_or_reason(services, caller, made)
    number = max(len(made.told), after) + 1
    yield number, _ended(answer) if isinstance(answer, str) else _done(answer)


async def _of_database(
    services: Services, caller: Caller, conversation: Conversation, message_id: UUID, after: int
) -> NumberedEvents:
    watched_at = 0.0
    while True:
        async with services.database.transaction(caller.access) as session:
            message = await conversations.get_message(session, conversation.id, message_id)
            if message is None:
                return
            batches = await answer_events.batches_after(session, message_id, after)
            is_due = time.monotonic() - watched_at > WATCH_SECONDS
            if is_due:
                watched_at = time.monotonic()
                await answer_events.note_watching(session, message_id)
        opened = await services.texts.try_words(
            [
                sealed(conversation, events_part(message_id, each.seq), each.sealed)
                for each in batches
            ],
            ToldEvents,
        )
        # Behind the key, which may have been waited for.
        reason = await _not_shown(services, caller, message_id) if batches or is_due else None
        if reason is not None:
            yield max(message.event_count, after) + 1, _ended(reason)
            return
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
    # Its number is never behind one that was told: who makes it may have ended without counting.
    number = max(message.event_count, after) + 1
    if answer is not None:
        yield number, _done(answer)
    else:
        reason = await _not_shown(services, caller, message_id)
        yield number, _ended(reason or state_of(message))


async def kept_answer(
    services: Services, caller: Caller, conversation: Conversation, message: ConversationMessage
) -> ConversationAnswer | None:
    """As it was answered, without the passages; None where there is none, or none that may be shown."""
    (opened,) = await open_messages(services.texts, [(conversation, message)])
    reason = await _not_shown(services, caller, message.id)
    return None if reason is not None else _kept(conversation, opened)


async def _not_shown(services: Services, caller: Caller, message_id: UUID) -> str | None:
    """Why nothing of it may be shown at this moment, if so."""
    async with services.database.transaction(caller.access) as session:
        return await _hidden(session, message_id)


async def _hidden(session: AsyncSession, message_id: UUID) -> str | None:
    hidden = await conversations.hidden_messages(session, [message_id])
    if message_id in hidden.forgotten:
        return MessageState.FORGOTTEN.value
    return WITHHELD if message_id in hidden.withheld else None


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

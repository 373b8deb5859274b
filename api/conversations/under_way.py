"""Answers that are being made, apart from who waits for them: a connection that drops ends no answer, and
whoever comes back goes on where it was.

Events are in the memory of the process that makes the answer, and in PostgreSQL in batches, for readers
whom another process serves.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog

from api.conversations.words import events_part, message_part, seal
from db.models import Conversation
from db.queries import answer_events, conversations
from db.queries.answer_events import NewEvents
from db.session import Access, Database
from muniment.contracts.base import Contract
from muniment.contracts.conversations import MessageState
from muniment.errors import DependencyUnavailable, MunimentError, TooManyRequests
from muniment.sealing import TextKey
from retrieval.answer import AnswerInTheMaking
from retrieval.kept_answers import AnswerWords, kept_answer, quoted_files
from retrieval.response import (
    Answer,
    AnswerEvent,
    Citation,
    CitationEvent,
    DoneEvent,
)

MOST_UNDER_WAY = 40
"""Of one process. Each keeps up to ten batches a second, of some 17 ms, in one of its ten connections."""
MOST_OF_TENANT = 20
"""Of them: an answer outlives the connection of who asked, so whoever leaves must not take all."""
BATCH_SECONDS = 0.1
ALIVE_SECONDS = 1.0
"""So often it is said that an answer is still made, and looked whether somebody still waits."""
CLOSE_SECONDS = 5.0
FINISH_SECONDS = 10.0
"""So long it is tried to write an answer down: it was paid for. Less than LONGEST_SILENCE."""
FIRST_PAUSE_SECONDS = 0.2

BegunT = TypeVar("BegunT")

_log = structlog.get_logger(__name__)


class ToldEvent(Contract):
    """An event as it goes over the wire; `data` is JSON."""

    event: str
    data: str


class ToldEvents(Contract):
    """What is sealed together."""

    events: tuple[ToldEvent, ...]


@dataclass(frozen=True)
class Place:
    """Which answer it is, to what was asked, and how its words are sealed."""

    access: Access
    conversation: Conversation
    key: TextKey
    question_id: UUID
    message_id: UUID
    asked: str
    rewritten_by: str | None


class AnswerUnderWay:
    """`is_whole`: its events come all at its end, and are kept nowhere. `answered` is told of the answer.
    `answer` and `state` are final once it has ended."""

    def __init__(
        self,
        database: Database,
        place: Place,
        prepared: AnswerInTheMaking,
        answered: Callable[[Answer], None],
        *,
        is_whole: bool,
        resume_seconds: float,
    ) -> None:
        self.place = place
        self.answer: Answer | None = None
        self.state = MessageState.GENERATING
        self.told: list[ToldEvent] = []
        self._database = database
        self._prepared = prepared
        self._answered = answered
        self._is_whole = is_whole
        self._resume_seconds = resume_seconds
        self._citations: list[Citation] = []
        self._said: list[str] = []
        self._kept = 0
        self._readers = 0
        self._left_at = time.monotonic()
        self._changed = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self.state is not MessageState.GENERATING

    async def follow(self, after: int) -> AsyncGenerator[tuple[int, ToldEvent], None]:
        """Events behind that one, by their numbers from 1, until it has ended."""
        self._readers += 1
        try:
            while True:
                changed = self._changed
                for number in range(after + 1, len(self.told) + 1):
                    after = number
                    yield number, self.told[number - 1]
                if self.has_ended and after >= len(self.told):
                    return
                if len(self.told) <= after:
                    await changed.wait()
        finally:
            self._readers -= 1
            self._left_at = time.monotonic()

    async def make(self) -> None:
        """To its end, whoever reads; sooner where nobody waits for it any more, or when cancelled: then too
        what came is written down, and what it cost is settled."""
        making = asyncio.create_task(self._make())
        try:
            if not await self._watch(making):
                making.cancel()
        except BaseException:
            making.cancel()
            raise
        finally:
            ending = asyncio.create_task(self._end(making))
            while not ending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({ending})
            ending.result()

    async def close(self) -> None:
        """Gives back what was set aside for one that was never begun."""
        await self._prepared.close()

    async def _make(self) -> None:
        async with (
            self._prepared,
            aclosing(self._prepared.events(is_whole=self._is_whole)) as events,
        ):
            async for event in events:
                self._tell(event)

    def _tell(self, event: AnswerEvent) -> None:
        if isinstance(event, DoneEvent):
            self.answer = event.answer
            return
        if isinstance(event, CitationEvent):
            self._citations.append(event.citation)
            told = ToldEvent(event="citation", data=event.citation.model_dump_json())
        else:
            self._said.append(event.text)
            told = ToldEvent(event="token", data=event.model_dump_json(include={"text"}))
        self.told.append(told)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self, making: asyncio.Task[None]) -> bool:
        """Until it is made, keeping what was told. False where nobody wants it any more."""
        last = time.monotonic()
        while not making.done():
            await asyncio.wait({making}, timeout=BATCH_SECONDS)
            is_new = len(self.told) > self._kept and not self._is_whole
            if not is_new and time.monotonic() - last < ALIVE_SECONDS:
                continue
            last = time.monotonic()
            try:
                watched_ago = await self._keep()
            except MunimentError as error:
                # It is kept with the next batch; the answer itself at its end.
                _log.warning("answer_events_not_kept", reason=error.problem)
                continue
            if watched_ago is None:
                return False
            if not self._readers and min(watched_ago, last - self._left_at) > self._resume_seconds:
                return making.done()
        return True

    async def _keep(self) -> float | None:
        events = None
        told = len(self.told)
        if told > self._kept and not self._is_whole:
            seq = self._kept + 1
            batch = ToldEvents(events=tuple(self.told[self._kept : told]))
            part = events_part(self.place.message_id, seq)
            events = NewEvents(seq, seal(self.place.key, self.place.conversation, part, batch))
        access = self.place.access
        async with self._database.transaction(access) as session:
            watched_ago = await answer_events.keep_alive(
                session, self.place.message_id, access.tenant_id, events
            )
        self._kept = told
        return watched_ago

    async def _end(self, making: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait({making})
            await self._write_down(making)
        finally:
            if not self.has_ended:
                self.state = MessageState.FAILED
            self._wake()
            await self.close()

    async def _write_down(self, making: asyncio.Task[None]) -> None:
        if making.cancelled():
            await self._finish(MessageState.INTERRUPTED, self._partial(), None)
            return
        error = making.exception()
        answer = self.answer
        if error is not None or answer is None:
            # Not its message: what nobody foresaw may quote a document.
            reason = error.problem if isinstance(error, MunimentError) else type(error).__name__
            _log.error("answer_failed", reason=reason)
            await self._finish(MessageState.FAILED, self._partial(), None)
            return
        words = kept_answer(answer, self.place.asked, self.place.rewritten_by)
        await self._finish(MessageState.COMPLETED, words, answer)
        self._answered(answer)

    def _partial(self) -> AnswerWords:
        return AnswerWords(text="".join(self._said), citations=tuple(self._citations))

    async def _finish(self, state: MessageState, words: AnswerWords, answer: Answer | None) -> None:
        """As it is to be shown from now on."""
        place = self.place
        sealed = seal(place.key, place.conversation, message_part(place.message_id), words)
        quoted = None if answer is None else quoted_files(answer)
        if not self._is_whole and len(self.told) > self._kept:
            try:
                await self._keep()
            except MunimentError as error:
                _log.warning("answer_events_not_kept", reason=error.problem)
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._database.transaction(place.access) as session:
                    ended = await conversations.finish_answer(
                        session, place.message_id, state, sealed, quoted, len(self.told)
                    )
                    await answer_events.forget_older(session)
            except MunimentError as error:
                if time.monotonic() - began > FINISH_SECONDS:
                    _log.error("answer_not_kept", reason=error.problem)
                    return
            else:
                self.state = ended
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)


class AnswersUnderWay:
    """Those that this process makes."""

    def __init__(self) -> None:
        self._running: dict[UUID, tuple[AnswerUnderWay, asyncio.Task[None]]] = {}
        self._reserved: Counter[UUID] = Counter()
        self._beginning: set[asyncio.Task[object]] = set()

    async def carried(self, beginning: Coroutine[None, None, BegunT]) -> BegunT:
        """What it comes to. It goes on to its end where whoever waits is cancelled: what was asked over a
        connection that dropped is answered, and what was set aside for it is given back."""
        carrying = asyncio.create_task(beginning)
        self._beginning.add(carrying)
        carrying.add_done_callback(self._end_of_beginning)
        try:
            return await asyncio.shield(carrying)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if waiting is None or waiting.cancelling():
                raise
            # It was ended, not whoever waits for it, who is told so.
            raise DependencyUnavailable(
                "this process stops",
                remedy="Connect again and ask with the same key.",
            ) from None

    def _end_of_beginning(self, carrying: asyncio.Task[object]) -> None:
        self._beginning.discard(carrying)
        error = None if carrying.cancelled() else carrying.exception()
        if error is not None and not isinstance(error, MunimentError):
            # Perhaps nobody waits for it any more. Not its message, which may quote a document.
            _log.error("question_failed", reason=type(error).__name__)

    def reserve(self, tenant_id: UUID) -> None:
        """A place for an answer of the tenant's, to be released unless it is begun. Raises TooManyRequests
        when as many are made as one process makes at a time, or makes for one tenant."""
        if self._reserved.total() >= MOST_UNDER_WAY:
            raise TooManyRequests(
                f"this process already makes {MOST_UNDER_WAY} answers of conversations"
            )
        if self._reserved[tenant_id] >= MOST_OF_TENANT:
            raise TooManyRequests(
                f"this process already makes {MOST_OF_TENANT} answers of the tenant's conversations"
            )
        self._reserved[tenant_id] += 1

    def release(self, tenant_id: UUID) -> None:
        self._reserved[tenant_id] -= 1
        if not self._reserved[tenant_id]:
            del self._reserved[tenant_id]

    def begin(self, answer: AnswerUnderWay) -> None:
        """In the place that was reserved for it, which is free once it has ended."""
        message_id, tenant_id = answer.place.message_id, answer.place.access.tenant_id

        def end(_: asyncio.Task[None]) -> None:
            self._running.pop(message_id, None)
            self.release(tenant_id)

        making = asyncio.create_task(answer.make())
        self._running[message_id] = (answer, making)
        making.add_done_callback(end)

    def get(self, message_id: UUID) -> AnswerUnderWay | None:
        """None where another process makes it, or it has ended."""
        running = self._running.get(message_id)
        return None if running is None else running[0]

    async def abandon(self, message_id: UUID) -> None:
        """Ends the work on it, and settles what it cost."""
        running = self._running.get(message_id)
        if running is not None:
            await self._stop([running])

    def end(self) -> None:
        """Has all end, so that no reader waits for them."""
        for beginning in self._beginning:
            beginning.cancel()
        for _, making in self._running.values():
            making.cancel()

    async def close(self) -> None:
        """Ends all, and waits until what they cost is settled."""
        self.end()
        if self._beginning:
            await asyncio.wait({*self._beginning}, timeout=CLOSE_SECONDS)
        await self._stop([*self._running.values()])

    async def _stop(self, running: Sequence[tuple[AnswerUnderWay, asyncio.Task[None]]]) -> None:
        for _, making in running:
            making.cancel()
        if running:
            await asyncio.wait({making for _, making in running}, timeout=CLOSE_SECONDS)
        for answer, _ in running:
            # One whose task had not begun gave nothing back.
            await answer.close()

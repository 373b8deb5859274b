"""A conversation over a WebSocket: questions in, the events of their answers out, one answer at a time.

What it serves is what `/v1/query` and the events of a message serve, to the same caller, by the same limits;
an answer goes on when the socket drops, and is resumed by any socket of any process.
"""

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from uuid import UUID

from pydantic import ValidationError
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.authentication import Caller
from api.conversations import streaming
from api.conversations.asking import ask
from api.conversations.following import answer_to_follow
from api.conversations.socket_messages import (
    SOCKET_MESSAGE,
    AskMessage,
    ResumeMessage,
)
from api.conversations.streaming import NumberedEvents
from api.conversations.under_way import AnswerUnderWay
from api.conversations.view import state_of
from api.events.authorization import RECHECK_SECONDS, still_allowed
from api.events.response import LONGEST_STALL_SECONDS
from api.idempotency import hash_of, turn
from api.problems import field_errors, problem_response
from api.services import Services
from db.models import Conversation, ConversationMessage
from muniment.errors import Conflict, InvalidRequest, MunimentError, Unprocessable

MOST_REFUSED = 20
"""Messages in a row that come to nothing: whoever sends more is not talking to us."""
_NO_TEXT = 1003
_NOT_ALLOWED = 1008
_IDLE = 4408


class _Over(Exception):
    """The socket is to be closed with this code of RFC 6455, 7.4."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConversationSocket:
    """`websocket` is accepted, and closed when `serve` returns."""

    def __init__(
        self,
        websocket: WebSocket,
        services: Services,
        caller: Caller,
        conversation: Conversation,
    ) -> None:
        self._websocket = websocket
        self._services = services
        self._caller = caller
        self._conversation = conversation
        self._is_allowed = still_allowed(services.database, caller)
        self._ends_at = services.people.lifetimes.access.total_seconds() + time.monotonic()
        self._checked_at = time.monotonic()
        self._idle_seconds = services.conversations.socket_idle_seconds
        self._answering: asyncio.Task[None] | None = None
        self._refused = 0

    async def serve(self) -> None:
        """Until the client leaves, or one of its limits is reached."""
        try:
            await self._converse()
        except _Over as over:
            with suppress(WebSocketDisconnect):
                await self._in_time(self._websocket.close(over.code, over.reason))
        except WebSocketDisconnect:
            return
        finally:
            await self._stop_answering()

    async def _converse(self) -> None:
        receiving = asyncio.create_task(self._websocket.receive())
        active_at = time.monotonic()
        try:
            while True:
                working = {receiving} | ({self._answering} if self._answering else set())
                done, _ = await asyncio.wait(
                    working,
                    timeout=min(RECHECK_SECONDS, self._idle_seconds),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if self._answering in done:
                    self._answering.result()
                    self._answering = None
                if done or self._answering:
                    active_at = time.monotonic()
                elif time.monotonic() - active_at >= self._idle_seconds:
                    raise _Over(_IDLE, "nothing was asked for a while")
                if time.monotonic() - self._checked_at >= RECHECK_SECONDS:
                    await self._require_allowed()
                if receiving in done:
                    message = receiving.result()
                    receiving = asyncio.create_task(self._websocket.receive())
                    await self._take(message)
        finally:
            receiving.cancel()
            await asyncio.wait({receiving})

    async def _take(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text = message.get("text")
        if text is None:
            raise _Over(_NO_TEXT, "messages are text")
        try:
            # Each is a request: whoever has a socket may make no more of them than others.
            self._services.rate_limits.take({}, self._caller.tenant_id, self._caller.principal_id)
            asked = _parsed(text)
            if self._answering is not None:
                raise Conflict(
                    "an answer is being told in this socket",
                    remedy="Wait for its end, or open another socket.",
                )
            await self._require_allowed()
        except MunimentError as error:
            self._refused += 1
            if self._refused > MOST_REFUSED:
                raise _Over(_NOT_ALLOWED, "too many messages that were refused") from None
            await self._tell_error(error)
            return
        self._refused = 0
        work = self._ask(asked) if isinstance(asked, AskMessage) else self._resume(asked)
        self._answering = asyncio.create_task(self._told_of_errors(work))

    async def _require_allowed(self) -> None:
        """Sockets outlive keys and grants. One that came with a token or a sign-in lives no longer than an
        access token may: a token that was taken away by others asks nothing behind its own end."""
        self._checked_at = time.monotonic()
        is_over = self._caller.key_id is None and self._checked_at >= self._ends_at
        if is_over or not await self._is_allowed():
            raise _Over(_NOT_ALLOWED, "what you came with is not valid any more")

    async def _ask(self, message: AskMessage) -> None:
        services, caller = self._services, self._caller
        begun = await services.under_way.carried(self._begin(message))
        if isinstance(begun, UUID):
            await self._repeat(begun)
            return
        await self._send(None, "message", json.dumps(streaming.named(begun.place)))
        await self._tell(streaming.of_memory(services, caller, begun, 0))

    async def _begin(self, message: AskMessage) -> AnswerUnderWay | UUID:
        """The answer, or the message that an earlier question with the same key was answered by."""
        services, caller = self._services, self._caller
        asked, how = message.asked_in(self._conversation.id), message.how()
        route = f"GET {self._websocket.url.path}"
        key = message.idempotency_key
        async with turn(key, route, caller, services.database) as attempt:
            if replayed := attempt.replay(hash_of(repr(asked), how.model_dump_json())):
                return UUID(json.loads(bytes(replayed.body))["message_id"])
            return await ask(services, caller, asked, how, attempt)

    async def _repeat(self, message_id: UUID) -> None:
        """The events of what was asked before, from their beginning."""
        conversation, row, _ = await self._found(message_id, 0)
        named = {
            "conversation_id": str(conversation.id),
            "question_id": str(row.parent_id),
            "message_id": str(message_id),
        }
        await self._send(None, "message", json.dumps(named))
        await self._tell(streaming.behind(self._services, self._caller, conversation, row, 0))

    async def _resume(self, message: ResumeMessage) -> None:
        services, caller, after = self._services, self._caller, message.after
        conversation, row, has_more = await self._found(message.message_id, after)
        if not has_more:
            await self._send(after, "end", json.dumps({"state": state_of(row).value}))
            return
        await self._tell(streaming.behind(services, caller, conversation, row, after))

    async def _found(
        self, message_id: UUID, after: int
    ) -> tuple[Conversation, ConversationMessage, bool]:
        return await answer_to_follow(
            self._services, self._caller, self._conversation.id, message_id, after
        )

    async def _tell(self, events: NumberedEvents) -> None:
        async with aclosing(events):
            async for number, told in events:
                await self._send(number, told.event, told.data)

    async def _told_of_errors(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except MunimentError as error:
            await self._tell_error(error)

    async def _tell_error(self, error: MunimentError) -> None:
        await self._send(None, "error", bytes(problem_response(error).body).decode())

    async def _send(self, number: int | None, event: str, data: str) -> None:
        """`data` is JSON. Raises WebSocketDisconnect for who takes nothing any more."""
        identity = "null" if number is None else number
        frame = f'{{"id":{identity},"event":"{event}","data":{data}}}'
        await self._in_time(self._websocket.send_text(frame))

    async def _in_time(self, sending: Coroutine[None, None, None]) -> None:
        try:
            async with asyncio.timeout(LONGEST_STALL_SECONDS):
                await sending
        except TimeoutError:
            raise WebSocketDisconnect(1006) from None

    async def _stop_answering(self) -> None:
        """The telling ends; the answer is made on for who comes back."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.wait({self._answering})


def _parsed(text: str) -> AskMessage | ResumeMessage:
    """Raises InvalidRequest for what is no JSON, Unprocessable for wrong fields. Values are not repeated."""
    try:
        return SOCKET_MESSAGE.validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        errors = field_errors([{**item} for item in found])
        if any(item["type"] == "json_invalid" for item in found):
            raise InvalidRequest("the message is not valid JSON", errors=errors) from None
        raise Unprocessable("some fields are missing or wrong", errors=errors) from None

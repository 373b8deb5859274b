"""What goes over a conversation's WebSocket, whichever client carries it out: questions, and the parts of
their answers over any number of connections."""

import json
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import httpx
from pydantic import JsonValue

from muniment.client.actions import IO, Deliver, OpenSocket, Pause, ReceiveText, SendText, Stream
from muniment.client.answering import Part, part_of
from muniment.client.building import Id, given, id_text
from muniment.client.events import MAX_RECONNECTIONS, PASSING_STATUSES
from muniment.client.models import Record
from muniment.client.parsing import parse_model
from muniment.client.problems import ApiProblem, StreamBroken, problem_of
from muniment.client.protocol import Protocol
from muniment.client.resources.answers import Generate
from muniment.client.resources.conversations import ConversationAnswer, socket_path
from muniment.errors import Conflict

_SCHEMES = {"http": "ws", "https": "wss"}


class _Frame(Record):
    """A message of the API's; `id` is the event's number."""

    id: int | None = None
    event: str = ""
    data: Mapping[str, JsonValue] = {}


@dataclass
class _Asked:
    """What is asked, and how much of its answer came: with it the next connection goes on. Before it has a
    message, asking again with the same key is to find it."""

    message: Mapping[str, JsonValue]
    message_id: JsonValue = None
    after: int = 0

    def text(self) -> str:
        if self.message_id is None:
            return json.dumps(self.message)
        return json.dumps({"type": "resume", "message_id": self.message_id, "after": self.after})


class SocketAnswers:
    """Questions of one conversation, one at a time, over one WebSocket that is opened when it is needed.

    The streams raise ApiProblem where the API refuses, ApiUnreachable where no connection comes about at all,
    StreamBroken where there is no whole answer, or after too many connections in a row that brought nothing.
    A model may say nothing for as long as the API lets it: a peer that is gone is told by unanswered pings.
    """

    def __init__(self, protocol: Protocol, conversation_id: Id) -> None:
        base = protocol.base_url.rstrip("/")
        scheme, _, rest = base.partition("://")
        self._url = f"{_SCHEMES.get(scheme, scheme)}://{rest}{socket_path(conversation_id)}"
        self._protocol = protocol
        self._is_open = False
        self._was_open = False
        self._is_telling = False

    def ask(
        self,
        question: str,
        *,
        follows: Id | None = None,
        edits: Id | None = None,
        top_k: int = 8,
        generate: Generate = "auto",
    ) -> Stream[Part]:
        """Behind the newest answer, behind `follows`, or in the place of the question `edits`."""
        how: dict[str, JsonValue] = {"query": question, "top_k": top_k, "generate": generate}
        return self._asked(how | given(follows=id_text(follows), edits=id_text(edits)))

    def regenerate(
        self, message_id: Id, *, top_k: int = 8, generate: Generate = "auto"
    ) -> Stream[Part]:
        """A further answer to a question."""
        return self._asked({"again": str(message_id), "top_k": top_k, "generate": generate})

    def resume(self, message_id: Id, *, after: int = 0) -> Stream[Part]:
        """The answer that this message is, behind the event with that number."""
        return self._told(_Asked({}, str(message_id), after))

    def _asked(self, how: Mapping[str, JsonValue]) -> Stream[Part]:
        return self._told(_Asked({"type": "ask", "idempotency_key": str(uuid.uuid4()), **how}))

    def _told(self, asked: _Asked) -> Stream[Part]:
        if self._is_telling:
            raise Conflict(
                "an answer is being told over this socket",
                remedy="Take it to its end, close it, or open another socket.",
            )
        self._is_telling = True
        is_whole = False
        try:
            yield from self._over_connections(asked)
            is_whole = True
        finally:
            # Else what is left of this answer would be taken for the next one's.
            self._is_open = self._is_open and is_whole
            self._is_telling = False

    def _over_connections(self, asked: _Asked) -> Stream[Part]:
        failures, came = 0, asked.after
        while True:
            try:
                return (yield from self._one_connection(asked))
            except httpx.TransportError as error:
                if not self._was_open and failures + 1 >= self._protocol.retry.attempts:
                    raise self._protocol.unreachable(error) from error
                reason = str(error) or type(error).__name__
            except ApiProblem as problem:
                # The first question may still be looked up where its connection is known to have dropped.
                is_in_flight = problem.status_code == httpx.codes.CONFLICT and failures > 0
                is_tried_again = failures + 1 < self._protocol.retry.attempts
                is_passing = problem.status_code in PASSING_STATUSES and is_tried_again
                if not is_passing and not is_in_flight:
                    raise
                reason = problem.document.title
            self._is_open = False
            failures, came = (failures + 1 if asked.after == came else 1), asked.after
            if failures > MAX_RECONNECTIONS:
                raise StreamBroken(f"{self._url} could not be resumed: {reason}")
            yield Pause(self._protocol.retry.delay(failures))

    def _one_connection(self, asked: _Asked) -> Generator[IO | Deliver[Part], None, None]:
        if not self._is_open:
            yield from self._opened()
        yield SendText(asked.text())
        while True:
            received = ReceiveText()
            yield received
            frame = parse_model(_Frame, received.text)
            if frame.event == "error":
                refused = json.dumps(dict(frame.data)).encode()
                status = frame.data.get("status")
                code = status if isinstance(status, int) else httpx.codes.INTERNAL_SERVER_ERROR
                raise problem_of(httpx.Response(code, content=refused))
            if frame.event == "message":
                asked.message_id = frame.data.get("message_id")
            part = part_of(frame.event, json.dumps(dict(frame.data)), ConversationAnswer)
            if frame.id is not None:
                asked.after = frame.id
            if part is not None:
                yield Deliver(part)
            if frame.event == "end":
                raise StreamBroken("there is no whole answer to show", remedy="Ask again.")
            if frame.event == "done":
                return

    def _opened(self) -> Generator[IO, None, None]:
        headers = {
            "Authorization": f"Bearer {self._protocol.key}",
            "User-Agent": "muniment-client",
        }
        opening = OpenSocket(self._url, headers, self._protocol.timeout_seconds)
        yield opening
        if opening.refused is not None:
            raise problem_of(opening.refused)
        self._is_open = self._was_open = True

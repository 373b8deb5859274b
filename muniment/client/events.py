"""The events of jobs, and the stream that survives broken connections."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import httpx
from pydantic import JsonValue, TypeAdapter, ValidationError

from muniment.client.actions import IO, Deliver, Pause, ReadChunk, Stream
from muniment.client.building import Id, segment
from muniment.client.models import Job, Stage
from muniment.client.parsing import parse_model
from muniment.client.problems import ApiProblem, StreamBroken, UnexpectedAnswer
from muniment.client.protocol import Protocol
from muniment.client.resources.conversations import message_path
from muniment.client.server_sent_events import Decoder, ServerSentEvent

Item = TypeVar("Item")

_SILENCE_SECONDS = 45.0
"""Three heartbeats of 15 s: a stream that says nothing for so long is broken."""
MAX_RECONNECTIONS = 20
"""In a row, without any event between: about a minute and a half of an API that is away."""

PASSING_STATUSES = frozenset({429, 502, 503, 504})

_RECORD: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class EventKind(StrEnum):
    SNAPSHOT = "snapshot"
    STAGE = "stage"
    PAGE = "page"
    STATE = "state"
    RETRY = "retry"
    END = "end"


_KINDS = frozenset(EventKind)


@dataclass(frozen=True)
class Event:
    """One event. `id` resumes the stream after it; `data` is the event's JSON."""

    id: str
    kind: EventKind | str
    data: dict[str, JsonValue]

    @property
    def job(self) -> Job | None:
        """The job as it is now, for `snapshot`, `state` and `end`."""
        if self.kind not in (EventKind.SNAPSHOT, EventKind.STATE, EventKind.END):
            return None
        return parse_model(Job, json.dumps(self.data))

    @property
    def stage(self) -> Stage | None:
        """The stage as it is now, for `stage`."""
        return parse_model(Stage, json.dumps(self.data)) if self.kind == EventKind.STAGE else None

    @property
    def job_id(self) -> str | None:
        """Whose event it is, where the stream says so."""
        given = self.data.get("job_id")
        if given is None and self.kind in (EventKind.SNAPSHOT, EventKind.STATE, EventKind.END):
            given = self.data.get("id")
        return given if isinstance(given, str) else None


def job_events(protocol: Protocol, job_id: Id, last_event_id: str | None) -> Stream[Event]:
    """All events of a job until its `end`, each once, over any number of connections."""
    return ResumedStream(protocol, job_path(job_id), _itself, last_event_id, ends=True).run()


def tenant_events(protocol: Protocol, last_event_id: str | None) -> Stream[Event]:
    """The events of all jobs of the tenant, without end."""
    return ResumedStream(protocol, "/v1/events", _itself, last_event_id, ends=False).run()


def answer_events(
    protocol: Protocol, conversation_id: Id, message_id: Id, last_event_id: str | None
) -> Stream[Event]:
    """All events of an answer of a conversation, each once, over any number of connections."""
    path = message_path(conversation_id, message_id)
    return ResumedStream(protocol, path, _itself, last_event_id, ends=True).run()


def job_path(job_id: Id) -> str:
    return f"/v1/jobs/{segment(job_id)}/events"


def _itself(event: Event) -> Event:
    return event


class ResumedStream(Generic[Item]):
    """One stream over many connections, resumed by Last-Event-ID.

    `accept` turns each event into what is delivered, or into None to deliver nothing. Where the API
    no longer keeps what lies after the last id (409), the stream starts anew with its snapshot.
    Raises ApiProblem when the API refuses for good, StreamBroken after too many connections in a
    row that brought nothing.
    """

    def __init__(
        self,
        protocol: Protocol,
        path: str,
        accept: Callable[[Event], Item | None],
        last_event_id: str | None = None,
        *,
        ends: bool,
    ) -> None:
        self._protocol = protocol
        self._path = path
        self._accept = accept
        self._ends = ends
        self._last_event_id = last_event_id or ""
        self._failures = 0
        self._least_pause_seconds = 0.0

    def run(self) -> Stream[Item]:
        while True:
            try:
                if (yield from self._one_connection()):
                    return
                reason = "the API ends it at once"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            except ApiProblem as problem:
                self._raise_unless_passing(problem)
                reason = problem.document.title
            self._failures += 1
            if self._failures > MAX_RECONNECTIONS:
                raise StreamBroken(f"{self._path} could not be resumed: {reason}")
            delay = self._protocol.retry.delay(self._failures)
            yield Pause(max(delay, self._least_pause_seconds))

    def _one_connection(self) -> Generator[IO | Deliver[Item], None, bool]:
        """Delivers what one connection brings; whether the stream is over."""
        response = yield from self._protocol.open(self._request())
        if response.status_code == httpx.codes.NO_CONTENT:
            return True
        decoder = Decoder(self._last_event_id)
        while True:
            read = ReadChunk()
            yield read
            if read.chunk is None:
                return False
            for received in decoder.feed(read.chunk):
                self._failures = 0
                self._last_event_id = received.id
                item = self._accept(_parse(received))
                if item is not None:
                    yield Deliver(item)
                if self._ends and received.event == EventKind.END:
                    return True
            self._least_pause_seconds = decoder.retry_seconds or self._least_pause_seconds

    def _request(self) -> httpx.Request:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        return self._protocol.request(
            "GET", self._path, headers=headers, read_timeout_seconds=_SILENCE_SECONDS
        )

    def _raise_unless_passing(self, problem: ApiProblem) -> None:
        """Raises the problem unless a new connection can mend it."""
        if problem.status_code == httpx.codes.CONFLICT and self._last_event_id:
            self._last_event_id = ""
        elif problem.status_code not in PASSING_STATUSES:
            raise problem


def _parse(received: ServerSentEvent) -> Event:
    try:
        data = _RECORD.validate_json(received.data)
    except ValidationError:
        raise UnexpectedAnswer(f"the data of a {received.event} event is no object") from None
    kind = EventKind(received.event) if received.event in _KINDS else received.event
    return Event(received.id, kind, data)

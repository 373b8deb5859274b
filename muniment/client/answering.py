"""Answers that come word by word."""

from dataclasses import dataclass

import httpx
from pydantic import JsonValue

from muniment.client.actions import Deliver, ReadChunk, Stream
from muniment.client.building import Id
from muniment.client.models import Answer, Citation, Record
from muniment.client.parsing import parse_model
from muniment.client.problems import StreamBroken
from muniment.client.protocol import Protocol
from muniment.client.resources.answers import Generate, query_body
from muniment.client.resources.conversations import ConversationAnswer
from muniment.client.server_sent_events import Decoder

SILENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Token:
    """The next piece of the answer's text."""

    text: str


Part = Token | Citation | Answer
"""An answer's pieces in order: tokens and citations, last of all the whole Answer."""


def streamed_answer(
    protocol: Protocol, question: str, top_k: int, generate: Generate, *, cache: bool = True
) -> Stream[Part]:
    """An answer as it is made. Raises StreamBroken when the connection ends before `done`: an
    answer is not resumed, ask again."""
    body = query_body(question, top_k, generate, stream=True, cache=cache)
    yield from _streamed(protocol, body, Answer)


def streamed_in_conversation(
    protocol: Protocol, conversation_id: Id, question: str, top_k: int, generate: Generate
) -> Stream[Part]:
    """Likewise, behind the newest answer of a conversation, in which the answer is kept. Where the
    connection ends before `done`, its message tells it once it is made."""
    body = query_body(question, top_k, generate, stream=True)
    yield from _streamed(
        protocol, body | {"conversation_id": str(conversation_id)}, ConversationAnswer
    )


def _streamed(protocol: Protocol, body: dict[str, JsonValue], answer: type[Answer]) -> Stream[Part]:
    request = protocol.request(
        "POST",
        "/v1/query",
        json=body,
        headers={"Accept": "text/event-stream"},
        read_timeout_seconds=SILENCE_SECONDS,
    )
    try:
        yield from protocol.open(request)
    except httpx.TransportError as error:
        raise protocol.unreachable(error) from error
    decoder = Decoder()
    while True:
        read = ReadChunk()
        try:
            yield read
        except httpx.TransportError as error:
            raise StreamBroken("the answer was cut off", remedy="Ask again.") from error
        if read.chunk is None:
            raise StreamBroken("the answer was cut off", remedy="Ask again.")
        for event in decoder.feed(read.chunk):
            part = part_of(event.event, event.data, answer)
            if part is not None:
                yield Deliver(part)
            if event.event == "end":
                raise StreamBroken("there is no whole answer to show", remedy="Ask again.")
            if event.event == "done":
                return


class _TokenData(Record):
    text: str = ""


def part_of(event: str, data: str, answer: type[Answer]) -> Part | None:
    """What an event says of the answer; None of those that say nothing of it."""
    if event == "token":
        return Token(parse_model(_TokenData, data).text)
    if event == "citation":
        return parse_model(Citation, data)
    if event == "done":
        return parse_model(answer, data)
    return None

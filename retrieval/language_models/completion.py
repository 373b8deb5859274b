"""One request to a server that speaks OpenAI's chat completions, streamed.

Everything that comes is checked: servers of many makes speak this, more or less.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from typing import Literal

import httpx
from pydantic import BaseModel, Field, JsonValue, ValidationError

from muniment.client.problems import StreamBroken
from muniment.client.server_sent_events import Decoder, ServerSentEvent
from muniment.contracts.base import Contract
from retrieval.language_models.model import Model

EVENT_STREAM = "text/event-stream"
MOST_CHARACTERS_PER_TOKEN = 16
"""A server that writes more than its limit allows is cut off there."""

_ABOUT_THE_MODEL = frozenset({401, 403, 404, 408, 429})
"""Of the statuses that blame the request: those that any other request would get too."""


class Message(Contract):
    role: Literal["system", "user"]
    content: str


class Usage(BaseModel):
    """Tokens, as the server counted them."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class Failure(StrEnum):
    """What is wrong with a model: also a label of metrics."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNSUITED = "unsuited"
    """It takes no such request: too long for its window, or filtered. Tells nothing of the next one."""
    TIMED_OUT = "timed_out"
    GARBLED = "garbled"
    CUT_OFF = "cut_off"
    EMPTY = "empty"


class CompletionFailed(Exception):
    """The model gave no answer, or no whole one. Its words are not repeated: they may quote a document."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Chunk(BaseModel):
    """What is read of `chat.completion.chunk`; the rest is left alone."""

    choices: list[_Choice] = []
    usage: Usage | None = None
    error: JsonValue = None


async def completion(
    client: httpx.AsyncClient, model: Model, messages: Sequence[Message], max_tokens: int
) -> AsyncGenerator[str | Usage, None]:
    """The answer's pieces as they come, and the server's count where it tells. Raises CompletionFailed.
    An empty piece is a sign of life: of a model that thinks before it answers.

    Closing the generator closes the connection, by which the server learns that nobody listens.
    """
    try:
        async with client.stream(
            "POST",
            f"{model.url}/chat/completions",
            content=json.dumps(_body(model, messages, max_tokens)).encode(),
            headers=_headers(model),
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise CompletionFailed(_failure(response.status_code))
            if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
                raise CompletionFailed(Failure.GARBLED)
            reading = _Reading(max_tokens * MOST_CHARACTERS_PER_TOKEN)
            async for received in response.aiter_bytes():
                for piece in reading.feed(received):
                    yield piece
                if reading.is_over:
                    return
            if not reading.has_finished:
                raise CompletionFailed(Failure.CUT_OFF)
    except httpx.TimeoutException:
        raise CompletionFailed(Failure.TIMED_OUT) from None
    except (httpx.ConnectError, httpx.ProxyError):
        raise CompletionFailed(Failure.UNREACHABLE) from None
    except httpx.HTTPError:
        raise CompletionFailed(Failure.CUT_OFF) from None


class _Reading:
    """`has_finished` when the model said that it is done, `is_over` when nothing more is wanted."""

    def __init__(self, most_characters: int) -> None:
        self._decoder = Decoder()
        self._left = most_characters
        self.has_finished = False
        self.is_over = False

    def feed(self, received: bytes) -> list[str | Usage]:
        try:
            events = self._decoder.feed(received)
        except StreamBroken:
            raise CompletionFailed(Failure.GARBLED) from None
        pieces: list[str | Usage] = []
        for event in events:
            if not self.is_over:
                pieces += self._pieces(event)
        return pieces

    def _pieces(self, event: ServerSentEvent) -> list[str | Usage]:
        if event.data.strip() == "[DONE]":
            self.is_over = True
            return []
        try:
            chunk = _Chunk.model_validate_json(event.data)
        except ValidationError:
            raise CompletionFailed(Failure.GARBLED) from None
        if chunk.error is not None:
            raise CompletionFailed(_failure(_code(chunk.error)))
        found: list[str | Usage] = []
        for choice in chunk.choices[:1]:
            self.has_finished |= choice.finish_reason is not None
            content = (choice.delta.content or "")[: self._left]
            self._left -= len(content)
            found.append(content)
        if chunk.usage is not None:
            found.append(chunk.usage)
        self.is_over = self._left == 0
        return found


def _failure(status: int) -> Failure:
    is_about_the_request = 400 <= status < 500 and status not in _ABOUT_THE_MODEL
    return Failure.UNSUITED if is_about_the_request else Failure.REFUSED


def _code(error: JsonValue) -> int:
    """The status in an error that comes when the stream has begun; 0 where none is told."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 0


def _body(model: Model, messages: Sequence[Message], max_tokens: int) -> Mapping[str, JsonValue]:
    body: dict[str, JsonValue] = {
        "temperature": 0,
        "max_tokens": max_tokens,
        "stream_options": {"include_usage": True},
        **model.request,
    }
    return {
        **{name: value for name, value in body.items() if value is not None},
        "model": model.model,
        "messages": [message.model_dump() for message in messages],
        "stream": True,
    }


def _headers(model: Model) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": EVENT_STREAM}
    if model.api_key is not None:
        headers["Authorization"] = f"Bearer {model.api_key.get_secret_value()}"
    return headers

"""Asks models in order until one answers; keeps to time-outs, and to what one process may do at a time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import httpx

from muniment.egress import tls_context
from muniment.errors import TooManyRequests
from muniment.telemetry import metrics
from retrieval.language_models.breaker import Breaker
from retrieval.language_models.completion import (
    CompletionFailed,
    Failure,
    Message,
    Usage,
    completion,
)
from retrieval.language_models.model import Model
from retrieval.language_models.tokens import PER_MESSAGE, estimate

CONNECT_SECONDS = 5.0

MessagesFor = Callable[[Model], Sequence[Message]]
"""What is said to a model, as far as it fits into its window."""

MayGoOn = Callable[[Model, int], Awaitable[bool]]
"""Whether a further model may be asked at this moment, when so many tokens are spent already."""


class Gateway:
    """The models of this process, in the order in which they are asked. Holds nothing of any tenant."""

    def __init__(
        self, models: Sequence[Model], *, max_answer_tokens: int, max_concurrent: int
    ) -> None:
        self.models = tuple(models)
        self.max_answer_tokens = max_answer_tokens
        self._max_concurrent = max_concurrent
        self._taken = 0
        self._breakers = {model.name: Breaker() for model in models}
        self._clients = {model.name: _client(model) for model in models}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def is_resting(self, model: Model) -> bool:
        """Whether it failed so often that it is left alone for a while."""
        return self._breakers[model.name].is_open

    @property
    def longest_seconds(self) -> float:
        """No answer takes longer, whichever models fail first."""
        return sum(model.total_seconds for model in self.models)

    def most_answer_tokens(self, model: Model) -> int:
        """What the operator set for this model, if that is more."""
        own = [model.request.get(name) for name in ("max_tokens", "max_completion_tokens")]
        return max(self.max_answer_tokens, *(each for each in own if isinstance(each, int)), 0)

    def take_place(self) -> None:
        """For one answer, given back when it ends. Raises TooManyRequests when as many are made as one
        process makes at a time."""
        if self._taken >= self._max_concurrent:
            raise TooManyRequests(
                f"this process already has {self._max_concurrent} answers made by language models"
            )
        self._taken += 1

    def give_place_back(self) -> None:
        self._taken -= 1

    def generation(
        self,
        models: Sequence[Model],
        messages_for: MessagesFor,
        may_go_on: MayGoOn,
        *,
        is_whole: bool,
    ) -> "Generation":
        """An answer by the first of these that gives one; with `is_whole`, that gives one to its end."""
        return Generation(self, models, messages_for, may_go_on, is_whole=is_whole)

    async def attempt(
        self, model: Model, messages: Sequence[Message]
    ) -> AsyncGenerator[str | Usage, None]:
        """One model's pieces. Raises CompletionFailed, at once where the model rests."""
        breaker = self._breakers[model.name]
        if not breaker.admit():
            raise CompletionFailed(Failure.UNREACHABLE)
        outcome = "abandoned"
        try:
            async with aclosing(self._timed(model, messages)) as pieces:
                async for piece in pieces:
                    yield piece
            outcome = "answered"
        except CompletionFailed as error:
            outcome = error.failure.value
            raise
        finally:
            _settle(breaker, outcome)
            metrics.model_requests_total.labels(model.name, outcome).inc()

    async def _timed(
        self, model: Model, messages: Sequence[Message]
    ) -> AsyncGenerator[str | Usage, None]:
        """Its time runs while it is waited for, not while its words are checked, or read by whoever asked."""
        waited = 0.0
        is_first = True
        async with aclosing(
            completion(self._clients[model.name], model, messages, self.max_answer_tokens)
        ) as pieces:
            while True:
                left = model.total_seconds - waited
                began = time.monotonic()
                try:
                    async with asyncio.timeout(min(model.first_token_seconds, left)):
                        piece = await anext(pieces, None)
                except TimeoutError:
                    raise CompletionFailed(Failure.TIMED_OUT) from None
                waited += time.monotonic() - began
                if piece is None:
                    break
                if is_first and isinstance(piece, str) and piece:
                    is_first = False
                    metrics.model_first_token_seconds.labels(model.name).observe(waited)
                yield piece
        if is_first:
            raise CompletionFailed(Failure.EMPTY)


class Generation:
    """One answer in the making. `model` is the one whose words came; `failed` those that gave none, and
    why; `broke_off` when the words ended before their end, so that nobody else could begin anew."""

    def __init__(
        self,
        gateway: Gateway,
        models: Sequence[Model],
        messages_for: MessagesFor,
        may_go_on: MayGoOn,
        *,
        is_whole: bool,
    ) -> None:
        self._gateway = gateway
        self._models = models
        self._messages_for = messages_for
        self._may_go_on = may_go_on
        self._is_whole = is_whole
        self.model: Model | None = None
        self.failed: list[tuple[Model, Failure]] = []
        self.broke_off = False
        self.prompt_tokens = 0
        self.completion_tokens = 0

    @property
    def spent_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Of the first model that answers; none when all fail. Those of one that fails before its first
        word are replaced by the next one's, if that may still be asked by then."""
        for model in self._models:
            if self.failed and not await self._may_go_on(model, self.spent_tokens):
                continue
            try:
                async with aclosing(self._pieces_of(model)) as pieces:
                    if self._is_whole:
                        whole = "".join([piece async for piece in pieces])
                        self.model = model
                        yield whole
                        return
                    async for piece in pieces:
                        self.model = model
                        yield piece
            except CompletionFailed as error:
                self.failed.append((model, error.failure))
                self.broke_off = self.model is not None
            if self.model is not None:
                return

    async def _pieces_of(self, model: Model) -> AsyncGenerator[str, None]:
        messages = self._messages_for(model)
        usage: Usage | None = None
        written = 0
        is_charged = False
        try:
            async with aclosing(self._gateway.attempt(model, messages)) as pieces:
                async for piece in pieces:
                    is_charged = True
                    if isinstance(piece, Usage):
                        usage = piece if self._is_credible(piece, model) else None
                        continue
                    written += estimate(piece)
                    if piece:
                        yield piece
        except CompletionFailed as error:
            # What was refused or never arrived was not read by a model either.
            is_charged |= error.failure in (Failure.TIMED_OUT, Failure.CUT_OFF, Failure.EMPTY)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            is_charged = True
            raise
        finally:
            if is_charged:
                self._charge(messages, usage, written)

    def _is_credible(self, usage: Usage, model: Model) -> bool:
        """More than a window and an answer no model reads and writes for one question."""
        most = model.context_tokens + self._gateway.most_answer_tokens(model)
        return usage.prompt_tokens + usage.completion_tokens <= most

    def _charge(self, messages: Sequence[Message], usage: Usage | None, written: int) -> None:
        """By the server's count; where it does not tell, by an estimate of what it read and wrote."""
        if usage is None:
            self.prompt_tokens += sum(PER_MESSAGE + estimate(each.content) for each in messages)
            self.completion_tokens += written
        else:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens


def _settle(breaker: Breaker, outcome: str) -> None:
    if outcome == "answered":
        breaker.succeeded()
    elif outcome in ("abandoned", Failure.UNSUITED):
        breaker.abandoned()
    else:
        breaker.failed()


def _client(model: Model) -> httpx.AsyncClient:
    """Never by a proxy that the environment names, nor to where an answer redirects. Connections are as many
    as places: who has one waits for none."""
    return httpx.AsyncClient(
        verify=tls_context(model.ca_file),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(model.first_token_seconds, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None),
    )

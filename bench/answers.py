"""Questions that a language model answers, ten a second over 100,000 passages: what we add to the model's own
time to its first word, beside fifty answers that are still being told."""

import asyncio
import json
import statistics
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from bench.answers_set import add_passages_that_say_something
from bench.costs import costs
from bench.doors import model_server
from bench.results import Result, note
from bench.stack import Stack, embedded_stack
from bench.vector_set import real_questions
from deploy.embedded.home import model_directory
from muniment.embedding import Embedder
from muniment.task_group import task_group

PASSAGES = 100_000
STARTS_PER_SECOND = 10
FIRST_MS, BETWEEN_MS, PIECES = 300, 150, 32
"""Of the model: an answer takes five seconds, so that fifty are open."""
MOST_ADDED_P95_MS = 300.0
_SECONDS = 30.0
_FILLING_SECONDS = 6.0
"""Until fifty are open; what is asked before is not measured."""
_LEAST_MEASURED = 20
"""Of fewer there is no p95."""
_QUESTIONS_TRIED = 300
_TRIED_AT_ONCE = 2
_HTTP_SECONDS = 60.0
_FIRST_TOKEN = b"event: token"


@dataclass
class Asked:
    """What came of questions: milliseconds to the first word beyond the model's own, of those that are
    measured; how many answers did not come whole, in the model's words."""

    added: list[float] = field(default_factory=list)
    dropped: int = 0
    open: int = 0
    most_open: int = 0


async def measure_answers() -> bool:
    """Prints what we add, and whether that is little enough and no answer was dropped."""
    embedder = Embedder(model_directory())
    with model_server(FIRST_MS, BETWEEN_MS, PIECES) as url:
        provider = {"name": "known", "url": url, "model": "known", "local": True}
        settings = {"MUNIMENT_MODELS__PROVIDERS": json.dumps([provider])}
        with embedded_stack(settings) as stack:
            key = await asyncio.to_thread(
                add_passages_that_say_something, stack.database, embedder, PASSAGES
            )
            asked = await ask_at_a_rate(stack, key.secret)
    return judge(asked)


async def ask_at_a_rate(stack: Stack, key: str) -> Asked:
    """So many questions a second, whether or not the ones before are answered."""
    asked = Asked()
    async with _client(stack, key) as http:
        questions = await _answered(http, real_questions(_QUESTIONS_TRIED))
        note(f"answers: {len(questions)} of {_QUESTIONS_TRIED} questions have an answer")
        began = perf_counter()
        async with costs(stack.home, "answers"), task_group() as tasks:
            for number in range(int((_FILLING_SECONDS + _SECONDS) * STARTS_PER_SECOND)):
                due = number / STARTS_PER_SECOND
                await asyncio.sleep(max(0.0, began + due - perf_counter()))
                question = questions[number % len(questions)]
                is_measured = due >= _FILLING_SECONDS
                tasks.create_task(_ask(http, question, asked, is_measured=is_measured))
    return asked


def judge(asked: Asked) -> bool:
    """Prints what came of it."""
    Result("answers.dropped", asked.dropped, "count", peer=len(asked.added)).print()
    if len(asked.added) < _LEAST_MEASURED:
        return False
    percentiles = statistics.quantiles(asked.added, n=20)
    Result("answers.added_p50", percentiles[9], "ms").print()
    Result("answers.added_p95", percentiles[18], "ms").print()
    Result("answers.most_open", asked.most_open, "count").print()
    return percentiles[18] <= MOST_ADDED_P95_MS and asked.dropped == 0


@asynccontextmanager
async def _client(stack: Stack, key: str) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with httpx.AsyncClient(
        base_url=stack.api,
        headers={"Authorization": f"Bearer {key}"},
        timeout=_HTTP_SECONDS,
        limits=httpx.Limits(max_connections=None),
        trust_env=False,
    ) as http:
        yield http


async def _answered(http: httpx.AsyncClient, questions: list[str]) -> list[str]:
    """Those that something answers, which is when a model is asked; the API is warm afterwards."""
    at_once = asyncio.Semaphore(_TRIED_AT_ONCE)
    has_answer: dict[str, bool] = {}

    async def try_one(question: str) -> None:
        async with at_once:
            body = {"query": question, "generate": "extractive"}
            response = await http.post("/v1/query", json=body)
            response.raise_for_status()
            has_answer[question] = bool(response.json()["citations"])

    async with task_group() as tasks:
        for question in questions:
            tasks.create_task(try_one(question))
    return [question for question in questions if has_answer[question]]


async def _ask(http: httpx.AsyncClient, question: str, asked: Asked, *, is_measured: bool) -> None:
    began = perf_counter()
    body = {"query": question, "stream": True}
    first: float | None = None
    told = b""
    asked.open += 1
    asked.most_open = max(asked.most_open, asked.open)
    try:
        async with http.stream("POST", "/v1/query", json=body) as response:
            response.raise_for_status()
            async for piece in response.aiter_raw():
                if first is None and _FIRST_TOKEN in piece:
                    first = perf_counter() - began
                told += piece
    except httpx.HTTPError as error:
        note(f"answers: {type(error).__name__} {error}")
    asked.open -= 1
    if first is None or not _is_whole(told):
        asked.dropped += 1
    if is_measured and first is not None:
        asked.added.append(first * 1000 - FIRST_MS)


def _is_whole(told: bytes) -> bool:
    """To its end, in the model's words."""
    _, _, done = told.rpartition(b"event: done")
    data = next((line[5:] for line in done.splitlines() if line.startswith(b"data:")), None)
    return data is not None and json.loads(data)["meta"]["provider"] is not None

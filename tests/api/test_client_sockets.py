"""Conversations over WebSockets by both clients, which resume by themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest

from db.session import Database
from muniment.client import ApiProblem, ApiUnreachable, AsyncMuniment, Muniment, Part, Retry, Token
from muniment.client.resources.conversations import ConversationAnswer
from muniment.errors import Conflict, NotFound, Unauthenticated
from tests.api.conftest import ApiProcess, start_api, stop_api
from tests.api.test_conversations import begin, messages
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION
from tests.retrieval.published import publish_file

QUICK = Retry(first_delay_seconds=0.05, longest_delay_seconds=0.5)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving_models() as server:
        yield server


@pytest.fixture(scope="module")
def api(
    api_environment: dict[str, str],
    server: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiProcess]:
    model = {"name": "brisk", "url": f"{server.url}/v1", "model": "faithful@50,40", "local": True}
    settings = {"MUNIMENT_MODELS__PROVIDERS": json.dumps([model])}
    api = start_api(tmp_path_factory.mktemp("client-sockets"), {**api_environment, **settings})
    yield api
    assert stop_api(api) == 0


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf")


class DroppingProxy:
    """Passes bytes on to the API, and drops a connection after so many of them came back over it: each of
    `limits` is of one connection, those behind the last are let through."""

    def __init__(self, api: ApiProcess, limits: list[int]) -> None:
        self._host, port = api.url.removeprefix("http://").split(":")
        self._port = int(port)
        self._limits = limits
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = self._limits[self.connections] if self.connections < len(self._limits) else None
        self.connections += 1
        behind, before = await asyncio.open_connection(self._host, self._port)
        onward = asyncio.create_task(_pass_on(reader, before, None))
        try:
            await _pass_on(behind, writer, limit)
        finally:
            onward.cancel()
            await asyncio.wait({onward})
            writer.transport.abort()
            before.transport.abort()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None
) -> None:
    passed = 0
    while (limit is None or passed < limit) and (piece := await reader.read(512)):
        passed += len(piece)
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def dropping(api: ApiProcess, limits: list[int]) -> AsyncIterator[tuple[str, DroppingProxy]]:
    proxy = DroppingProxy(api, limits)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", proxy


def whole(parts: list[Part]) -> ConversationAnswer:
    """The last of the parts, which is what the others said."""
    answer = parts[-1]
    assert isinstance(answer, ConversationAnswer)
    assert "".join(part.text for part in parts if isinstance(part, Token)) == answer.answer
    assert PAID in answer.answer
    return answer


async def test_what_drops_is_gone_on_with(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    """Dropped during the handshake, with the first frame, and in the middle of the answer."""
    conversation_id = await begin(client)
    async with (
        dropping(api, [10, 600, 1_500]) as (url, proxy),
        AsyncMuniment(url, tenant.api_key, retry=QUICK) as muniment,
        muniment.conversations.socket(conversation_id) as socket,
    ):
        first = whole([part async for part in socket.ask(QUESTION, generate="llm")])
        assert proxy.connections == 4
        again = socket.regenerate(str(first.message_id), generate="extractive")
        second = whole([part async for part in again])
        resumed = [part async for part in socket.resume(str(first.message_id), after=3)]
        assert proxy.connections == 4, "it stays open"
    assert second.question_id == first.question_id
    assert isinstance(resumed[-1], ConversationAnswer)
    assert resumed[-1].answer == first.answer
    assert len(await messages(client, conversation_id)) == 3


async def test_one_question_at_a_time_and_none_takes_what_is_left_of_another(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    conversation_id = await begin(client)
    async with (
        AsyncMuniment(api.url, tenant.api_key, retry=QUICK) as muniment,
        muniment.conversations.socket(conversation_id) as socket,
    ):
        async with aclosing(socket.ask(QUESTION, generate="llm")) as left:  # type: ignore[type-var] # it is a generator
            await anext(left)
            with pytest.raises(Conflict):
                await anext(socket.ask(QUESTION))
        answer = whole([part async for part in socket.ask(QUESTION, generate="extractive")])
    assert answer.meta.model == "extractive"


async def test_what_is_refused_is_raised_and_the_next_question_is_asked(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    conversation_id = await begin(client)

    def converse() -> ConversationAnswer:
        with (
            Muniment(api.url, tenant.api_key, retry=QUICK) as muniment,
            muniment.conversations.socket(conversation_id) as socket,
        ):
            with pytest.raises(ApiProblem, match="wrong") as refused:
                list(socket.ask(""))
            assert refused.value.status_code == 422
            with pytest.raises(NotFound):
                list(socket.ask(QUESTION, follows=uuid4()))
            with muniment.conversations.socket(uuid4()) as unknown, pytest.raises(NotFound):
                list(unknown.ask(QUESTION))
            return whole(list(socket.ask(QUESTION, generate="llm")))

    answer = await asyncio.to_thread(converse)
    assert answer.conversation_id == UUID(conversation_id)
    async with AsyncMuniment(api.url, "mun_nonsense", retry=QUICK) as muniment:
        with pytest.raises(Unauthenticated):
            await anext(muniment.conversations.socket(conversation_id).ask(QUESTION))


async def test_an_api_that_stays_away_is_given_up(api: ApiProcess, tenant: TenantFixture) -> None:
    never = Retry(first_delay_seconds=0.001, longest_delay_seconds=0.002)
    async with dropping(api, [0] * 100) as (url, proxy):
        async with AsyncMuniment(url, tenant.api_key, retry=never) as muniment:
            with pytest.raises(ApiUnreachable):
                await anext(muniment.conversations.socket(uuid4()).ask(QUESTION))
        assert proxy.connections == never.attempts

"""Questions whose connection drops before the first word, sockets of browsers and of tickets, and answers
whose process is killed."""

import asyncio
import json
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.conversations.view import LONGEST_SILENCE
from db.session import Database
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_conversation_sockets import (
    ASK,
    closed_with,
    opened,
    problem,
    refusal,
    said,
    until_end,
)
from tests.api.test_conversations import PATH, ask, begin, messages
from tests.api.test_sessions import csrf, name_of, sign_in
from tests.api.test_sign_ins import ada, door, no_attempts
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.patience import on_a_busy_machine
from tests.retrieval.model_answers import PAID, PASSAGES
from tests.retrieval.published import publish_file

__all__ = ["ada", "door", "no_attempts"]

FOLLOW_UP = {"type": "ask", "query": "And who paid for them?", "generate": "llm"}
"""Which a model is asked to put, before anything of it is written down."""
BEFORE_THE_FIRST_WORD_SECONDS = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving_models() as server:
        yield server


@pytest.fixture(scope="module")
def settings(api_environment: dict[str, str], server: ModelServer) -> dict[str, str]:
    models = [
        {
            "name": "brisk",
            "url": f"{server.url}/v1",
            "model": "faithful@1500,40",
            "local": True,
        }
    ]
    return {
        **api_environment,
        "MUNIMENT_MODELS__PROVIDERS": json.dumps(models),
        "MUNIMENT_CONVERSATIONS__REWRITE_SECONDS": "20",
    }


@pytest.fixture(scope="module")
def api(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = start_api(tmp_path_factory.mktemp("dropped-api"), settings)
    yield api
    assert stop_api(api) == 0


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf")


@pytest.fixture
async def conversation_id(client: httpx.AsyncClient) -> str:
    """In which a question was answered already."""
    conversation_id = await begin(client)
    query = "Tell me about the harbour cranes."
    await ask(client, conversation_id, query, generate="extractive")
    return conversation_id


async def newest_answer(client: httpx.AsyncClient, conversation_id: str) -> dict[str, object]:
    """The second one, once it is completed."""
    async with asyncio.timeout(on_a_busy_machine(30)):
        while True:
            said = await messages(client, conversation_id)
            if len(said) == 4 and said[-1]["state"] == "completed":
                return said[-1]
            await asyncio.sleep(0.2)


async def send(socket: ClientConnection, message: dict[str, str]) -> None:
    await socket.send(json.dumps(message))


def reserved_tokens(postgres_dsn: str, tenant: TenantFixture) -> int:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM token_reservation WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_question_is_answered_though_its_socket_drops_before_the_first_word(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    conversation_id: str,
    postgres_dsn: str,
) -> None:
    keyed = {**FOLLOW_UP, "idempotency_key": uuid4().hex}
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await send(socket, keyed)
        await asyncio.sleep(BEFORE_THE_FIRST_WORD_SECONDS)
        socket.transport.abort()
    async with opened(api, conversation_id, tenant.api_key) as socket:
        # Until it has a message, nobody can know which.
        assert (await problem(socket, keyed))["status"] == 409
        answer = await newest_answer(client, conversation_id)
        await send(socket, keyed)
        named, *events = await until_end(socket)
        changed = {**keyed, "query": "And why?"}
        assert (await problem(socket, changed))["status"] == 422
    assert named["data"] == {
        "conversation_id": conversation_id,
        "question_id": answer["parent_id"],
        "message_id": answer["id"],
    }
    assert [each["id"] for each in events] == list(range(1, len(events) + 1))
    whole = events[-1]["data"]
    assert isinstance(whole, dict)
    assert whole["answer"] == answer["text"]
    assert PAID in str(answer["text"])
    assert len(await messages(client, conversation_id)) == 4
    deadline = time.monotonic() + on_a_busy_machine(10)
    while reserved_tokens(postgres_dsn, tenant):
        assert time.monotonic() < deadline, "the budget stays set aside"
        await asyncio.sleep(0.2)


async def test_a_question_is_answered_though_its_request_drops_before_the_first_word(
    client: httpx.AsyncClient, conversation_id: str
) -> None:
    body = {"query": FOLLOW_UP["query"], "generate": "llm", "stream": True}
    with pytest.raises(httpx.ReadTimeout):
        await client.post(
            "/v1/query",
            json={**body, "conversation_id": conversation_id},
            timeout=BEFORE_THE_FIRST_WORD_SECONDS,
        )
    answer = await newest_answer(client, conversation_id)
    events = (await client.get(f"{PATH}/{conversation_id}/messages/{answer['id']}/events")).text
    assert "event: done" in events


async def test_a_browser_opens_sockets_from_pages_of_this_address_alone(
    api: ApiProcess, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    own = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, headers=own) as browser:
        began = await sign_in(browser, tenant)
        made = await browser.post(PATH, json={}, headers=csrf(began))
        conversation_id = made.json()["id"]
        cookie = {"Cookie": f"{name_of(api)}={browser.cookies[name_of(api)]}"}
    async with opened(api, conversation_id, None, **cookie, Origin=api.url) as socket:
        await send(socket, {**ASK, "generate": "extractive"})
        assert (await until_end(socket))[-1]["event"] == "done"
    for origin in (
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": api.url.replace("127.0.0.1", "localhost")},
        {"Origin": api.url, "Sec-Fetch-Site": "cross-site"},
    ):
        assert await refusal(api, conversation_id, None, **cookie, **origin) == 403, origin
    planted = {"Cookie": f"{name_of(api)}=munse_nonsense", "Origin": api.url}
    assert await refusal(api, conversation_id, None, **planted) == 401


async def test_a_ticket_opens_one_socket_however_many_come_with_it_at_once(
    client: httpx.AsyncClient, api: ApiProcess, conversation_id: str
) -> None:
    ticket = (await client.post("/v1/auth/stream-ticket")).json()["ticket"]

    async def come() -> int:
        try:
            async with opened(api, conversation_id, None, ticket):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    assert sorted(await asyncio.gather(*(come() for _ in range(4)))) == [101, 401, 401, 401]


async def test_only_the_scope_and_the_one_whose_conversation_it_is_open_a_socket(
    client: httpx.AsyncClient, api: ApiProcess, ada: dict[str, str], conversation_id: str
) -> None:
    names = {"reader": ["files:read"], "searcher": ["search"]}
    keys = {
        name: (await client.post("/v1/api-keys", json={"name": name, "scopes": scopes})).json()
        for name, scopes in names.items()
    }
    assert await refusal(api, conversation_id, keys["reader"]["secret"]) == 403
    async with opened(api, conversation_id, keys["searcher"]["secret"]):
        pass
    body = {"name": "ada", "scopes": ["search"], "principal_id": ada["id"]}
    colleague = (await client.post("/v1/api-keys", json=body)).json()
    assert await refusal(api, conversation_id, colleague["secret"]) == 404


async def test_an_answer_whose_process_is_killed_is_told_as_far_as_it_came_at_another(
    settings: dict[str, str],
    api: ApiProcess,
    tenant: TenantFixture,
    conversation_id: str,
    postgres_dsn: str,
) -> None:
    doomed = start_api(api.home, settings)
    async with opened(doomed, conversation_id, tenant.api_key) as socket:
        await send(socket, FOLLOW_UP)
        named, *first = [await said(socket) for _ in range(5)]
        # Batches are written down ten times a second.
        await asyncio.sleep(0.5)
        doomed.process.kill()
        doomed.process.wait()
    assert isinstance(named["data"], dict)
    message_id = named["data"]["message_id"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE conversation_message SET alive_at = alive_at - %s WHERE id = %s",
            (LONGEST_SILENCE, message_id),
        )
    resume = {"type": "resume", "message_id": message_id, "after": first[-1]["id"]}
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await socket.send(json.dumps(resume))
        *rest, end = await until_end(socket)
        assert (end["event"], end["data"]) == ("end", {"state": "interrupted"})
        numbers = [each["id"] for each in [*first, *rest, end]]
        assert numbers == list(range(1, len(numbers) + 1))
        await socket.send(json.dumps({"type": "ask", "again": message_id, "generate": "llm"}))
        assert (await until_end(socket))[-1]["event"] == "done"


async def test_who_asks_a_process_that_stops_is_told_so(
    settings: dict[str, str], api: ApiProcess, tenant: TenantFixture, conversation_id: str
) -> None:
    stopping = start_api(api.home, settings)
    async with opened(stopping, conversation_id, tenant.api_key) as socket:
        await send(socket, FOLLOW_UP)
        await asyncio.sleep(BEFORE_THE_FIRST_WORD_SECONDS)
        stopping.process.terminate()
        with pytest.raises(ConnectionClosedError):
            await until_end(socket)
    assert socket.close_code == 1012
    stopping.process.wait(on_a_busy_machine(30))


@pytest.mark.slow
async def test_who_reads_nothing_is_closed_with_a_code_and_resumes(
    api: ApiProcess, tenant: TenantFixture, conversation_id: str
) -> None:
    """Some forty seconds: a ping, and the wait for its answer."""
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await send(socket, FOLLOW_UP)
        named = await said(socket)
        socket.transport.pause_reading()
        await asyncio.sleep(45)
        socket.transport.resume_reading()
        assert await closed_with(socket) == 1011
    assert isinstance(named["data"], dict)
    resume = {"type": "resume", "message_id": named["data"]["message_id"]}
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await send(socket, resume)
        assert (await until_end(socket))[-1]["event"] == "done"
    async with client_of(api, tenant.api_key) as client:
        assert len(await messages(client, conversation_id)) == 4

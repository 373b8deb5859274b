"""Conversations over WebSockets, by the `websockets` client: who may open one, what goes over it, and what
bounds it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.application import SOCKET_ROUTERS
from api.conversations.socket import MOST_REFUSED
from db.session import Database
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_conversations import PATH, begin
from tests.api.test_principals import make_principal
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.patience import on_a_busy_machine
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION
from tests.retrieval.published import publish_file

IDLE_SECONDS = 5
ACCESS_SECONDS = 6
SOCKETS = 3
ASK = {"type": "ask", "query": QUESTION, "generate": "llm"}


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
            "model": "faithful@10,80",
            "local": True,
        }
    ]
    return {
        **api_environment,
        "MUNIMENT_MODELS__PROVIDERS": json.dumps(models),
        "MUNIMENT_CONVERSATIONS__SOCKET_IDLE_SECONDS": str(IDLE_SECONDS),
        "MUNIMENT_CONVERSATIONS__SOCKETS_OF_PRINCIPAL": str(SOCKETS),
        "MUNIMENT_SIGN_IN__ACCESS_TOKEN_MINUTES": str(ACCESS_SECONDS / 60),
    }


@pytest.fixture(scope="module")
def api(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = start_api(tmp_path_factory.mktemp("sockets-api"), settings)
    yield api
    assert stop_api(api) == 0


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf")


@asynccontextmanager
async def opened(
    api: ApiProcess,
    conversation_id: str,
    key: str | None,
    ticket: str | None = None,
    **headers: str,
) -> AsyncIterator[ClientConnection]:
    address = f"{api.url.replace('http', 'ws', 1)}{PATH}/{conversation_id}/socket"
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(
        address if ticket is None else f"{address}?ticket={ticket}",
        additional_headers={**sent, **headers},
        proxy=None,
        open_timeout=on_a_busy_machine(20),
        ping_interval=None,
    ) as socket:
        yield socket


async def said(socket: ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(on_a_busy_machine(30)):
        message: dict[str, object] = json.loads(await socket.recv())
        return message


async def until_end(socket: ClientConnection) -> list[dict[str, object]]:
    events = [await said(socket)]
    while events[-1]["event"] not in ("done", "end", "error"):
        events.append(await said(socket))
    return events


async def problem(socket: ClientConnection, sent: object) -> dict[str, object]:
    await socket.send(sent if isinstance(sent, str) else json.dumps(sent))
    told = await said(socket)
    assert (told["id"], told["event"]) == (None, "error"), told
    data = told["data"]
    assert isinstance(data, dict)
    return data


async def closed_with(socket: ClientConnection) -> int | None:
    """Whatever comes before."""
    async with asyncio.timeout(on_a_busy_machine(30)):
        async for _ in _all_of(socket):
            pass
    return socket.close_code


async def _all_of(socket: ClientConnection) -> AsyncIterator[object]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def refusal(api: ApiProcess, conversation_id: str, key: str | None, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(api, conversation_id, key, **headers):
            pass
    response = refused.value.response
    assert response.headers["X-Request-Id"]
    assert json.loads(response.body or b"")["status"] == response.status_code
    return response.status_code


async def test_an_answer_comes_as_its_events_and_a_dropped_one_is_resumed(
    client: httpx.AsyncClient,
    api: ApiProcess,
    settings: dict[str, str],
    tenant: TenantFixture,
) -> None:
    conversation_id = await begin(client)
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await socket.send(json.dumps(ASK))
        named, *first = [await said(socket) for _ in range(3)]
        assert (named["id"], named["event"]) == (None, "message")
        socket.transport.abort()
    assert isinstance(named["data"], dict)
    message_id = named["data"]["message_id"]
    resume = {"type": "resume", "message_id": message_id, "after": first[-1]["id"]}
    second = start_api(api.home, settings)
    try:
        async with opened(second, conversation_id, tenant.api_key) as socket:
            await socket.send(json.dumps(resume))
            events = first + await until_end(socket)
            # Nothing is behind the end, and the socket is there for the next question.
            await socket.send(json.dumps({**resume, "after": events[-1]["id"]}))
            (over,) = await until_end(socket)
            assert (over["event"], over["data"]) == ("end", {"state": "completed"})
            await socket.send(json.dumps({"type": "ask", "again": message_id, "generate": "llm"}))
            assert (await until_end(socket))[-1]["event"] == "done"
    finally:
        assert stop_api(second) == 0
    message = (await client.get(f"{PATH}/{conversation_id}/messages/{message_id}")).json()
    assert [each["id"] for each in events] == list(range(1, len(events) + 1))
    whole = events[-1]["data"]
    assert isinstance(whole, dict)
    assert whole["answer"] == message["text"]
    assert message["text"].startswith(PAID)
    # The same as by server-sent events.
    told = (await client.get(f"{PATH}/{conversation_id}/messages/{message_id}/events")).text
    assert told.count("event: token") == len([e for e in events if e["event"] == "token"])


async def test_every_socket_asks_who_comes(api: ApiProcess) -> None:
    paths = [route.path for router in SOCKET_ROUTERS for route in router.routes]  # type: ignore[attr-defined] # each is a WebSocket's
    assert paths == [f"{PATH}/{{conversation_id}}/socket"]
    assert await refusal(api, str(uuid4()), None) == 401


async def test_doors(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    conversation_id = await begin(client)
    foreign = await begin(stranger)
    assert await refusal(api, conversation_id, None) == 401
    assert await refusal(api, conversation_id, "mun_nonsense") == 401
    assert await refusal(api, foreign, tenant.api_key) == 404
    assert await refusal(api, str(uuid4()), tenant.api_key) == 404
    assert await refusal(api, "nonsense", tenant.api_key) == 404
    ticket = (await client.post("/v1/auth/stream-ticket")).json()["ticket"]
    async with opened(api, conversation_id, None, ticket) as socket:
        await socket.send(json.dumps({**ASK, "generate": "extractive"}))
        assert (await until_end(socket))[-1]["event"] == "done"
    with pytest.raises(InvalidStatus) as refused:
        async with opened(api, conversation_id, None, ticket):
            pass
    assert refused.value.response.status_code == 401
    # A key is no ticket, and neither stands in a log.
    with pytest.raises(InvalidStatus):
        async with opened(api, conversation_id, None, tenant.api_key):
            pass
    log = (api.home / "api.jsonl").read_text(encoding="utf-8")
    assert ticket not in log
    assert tenant.api_key not in log
    assert "completing handshake" not in log
    lines = [each for each in api.log_lines if str(each.get("route", "")).endswith("/socket")]
    assert {each["status"] for each in lines} >= {101, 401, 404}


async def test_what_is_no_message_is_told_and_too_much_of_it_ends_the_socket(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    conversation_id = await begin(client)
    async with opened(api, conversation_id, tenant.api_key) as socket:
        assert (await problem(socket, "no JSON"))["status"] == 400
        for wrong in (
            {},
            {"type": "shout"},
            {"type": "ask"},
            {"type": "ask", "query": "", "top_k": 3},
            {"type": "ask", "query": "Who?", "top_k": 10_000},
            {"type": "ask", "query": "Who?", "edits": str(uuid4()), "follows": str(uuid4())},
            {"type": "resume", "message_id": "x"},
            {"type": "resume", "message_id": str(uuid4()), "after": -1},
            ["ask"],
        ):
            assert (await problem(socket, wrong))["status"] == 422, wrong
        for missing in (
            {"type": "resume", "message_id": str(uuid4())},
            {"type": "ask", "query": "Who?", "follows": str(uuid4())},
        ):
            assert (await problem(socket, missing))["status"] == 404, missing
        await socket.send(json.dumps(ASK))
        await said(socket)
        await socket.send(json.dumps(ASK))
        events = await until_end(socket)
        assert "error" in [each["event"] for each in events]
    async with opened(api, conversation_id, tenant.api_key) as socket:
        with suppress(ConnectionClosed):
            for _ in range(40):
                await socket.send("{")
        assert await closed_with(socket) == 1008
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await socket.send(b"bytes")
        assert await closed_with(socket) == 1003
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await socket.send("x" * 70_000)
        assert await closed_with(socket) == 1009
    async with opened(api, conversation_id, tenant.api_key) as socket:
        await socket.send([""] * 100)
        assert await closed_with(socket) == 1009


async def test_sockets_are_bounded_and_idle_ones_end(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    conversation_id = await begin(client)
    async with (
        opened(api, conversation_id, tenant.api_key) as first,
        opened(api, conversation_id, tenant.api_key),
        opened(api, conversation_id, tenant.api_key),
    ):
        assert await refusal(api, conversation_id, tenant.api_key) == 429
        assert await closed_with(first) == 4408
        async with opened(api, conversation_id, tenant.api_key):
            pass


async def test_a_revoked_key_ends_its_socket(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    conversation_id = await begin(client)
    async with opened(api, conversation_id, tenant.api_key) as socket:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE api_key SET revoked_at = now() WHERE tenant_id = %s", (tenant.tenant_id,)
            )
        await socket.send(json.dumps(ASK))
        assert await closed_with(socket) == 1008


async def test_a_socket_asks_nothing_behind_the_end_of_its_access_token(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    person = await make_principal(client, "ada@example.org")
    password = {"password": "correct horse battery"}
    await client.put(f"/v1/principals/{person['id']}/password", json=password)
    whose = {"username": "ada@example.org", "tenant": tenant.name, "grant_type": "password"}
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        given = (await door.post("/v1/auth/token", json={**whose, **password})).json()
    async with client_of(api, given["access_token"]) as ada:
        conversation_id = await begin(ada)
    async with opened(api, conversation_id, given["access_token"]) as socket:
        asked = 0
        with suppress(ConnectionClosed):
            while asked < MOST_REFUSED:
                missing = {"type": "resume", "message_id": str(uuid4())}
                assert (await problem(socket, missing))["status"] == 404
                asked += 1
                await asyncio.sleep(1)
        assert await closed_with(socket) == 1008
        assert 0 < asked < MOST_REFUSED


async def test_messages_count_as_requests(
    api_environment: dict[str, str], api: ApiProcess, tenant: TenantFixture
) -> None:
    """Of a process that stops as well: its sockets are told to come back."""
    limited = {**api_environment, "MUNIMENT_RATE_LIMITS__PRINCIPAL_REQUESTS_PER_MINUTE": "6"}
    second = start_api(api.home, limited)
    try:
        async with client_of(second, tenant.api_key) as client:
            conversation_id = await begin(client)
        async with opened(second, conversation_id, tenant.api_key) as socket:
            statuses = [(await problem(socket, {}))["status"] for _ in range(6)]
            assert (statuses[0], statuses[-1]) == (422, 429)
            assert await asyncio.to_thread(stop_api, second) == 0
            assert await closed_with(socket) == 1012
    finally:
        assert stop_api(second) == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET %s\xff HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: "
        + b"x" * 9000
        + b"\r\n\r\n",
    ],
)
async def test_a_handshake_that_is_none_ends_its_connection(api: ApiProcess, head: bytes) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.replace(b"%s", f"{PATH}/{uuid4()}/socket".encode()))
        async with asyncio.timeout(on_a_busy_machine(10)):
            answered = await reader.read()
    finally:
        writer.close()
    assert b" 101 " not in answered.split(b"\r\n")[0]


async def test_pings_whose_answers_nobody_reads_end_the_connection(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    conversation_id = await begin(client)
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        f"GET {PATH}/{conversation_id}/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {tenant.api_key}\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readline()
    writer.transport.pause_reading()  # type: ignore[attr-defined] # of asyncio's own transport
    ping = b"\x89\xfd" + bytes(4) + bytes(125)
    async with asyncio.timeout(on_a_busy_machine(60)):
        with pytest.raises(ConnectionError):
            await _write_on(writer, ping * 1000)
    writer.close()


async def _write_on(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while True:
        writer.write(piece)
        await writer.drain()

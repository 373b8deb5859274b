"""What a connection may cost before any key was shown: bytes and time are bounded."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse

from api import protocol
from api.body_limit import BodyLimit
from api.problems import install
from api.server import Server, server_configuration
from tests.api.conftest import ApiProcess
from tests.conftest import free_port

PAUSE_SECONDS = 2.0


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = httpx.URL(url)
    assert address.port is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(url: str, request: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and problem of what comes back until the server closes the connection."""
    async with connection(url) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(60):
            answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status_line.split()[1]), headers, json.loads(body)


@asynccontextmanager
async def served(application: FastAPI) -> AsyncIterator[str]:
    """The application behind the server of the API process."""
    port = free_port()
    server = Server(server_configuration(application, "127.0.0.1", port), lambda: None)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A server with little patience, which echoes bodies."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", PAUSE_SECONDS)
    application = FastAPI()

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    application.add_api_route("/", echo, methods=["POST"])
    install(application, ())
    application.add_middleware(BodyLimit, pause_seconds=PAUSE_SECONDS)
    async with served(application) as url:
        yield url


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 2_000_000,
        b"GET /" + b"a" * 2_000_000,
        b"GET /healthz HTTP/1.1\r\n" + b"X-Many: a\r\n" * 100_000,
    ],
    ids=["header", "address", "many headers"],
)
async def test_a_head_without_end_is_refused(api: ApiProcess, head: bytes) -> None:
    try:
        status, headers, problem = await exchange(api.url, head)
    except ConnectionResetError:
        return  # closed while the rest was being sent, before the answer was read
    assert (status, problem["status"]) == (431, 431)
    assert headers["x-request-id"] == problem["request_id"]


async def test_a_head_below_the_bound_is_served(api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client:
        answer = await client.get("/healthz", headers={"X-Long": "a" * 50_000})
    assert answer.status_code == 200


async def test_what_is_no_http_gets_a_problem(api: ApiProcess) -> None:
    status, headers, problem = await exchange(api.url, b"SMTP?\r\n\r\n")
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == problem["request_id"]


async def test_a_head_that_stops_is_refused_and_a_silent_connection_closed(hasty: str) -> None:
    status, _, problem = await exchange(hasty, b"POST / HTTP/1.1\r\nHost: x\r\n")
    assert (status, problem["type"]) == (408, "urn:muniment:problem:request-too-slow")
    async with connection(hasty) as (reader, _), asyncio.timeout(30):
        assert await reader.read() == b""


async def test_blank_lines_do_not_keep_a_connection(hasty: str) -> None:
    async with connection(hasty) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        async with asyncio.timeout(30):
            assert await reader.read() == b""


async def test_a_body_that_stops_arriving_is_refused(hasty: str) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
    status, headers, problem = await exchange(hasty, request)
    assert (status, problem["status"]) == (408, 408)
    assert headers["connection"] == "close"


async def test_a_slow_body_that_goes_on_arriving_is_served(hasty: str) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x"
            await asyncio.sleep(PAUSE_SECONDS / 6)

    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(hasty, content=slowly())
    assert answer.text == "x" * 8


async def test_the_rest_of_a_body_that_was_refused_is_no_head(hasty: str) -> None:
    body = b"x" * 2_000_000
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    async with connection(hasty) as (reader, writer), asyncio.timeout(60):
        for _ in range(3):
            writer.write(head % len(body))
            refused = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert refused.startswith(b"http/1.1 413")
            length = int(refused.partition(b"content-length: ")[2].split()[0])
            await reader.readexactly(length)
            for part in (body[:-200_000], body[-200_000:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.1)  # so that the server reads the end of it by itself
            writer.write(head % 5 + b"hello")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(5) == b"hello"

"""Uploads that are resumed, against a server in memory that loses, refuses and forgets."""

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from muniment.client import Retry
from muniment.client.awaiting import Awaiting
from muniment.client.blocking import Blocking
from muniment.client.models import File
from muniment.client.protocol import Protocol
from muniment.client.resumable_upload import is_sendable
from muniment.client.sending import send
from muniment.client.upload import Upload
from muniment.errors import Gone, InvalidRequest, MunimentError, TooManyRequests

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * (70 * MIB // 256)
PROTOCOL = Protocol(
    "http://muniment.test/below",
    "mun_key",
    retry=Retry(
        first_delay_seconds=0.001, longest_delay_seconds=0.002, resumes_within_seconds=0.01
    ),
)
Fault = Callable[[httpx.Request], httpx.Response]


class Server:
    """Keeps one upload; each PATCH meets the next of `faults`, if there is one."""

    def __init__(self, *faults: Fault | None) -> None:
        self.faults = deque(faults)
        self.id = uuid4()
        self.received = bytearray()
        self.length = 0
        self.file_id: UUID | None = None
        self.requests: list[httpx.Request] = []

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert request.headers["Host"] == "muniment.test"
        assert request.headers["Authorization"] == "Bearer mun_key"
        if request.method == "GET":
            return self._file()
        assert request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "POST":
            self.length = int(request.headers["Upload-Length"])
            return httpx.Response(201, json={"id": str(self.id)}, headers=self._state())
        assert request.url.path == f"/below/v1/uploads/{self.id}"
        if request.method == "PATCH":
            fault = self.faults.popleft() if self.faults else None
            return self._append(request) if fault is None else fault(request)
        return httpx.Response(204, headers=self._state())

    def _append(self, request: httpx.Request) -> httpx.Response:
        if int(request.headers["Upload-Offset"]) != len(self.received):
            return httpx.Response(409)
        self.keep(request.content)
        return httpx.Response(204, headers=self._state())

    def keep(self, content: bytes) -> None:
        self.received += content
        if len(self.received) == self.length:
            self.file_id = uuid4()

    def keep_and_lose(self, count: int) -> Fault:
        def fault(request: httpx.Request) -> httpx.Response:
            self.keep(request.content[:count])
            raise httpx.ReadError("the line broke")

        return fault

    def _state(self) -> dict[str, str]:
        named = {"Muniment-File": str(self.file_id)} if self.file_id else {}
        return {"Upload-Offset": str(len(self.received)), **named}

    def _file(self) -> httpx.Response:
        file = {
            "id": str(self.file_id),
            "name": "a.bin",
            "media_type": "application/octet-stream",
            "size": len(self.received),
            "sha256": hashlib.sha256(self.received).hexdigest(),
            "version": 1,
            "state": "received",
            "collection": "default",
            "metadata": {},
            "labels": [],
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        return httpx.Response(200, json=file)


def answered(status: int, **headers: str) -> Fault:
    return lambda _: httpx.Response(status, headers=headers)


def sent(server: Server, upload: Upload) -> File:
    with httpx.Client(transport=httpx.MockTransport(server)) as client:
        return Blocking(client).run(send(PROTOCOL, upload))


def test_a_large_file_goes_piece_by_piece_and_a_small_one_whole() -> None:
    server = Server()
    told: list[int] = []
    file = sent(server, Upload(CONTENT, name="a.bin", progress=told.append))
    assert server.received == CONTENT
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert server.methods == ["POST", "PATCH", "PATCH", "GET"]
    assert told[-1] == len(CONTENT)
    assert told == sorted(told)


@pytest.mark.parametrize("status", [408, 409, 429, 460, 502, 503, 504])
def test_what_arrived_is_not_sent_again(status: int) -> None:
    server = Server()
    faults = (server.keep_and_lose(5 * MIB), answered(status), server.keep_and_lose(0), None)
    server.faults.extend(faults)
    sent(server, Upload(CONTENT, name="a.bin"))
    assert server.received == CONTENT
    offsets = [
        int(request.headers["Upload-Offset"])
        for request in server.requests
        if request.method == "PATCH"
    ]
    assert offsets == [0, 5 * MIB, 5 * MIB, 5 * MIB, 69 * MIB]


def test_the_asynchronous_client_resumes_too() -> None:
    server = Server()
    server.faults.append(server.keep_and_lose(3 * MIB))

    async def send_it() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
            await Awaiting(client).run(send(PROTOCOL, Upload(CONTENT, name="a.bin")))

    asyncio.run(send_it())
    assert server.received == CONTENT


def test_an_answer_that_was_lost_is_found_by_asking() -> None:
    server = Server()
    server.faults.append(server.keep_and_lose(MIB))
    file = sent(server, Upload(CONTENT[:MIB], name="a.bin", resumable=True))
    assert file.id == server.file_id
    assert server.methods == ["POST", "PATCH", "HEAD", "GET"]


def test_it_is_given_up_and_terminated_when_nothing_more_arrives() -> None:
    server = Server(*[answered(429)] * 1000)
    with pytest.raises(TooManyRequests):
        sent(server, Upload(CONTENT, name="a.bin"))
    assert server.methods[-1] == "DELETE"
    assert len(server.requests) < 100


def test_a_refusal_is_final() -> None:
    server = Server(answered(410))
    with pytest.raises(Gone):
        sent(server, Upload(CONTENT, name="a.bin"))
    assert server.methods == ["POST", "PATCH", "DELETE"]


def test_checked_pieces_carry_their_checksums() -> None:
    server = Server(answered(460))
    sent(server, Upload(CONTENT, name="a.bin", verify=True))
    pieces = [request for request in server.requests if request.method == "PATCH"]
    assert [len(piece.content) // MIB for piece in pieces] == [16, 16, 16, 16, 16, 6]
    for piece in pieces:
        digest = base64.b64encode(hashlib.sha256(piece.content).digest()).decode()
        assert piece.headers["Upload-Checksum"] == f"sha256 {digest}"


def test_a_file_that_is_written_to_meanwhile_is_not_made_of_two(tmp_path: Path) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(CONTENT)
    server = Server()

    def write_more(position: int) -> None:
        if position == 64 * MIB:
            path.write_bytes(bytes(len(CONTENT)))

    with pytest.raises(InvalidRequest, match="changed while it was sent"):
        sent(server, Upload(path, progress=write_more))
    assert server.methods[-1] == "DELETE"
    assert server.file_id is None


def test_a_password_goes_with_the_pieces_and_nowhere_else() -> None:
    server = Server()
    sent(server, Upload(CONTENT, name="a.bin", password="open sesame"))
    created, *rest = server.requests
    assert b"open sesame" not in b"".join(value for _, value in created.headers.raw)
    pieces = [request for request in rest if request.method == "PATCH"]
    assert {piece.headers["X-Document-Password"] for piece in pieces} == {"open sesame"}


@pytest.mark.parametrize(
    "upload",
    [
        Upload(b"", name="a.pdf", password="Schlüssel"),
        Upload(b"", name="a.pdf", password="ends in a blank "),
        Upload(b"", name="a.pdf", password="two\r\nlines"),
        Upload(b"", name="a.pdf", metadata={"note": "x" * 40_000}),
    ],
)
def test_what_headers_cannot_carry_goes_in_a_form(upload: Upload) -> None:
    assert not is_sendable(upload)
    assert is_sendable(Upload(b"", name="übung, 1.pdf", metadata={"note": "länge"}))


def test_nothing_of_a_password_is_told_when_a_request_fails() -> None:
    server = Server(answered(400))
    with pytest.raises(MunimentError) as refused:
        sent(server, Upload(CONTENT, name="a.bin", password="open sesame"))
    assert "sesame" not in str(refused.value)

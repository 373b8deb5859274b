"""clamd's protocol (clamd(8)): `zPING`, `zVERSION` and `zINSTREAM` over its Unix or TCP socket.

Sockets are driven directly: when clamd refuses a stream it answers and closes, so that sending
fails with EPIPE while the answer is already there. Higher layers throw that answer away.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from muniment.errors import ScannerUnavailable
from muniment.scanner.encrypted import SCANNER_TLS, EncryptedConnection, ScannerTls
from muniment.transport import refusal_of

CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
_CLEAN_ANSWER = "stream: OK"
_VERSION = re.compile(r"(?P<engine>ClamAV [^/]+)(?:/(?P<database>\d+)/(?P<date>.+))?")
_LARGEST_PORT = 65535
_DATE_FORMAT = "%a %b %d %H:%M:%S %Y"


@dataclass(frozen=True)
class ScannerVersion:
    """Engine and signature database; `built_at` is None when clamd does not say."""

    engine: str
    database: str | None
    built_at: datetime | None


class Clamd:
    """One scanner at `address`: a socket's path, or host:port, with TLS or without. A scan takes
    `timeout_seconds` at most; a connection, and an answer that needs no scan, `connect_timeout_seconds`.

    Every method raises ScannerUnavailable when clamd cannot be reached or does not answer in time.
    """

    def __init__(
        self,
        address: str,
        timeout_seconds: float,
        connect_timeout_seconds: float = CONNECT_SECONDS,
        *,
        tls: ScannerTls | None = None,
    ) -> None:
        self._address = address
        self._tls = tls
        self._timeout_seconds = timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds

    async def ping(self) -> bool:
        """Whether it is clamd that answers there."""
        async with self._connected(self._connect_timeout_seconds) as connection:
            await connection.send(b"zPING\0")
            return await connection.answer() == "PONG"

    async def version(self) -> ScannerVersion:
        """What is scanning, with which signatures."""
        async with self._connected(self._connect_timeout_seconds) as connection:
            await connection.send(b"zVERSION\0")
            return parse_version(await connection.answer())

    async def scan(self, pieces: AsyncIterator[bytes]) -> str:
        """clamd's answer to the pieces, joined, such as `stream: OK`; never an empty one."""
        async with self._connected(self._timeout_seconds) as connection:
            try:
                await connection.send(b"zINSTREAM\0")
                async for piece in pieces:
                    for start in range(0, len(piece), CHUNK_BYTES):
                        chunk = piece[start : start + CHUNK_BYTES]
                        await connection.send(struct.pack(">I", len(chunk)) + chunk)
                await connection.send(struct.pack(">I", 0))
            except (BrokenPipeError, ConnectionResetError):
                # Over StreamMaxLength clamd stops listening, but it has said why.
                pass
            answer = await connection.answer()
        if not answer:
            # It died in the middle: another attempt tells more than a person could.
            raise ScannerUnavailable("The virus scanner hung up without an answer.")
        return answer

    @asynccontextmanager
    async def _connected(self, timeout_seconds: float) -> AsyncIterator["_Dialogue"]:
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                await self._open() as connection,
            ):
                yield _Dialogue(connection)
        except TimeoutError:
            raise ScannerUnavailable(
                f"The virus scanner did not answer within {timeout_seconds:g} s."
            ) from None
        except OSError as error:
            raise self._unreachable(error) from error

    async def _open(self) -> "_PlainConnection | EncryptedConnection":
        host, _, port = self._address.rpartition(":")
        seconds = self._connect_timeout_seconds
        try:
            if not port.isdecimal() or self._address.startswith("/"):
                async with asyncio.timeout(seconds):
                    return _PlainConnection(await _connect_unix(self._address))
            if int(port) > _LARGEST_PORT:
                raise ScannerUnavailable("The virus scanner's address names no port that there is.")
            host = host.strip("[]")
            if self._tls is not None:
                async with asyncio.timeout(seconds):
                    return await EncryptedConnection.open(host, int(port), self._tls)
            return _PlainConnection(await _connect_tcp(host, int(port), seconds))
        except TimeoutError:
            raise ScannerUnavailable(
                f"The virus scanner took no connection within {seconds:g} s."
            ) from None

    def _unreachable(self, error: OSError) -> ScannerUnavailable:
        if self._tls is not None and (refusal := refusal_of(error)) is not None:
            return ScannerUnavailable(
                refusal.detail(SCANNER_TLS), remedy=refusal.remedy(SCANNER_TLS)
            )
        return ScannerUnavailable(f"The virus scanner cannot be reached ({type(error).__name__}).")


class _Dialogue:
    """What is said to clamd over a connection, and its answer."""

    def __init__(self, connection: "_PlainConnection | EncryptedConnection") -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        await self._connection.send(data)

    async def answer(self) -> str:
        """Everything up to the terminating NUL or the end; empty when there is nothing."""
        answer = bytearray()
        while b"\0" not in answer and len(answer) < MAX_ANSWER_BYTES:
            try:
                received = await self._connection.receive()
            except ConnectionResetError:
                break
            if not received:
                break
            answer += received
        return answer.split(b"\0")[0].decode("utf-8", errors="replace").strip()


class _PlainConnection:
    """A non-blocking socket on the event loop, which closes with the block that it is entered for."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """Empty at the end."""
        return await asyncio.get_running_loop().sock_recv(self._socket, 4096)


async def _connect_tcp(host: str, port: int, timeout_seconds: float) -> socket.socket:
    opened = await asyncio.to_thread(socket.create_connection, (host, port), timeout_seconds)
    opened.setblocking(False)
    return opened


async def _connect_unix(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, path)
    except BaseException:
        opened.close()
        raise
    return opened


def is_clean(answer: str) -> bool:
    """Whether the answer to a scan is exactly `stream: OK`: nothing else calls content clean."""
    return answer == _CLEAN_ANSWER


def parse_version(answer: str) -> ScannerVersion:
    """`ClamAV 1.4.3/27800/Tue Jan 20 08:00:00 2026`; without signatures of ClamAV's own only the
    first part. The date is in the local time of clamd's host and taken for UTC: hours do not matter to
    an age that is measured in days."""
    match = _VERSION.fullmatch(answer)
    if match is None:
        raise ScannerUnavailable("The virus scanner did not say its version.")
    built_at = None
    if match["date"]:
        try:
            built_at = datetime.strptime(match["date"], _DATE_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            built_at = None
    return ScannerVersion(match["engine"], match["database"], built_at)

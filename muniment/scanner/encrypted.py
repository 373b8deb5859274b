"""TLS before a virus scanner: clamd itself speaks none, a terminator before it does."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
from anyio.streams.tls import TLSStream

from muniment.transport import RenewingContext, TlsSettings

RECEIVED_BYTES = 4096
SCANNER_TLS = TlsSettings(
    "the virus scanner",
    authorities="MUNIMENT_SCAN__CA_FILE",
    address="MUNIMENT_SCAN__SOCKET (or MUNIMENT_SCAN__SERVER_NAME)",
    identity="MUNIMENT_SCAN__CLIENT_CERTIFICATE and __CLIENT_KEY",
)


@dataclass(frozen=True)
class ScannerTls:
    """`server_name` is what the certificate is for, where that is not the address's host. Each connection
    goes by what the files of `contexts` hold then."""

    contexts: RenewingContext
    server_name: str | None = None


class EncryptedConnection:
    """A connection with TLS, which ends with the block that it is entered for.

    What was received before the other side hung up can still be read after sending has failed.
    """

    def __init__(self, stream: TLSStream) -> None:
        self._stream = stream

    @classmethod
    async def open(cls, host: str, port: int, tls: ScannerTls) -> Self:
        """Raises OSError when there is no connection, ssl.SSLError (one too) when TLS refuses."""
        stream = await anyio.connect_tcp(
            host,
            port,
            ssl_context=tls.contexts.newest(),
            tls_hostname=tls.server_name or host,
            # A scanner that has said all hangs up without a farewell.
            tls_standard_compatible=False,
        )
        return cls(stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.aclose()

    async def send(self, data: bytes) -> None:
        """Raises BrokenPipeError when the other side has hung up."""
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise BrokenPipeError from error

    async def receive(self) -> bytes:
        """Empty at the end. Raises ssl.SSLError when the other side refuses us: since TLS 1.3 it says
        so after the handshake."""
        try:
            return await self._stream.receive(RECEIVED_BYTES)
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            return b""

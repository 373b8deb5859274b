"""clamd behind a TLS terminator that demands client certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from muniment.connections import open_scanner
from muniment.errors import ScannerUnavailable
from muniment.scanner import failed_setting
from muniment.settings import ScanSettings
from tests.certificates import Authority, Identity, server_tls
from tests.clamd_process import EICAR
from tests.tls_relay import tls_before


def settings(authority: Authority, us: Identity | None) -> ScanSettings:
    return ScanSettings(
        ca_file=authority.file,
        client_certificate=us.certificate if us else None,
        client_key=us.key if us else None,
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_files_are_scanned_through_tls(
    clamd_socket: str, authority: Authority, us: Identity
) -> None:
    tls = server_tls(authority.issue("scanner.test"), authority)
    with tls_before(clamd_socket, tls) as port:
        named = settings(authority, us).model_copy(update={"server_name": "scanner.test"})
        scanner = open_scanner(f"127.0.0.1:{port}", named, 60)
        assert await scanner.ping()
        assert (await scanner.version()).engine.startswith("ClamAV")
        assert "Eicar" in await scanner.scan(_pieces(EICAR))
        assert await scanner.scan(_pieces(bytes(900_000))) == "stream: OK"
        assert await failed_setting(scanner) is None


async def test_what_exceeds_its_limit_is_never_clean(
    clamd_socket: str, authority: Authority, us: Identity
) -> None:
    """It answers and hangs up while we still send; a terminator may lose that answer."""
    with tls_before(clamd_socket, server_tls(authority.issue("127.0.0.1"), authority)) as port:
        scanner = open_scanner(f"127.0.0.1:{port}", settings(authority, us), 60)
        with suppress(ScannerUnavailable):
            assert "size limit exceeded" in await scanner.scan(_pieces(EICAR + bytes(8_000_000)))


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("authority", "MUNIMENT_SCAN__CA_FILE"),
        ("name", "MUNIMENT_SCAN__SERVER_NAME"),
        ("expired", "Renew its certificate"),
        ("no-client", "MUNIMENT_SCAN__CLIENT_CERTIFICATE"),
        ("wrong-client", "MUNIMENT_SCAN__CLIENT_CERTIFICATE"),
    ],
)
async def test_a_wrong_certificate_is_refused_and_the_remedy_named(
    fault: str,
    remedy: str,
    clamd_socket: str,
    authority: Authority,
    stranger: Authority,
    us: Identity,
) -> None:
    name = "elsewhere.test" if fault == "name" else "127.0.0.1"
    lives = timedelta(days=-1) if fault == "expired" else timedelta(days=30)
    server = (stranger if fault == "authority" else authority).issue(name, lives=lives)
    shown = {"no-client": None, "wrong-client": stranger.issue("muniment.test")}.get(fault, us)
    with tls_before(clamd_socket, server_tls(server, authority)) as port:
        scanner = open_scanner(f"127.0.0.1:{port}", settings(authority, shown), 20)
        with pytest.raises(ScannerUnavailable) as refused:
            await scanner.version()
        assert remedy in refused.value.remedy
        with pytest.raises(ScannerUnavailable):
            await scanner.scan(_pieces(b"words"))


async def test_a_scanner_without_tls_is_not_spoken_with(authority: Authority) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"UNKNOWN COMMAND\0")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        scanner = open_scanner(f"127.0.0.1:{port}", settings(authority, None), 20)
        with pytest.raises(ScannerUnavailable, match="does not speak TLS"):
            await scanner.ping()


async def test_one_that_says_nothing_is_not_waited_for(authority: Authority) -> None:
    left = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        scanner = open_scanner(f"127.0.0.1:{port}", settings(authority, None), 20, 0.3)
        with pytest.raises(ScannerUnavailable, match=r"within 0\.3 s"):
            await scanner.ping()
        async with asyncio.timeout(20):
            await left.wait()

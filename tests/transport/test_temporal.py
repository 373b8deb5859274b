"""Temporal over mutual TLS. Its development server has no TLS: a relay before it demands certificates."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.converter import DataConverter

from muniment.connections import temporal_tls
from muniment.errors import ConfigurationError
from muniment.settings import TemporalSettings
from tests.certificates import Authority, Identity, server_tls
from tests.patience import on_a_busy_machine
from tests.tls_relay import tls_before
from worker.connecting import connect_temporal


@contextmanager
def behind_tls(address: str, server: Identity, clients_of: Authority) -> Iterator[str]:
    tls = server_tls(server, clients_of)
    tls.set_alpn_protocols(["h2"])
    with tls_before(address, tls) as port:
        yield f"127.0.0.1:{port}"


def settings(address: str, authority: Authority, us: Identity | None) -> TemporalSettings:
    return TemporalSettings(
        address=address,
        ca_file=authority.file,
        client_certificate=us.certificate if us else None,
        client_key=us.key if us else None,
    )


async def test_a_worker_connects_with_its_certificate(
    temporal_address: str, authority: Authority, us: Identity
) -> None:
    with behind_tls(temporal_address, authority.issue("127.0.0.1"), authority) as address:
        named = settings(address, authority, us)
        assert named.uses_tls
        async with asyncio.timeout(60):
            client = await connect_temporal(named, DataConverter.default, [])
        assert await client.service_client.check_health()


async def test_the_certificate_may_be_for_another_name_that_is_set(
    temporal_address: str, authority: Authority, us: Identity
) -> None:
    with behind_tls(temporal_address, authority.issue("temporal.test"), authority) as address:
        named = settings(address, authority, us).model_copy(update={"server_name": "temporal.test"})
        async with asyncio.timeout(60):
            await connect_temporal(named, DataConverter.default, [])


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("authority", "MUNIMENT_TEMPORAL__CA_FILE"),
        ("name", "MUNIMENT_TEMPORAL__SERVER_NAME"),
        ("expired", "Renew its certificate"),
        ("no-client", "MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE"),
        ("wrong-client", "MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE"),
        ("expired-client", "MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE"),
    ],
)
async def test_a_wrong_certificate_is_refused_and_the_remedy_logged(
    fault: str,
    remedy: str,
    temporal_address: str,
    authority: Authority,
    stranger: Authority,
    us: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = "elsewhere.test" if fault == "name" else "127.0.0.1"
    past = timedelta(days=-1)
    lives = past if fault == "expired" else timedelta(days=30)
    server = (stranger if fault == "authority" else authority).issue(name, lives=lives)
    shown = {
        "no-client": None,
        "wrong-client": stranger.issue("muniment.test"),
        "expired-client": authority.issue("muniment.test", lives=past),
    }.get(fault, us)
    with (
        behind_tls(temporal_address, server, authority) as address,
        caplog.at_level(logging.WARNING, "worker.connecting"),
    ):
        named = settings(address, authority, shown)
        connecting = asyncio.create_task(connect_temporal(named, DataConverter.default, []))
        async with asyncio.timeout(on_a_busy_machine(30)):
            # What refuses a client's certificate may hang up before it has said so: it says so at
            # another attempt.
            while not is_told(caplog.records, remedy):
                assert not connecting.done(), "it connected"
                await asyncio.sleep(0.05)
        connecting.cancel()
        await asyncio.wait([connecting])
        assert connecting.cancelled()


def is_told(records: Sequence[logging.LogRecord], remedy: str) -> bool:
    waits = [each for each in records if each.message == "waiting for Temporal"]
    return any(remedy in vars(each).get("remedy", "") for each in waits)


async def test_files_that_are_no_pair_are_told_before_anything_is_connected(
    authority: Authority, us: Identity, tmp_path: Path
) -> None:
    other = authority.issue("other.test")
    absent = tmp_path / "absent.pem"
    faults = [
        {"client_certificate": us.certificate},
        {"client_certificate": us.certificate, "client_key": other.key},
        {"client_certificate": absent, "client_key": us.key},
    ]
    for fault in faults:
        with pytest.raises(ConfigurationError, match="MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE"):
            temporal_tls(TemporalSettings.model_validate(fault))
    with pytest.raises(ConfigurationError, match="MUNIMENT_TEMPORAL__CA_FILE"):
        temporal_tls(TemporalSettings(ca_file=us.key))
    assert temporal_tls(TemporalSettings()) is False


def test_an_api_key_never_travels_without_tls() -> None:
    assert TemporalSettings.model_validate({"api_key": "key"}).uses_tls

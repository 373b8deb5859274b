"""The certificate that Temporal is shown is renewed while a worker polls and others call: no restart."""

import asyncio
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.health.checks import Finding
from api.health.transport import CertificateCheck
from muniment import temporal_service
from muniment.connections import shown_certificates
from muniment.settings import Settings, TemporalSettings
from muniment.temporal_service import RenewingService, renewal_of
from muniment.transport.shown import ShownCertificate
from tests.api.conftest import ApiProcess, start_api, stop_api
from tests.certificates import Authority, Identity, server_tls
from tests.conftest import REPOSITORY
from tests.stack import wait_for
from tests.tls_relay import Greeting, tls_before
from worker.connecting import connect_temporal
from worker.running import give_connection

QUEUE = f"renewal-{uuid4()}"


@workflow.defn
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Good day, {name}"


class Gate:
    """TLS before Temporal, which takes the certificates of some authorities."""

    def __init__(self, temporal: str, server: Identity) -> None:
        self._temporal = temporal
        self._server = server
        self._open = ExitStack()
        self.port = 0

    def open(self, *authorities: Authority, greeting: Greeting | None = None) -> None:
        """From now on for these alone; all connections that were open are hung up."""
        self._open.close()
        first, *others = authorities
        tls = server_tls(self._server, first)
        for other in others:
            tls.load_verify_locations(other.file)
        tls.set_alpn_protocols(["h2"])
        self.port = self._open.enter_context(tls_before(self._temporal, tls, greeting, self.port))

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def successor(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "successor")


@pytest.fixture
def ours(authority: Authority) -> Identity:
    return authority.issue("ours.test", lives=timedelta(days=3))


@pytest.fixture
def gate(temporal_address: str, authority: Authority) -> Iterator[Gate]:
    gate = Gate(temporal_address, authority.issue("127.0.0.1"))
    gate.open(authority)
    yield gate
    gate.close()


@pytest.fixture
def settings(gate: Gate, authority: Authority, ours: Identity) -> Settings:
    temporal = TemporalSettings(
        address=f"127.0.0.1:{gate.port}",
        ca_file=authority.file,
        client_certificate=ours.certificate,
        client_key=ours.key,
    )
    return Settings(temporal=temporal)


@pytest.fixture
def shown(settings: Settings) -> ShownCertificate:
    (shown,) = shown_certificates(settings)
    return shown


@pytest.fixture
async def client(settings: Settings, shown: ShownCertificate) -> AsyncIterator[Client]:
    async with asyncio.timeout(60):
        yield await connect_temporal(settings.temporal, DataConverter.default, [], shown)


async def greeted(client: Client) -> str:
    async with asyncio.timeout(60):
        return await client.execute_workflow(
            Greet.run, "Temporal", id=f"greet-{uuid4()}", task_queue=QUEUE
        )


def days_left(shown: ShownCertificate) -> int:
    ends_at = shown.ends_at()
    assert ends_at is not None
    return (ends_at - datetime.now(UTC)).days


async def test_a_worker_and_its_callers_go_over_to_the_renewed_certificate(
    client: Client,
    gate: Gate,
    authority: Authority,
    successor: Authority,
    ours: Identity,
    shown: ShownCertificate,
) -> None:
    runner = UnsandboxedWorkflowRunner()
    worker = Worker(client, task_queue=QUEUE, workflows=[Greet], workflow_runner=runner)
    renewal = renewal_of(client)
    assert renewal is not None
    async with worker:
        assert await greeted(client) == "Good day, Temporal"
        assert not await renewal.renew(), "nothing has changed"
        gate.open(authority, successor)
        successor.renew(ours, "ours.test", lives=timedelta(days=90))
        assert await renewal.renew()
        give_connection(client, [worker])
        assert await greeted(client) == "Good day, Temporal"
        gate.open(successor)
        assert await greeted(client) == "Good day, Temporal"
    assert days_left(shown) in (89, 90)


async def test_what_cannot_be_used_changes_nothing_and_is_told_once(
    client: Client,
    gate: Gate,
    authority: Authority,
    successor: Authority,
    ours: Identity,
    shown: ShownCertificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    renewal = renewal_of(client)
    assert renewal is not None
    key = ours.key.read_bytes()
    ours.key.write_bytes(b"")  # as while one is replaced before the other
    assert [await renewal.renew() for _ in range(3)] == [False] * 3
    assert caplog.text.count("certificates for Temporal are not renewed") == 1
    ours.key.write_bytes(key)
    successor.renew(ours, "ours.test", lives=timedelta(days=90))  # whom Temporal does not take
    assert not await renewal.renew()
    assert "refuses the client certificate" in caplog.text
    assert await client.service_client.check_health()
    found = await CertificateCheck(None, (shown,)).probe()
    assert isinstance(found, Finding)
    assert "the file holds a newer one" in found.reason
    assert "the logs of API and workers" in found.remedy
    gate.open(authority, successor)
    assert await renewal.renew(), (
        "the files are those that were refused, and Temporal takes them now"
    )
    assert await CertificateCheck(None, (shown,)).probe() is None


async def test_who_has_not_connected_yet_begins_with_the_renewed_one(
    settings: Settings,
    gate: Gate,
    successor: Authority,
    ours: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the API, which starts while Temporal is away."""
    caplog.set_level(logging.INFO, "muniment.temporal_service")
    gate.close()
    service = await RenewingService.open(settings.temporal, lazy=True)
    successor.renew(ours, "ours.test", lives=timedelta(days=90))
    assert not await service.renew()
    gate.open(successor)
    assert await service.renew()
    assert await service.check_health()
    assert "are renewed" in caplog.text


async def test_what_is_renewed_while_temporal_is_waited_for_is_not_missed(
    settings: Settings,
    gate: Gate,
    authority: Authority,
    successor: Authority,
    ours: Identity,
    shown: ShownCertificate,
) -> None:
    def renew_first(_: socket.socket) -> bool:
        """The files were read by then."""
        if shown.ends_at() is not None and days_left(shown) < 4 and not shown.is_renewed_unseen:
            successor.renew(ours, "ours.test", lives=timedelta(days=90))
        return True

    gate.open(authority, successor, greeting=renew_first)
    service = await RenewingService.open(settings.temporal, shown)
    gate.open(successor)
    assert await service.renew(), "the connection is over the former one"
    assert await service.check_health()


async def test_what_is_shown_is_what_the_first_connection_was_made_with(
    settings: Settings, gate: Gate, successor: Authority, ours: Identity, shown: ShownCertificate
) -> None:
    """As of a worker that waited for Temporal longer than its certificate lasted."""
    successor.renew(ours, "ours.test", lives=timedelta(days=90))
    gate.open(successor)
    service = await RenewingService.open(settings.temporal, shown)
    assert not await service.renew()
    assert days_left(shown) in (89, 90)


async def test_whoever_fails_to_take_the_renewed_one_is_told_again(
    client: Client,
    gate: Gate,
    authority: Authority,
    successor: Authority,
    ours: Identity,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(temporal_service, "LOOK_SECONDS", 0.05)
    renewal = renewal_of(client)
    assert renewal is not None
    told, has_taken = itertools.count(1), asyncio.Event()

    def fail_once() -> None:
        if next(told) == 1:
            raise ValueError("not yet")
        has_taken.set()

    gate.open(authority, successor)
    successor.renew(ours, "ours.test", lives=timedelta(days=90))
    watching = asyncio.create_task(renewal.watch(fail_once))
    async with asyncio.timeout(60):
        await has_taken.wait()
    await asyncio.sleep(0.3)
    assert not watching.done()
    watching.cancel()
    assert next(told) == 3, "once more, and no more than that"
    assert "are not looked after" in caplog.text


def test_the_processes_look_after_it_by_themselves(
    application_dsn: str,
    settings: Settings,
    gate: Gate,
    authority: Authority,
    successor: Authority,
    ours: Identity,
    tmp_path: Path,
) -> None:
    environment = {
        "MUNIMENT_DATABASE__URL": application_dsn,
        "MUNIMENT_TEMPORAL__ADDRESS": settings.temporal.address,
        "MUNIMENT_TEMPORAL__CA_FILE": str(authority.file),
        "MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE": str(ours.certificate),
        "MUNIMENT_TEMPORAL__CLIENT_KEY": str(ours.key),
    }
    api = start_api(tmp_path / "home", environment)
    try:
        with running_worker(tmp_path / "home", environment) as worker_log:
            await_line(worker_log, "polling")
            gate.open(authority, successor)
            successor.renew(ours, "ours.test", lives=timedelta(days=90))
            for log in (worker_log, api.home / "api.jsonl"):
                await_line(log, "certificates for Temporal are renewed")
            gate.open(successor)
            wait_for(lambda: is_reached(api), timeout_seconds=60, what="Temporal to be reached")
    finally:
        assert stop_api(api) == 0


@contextmanager
def running_worker(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Of the queue `muniment`, beside the API of that home; its log."""
    complete = {
        **os.environ,
        "MUNIMENT_OBJECTS__ROOT": str(home / "objects"),
        "MUNIMENT_KEYS__ROOT": str(home / "keys"),
        **environment,
    }
    path = home / "worker.jsonl"
    with path.open("ab") as log:
        command = [sys.executable, "-m", "worker", "--queues", "muniment"]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=complete, stdout=log, stderr=log)
    try:
        yield path
    finally:
        process.terminate()
        assert process.wait(90) == 0, path.read_text()[-3000:]


def await_line(log: Path, words: str) -> None:
    wait_for(lambda: words in log.read_text(), timeout_seconds=90, what=f"{words} in {log.name}")


def is_reached(api: ApiProcess) -> bool:
    answer = httpx.get(f"{api.url}/readyz", timeout=30, trust_env=False).json()
    (found,) = [each for each in answer["dependencies"] if each["name"] == "temporal"]
    return bool(found["state"] == "ok")

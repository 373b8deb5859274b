"""A PostgreSQL that goes away is told as such, wherever in a transaction it does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from db.queries import blobs
from db.session import Database
from muniment.errors import DatabaseUnavailable
from tests.chaos.line import line_to
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine

READY_FOR_QUERY = b"Z\x00\x00\x00\x05I"
"""How PostgreSQL ends a log-in (protocol 3, message ReadyForQuery, idle)."""


class Doorkeeper:
    """Stands before a PostgreSQL; once it leaves, shows everybody out, and whoever comes in after
    that too, as a server does that is shutting down."""

    def __init__(self, server_socket: str) -> None:
        self._server_socket = server_socket
        self._guests: list[asyncio.StreamWriter] = []
        self._visits: set[asyncio.Task[None]] = set()
        self._leaving = False

    def leave(self) -> None:
        self._leaving = True
        for guest in self._guests:
            guest.close()

    def stay(self) -> None:
        self._leaving = False

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._guests.append(writer)
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        inside, inward = await asyncio.open_unix_connection(self._server_socket)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_pass_on(reader, inward))
            ways.create_task(self._out(inside, writer))
        for end in (writer, inward):
            with suppress(ConnectionError):
                await end.wait_closed()

    async def close(self) -> None:
        self.leave()
        await asyncio.wait(self._visits)

    async def _out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(65536):
                writer.write(said)
                if self._leaving and said.endswith(READY_FOR_QUERY):
                    break
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while said := await reader.read(65536):
            writer.write(said)
    writer.close()


@asynccontextmanager
async def guarded(application_dsn: str) -> AsyncIterator[tuple[Doorkeeper, str]]:
    """A doorkeeper before the server of the DSN, and the DSN that leads through it."""
    keeper = Doorkeeper(_socket(application_dsn))
    server = await asyncio.start_server(keeper.meet, "127.0.0.1", 0)
    async with server:
        yield keeper, _through(server.sockets[0].getsockname()[1], application_dsn)
        await keeper.close()


def _socket(application_dsn: str) -> str:
    folder = parse_qs(urlsplit(application_dsn).query)["host"][0]
    return f"{folder}/.s.PGSQL.5432"


def _through(port: int, application_dsn: str) -> str:
    """The DSN that leads through whoever listens at the port."""
    parts = urlsplit(application_dsn)
    return f"postgresql://{quote(parts.username or '')}@127.0.0.1:{port}{parts.path}"


async def test_a_server_that_closes_fresh_connections_is_unavailable(
    application_dsn: str, tenant: TenantFixture
) -> None:
    async with guarded(application_dsn) as (keeper, dsn):
        database = Database(dsn, pool_size=1)
        async with database.transaction(tenant.system) as session:
            assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
        keeper.leave()
        for _ in range(10):
            with pytest.raises(DatabaseUnavailable):
                await _ask(database, tenant)
        keeper.stay()
        await _ask(database, tenant)
        await database.close()


async def _ask(database: Database, tenant: TenantFixture) -> None:
    async with database.transaction(tenant.system) as session:
        await session.execute(text("SELECT 1"))


async def test_a_transaction_used_on_after_its_connection_was_lost_is_unavailable(
    database: Database, postgres_dsn: str, tenant: TenantFixture
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await _use_on(database, tenant)
    await _ask(database, tenant)


async def _use_on(database: Database, tenant: TenantFixture) -> None:
    """What a caller does who goes on after an error, for example to say what became of a page."""
    async with database.transaction(tenant.system) as session:
        with suppress(OperationalError):
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await session.execute(text("SELECT 1"))


async def test_a_pool_without_a_free_connection_is_unavailable(
    application_dsn: str, tenant: TenantFixture
) -> None:
    database = Database(application_dsn, pool_size=1, pool_timeout_seconds=0.2)
    async with database.transaction(tenant.system):
        with pytest.raises(DatabaseUnavailable, match="all are at work"):
            await _ask(database, tenant)
    await database.close()


async def test_a_statement_that_is_wrong_is_no_absence(
    database: Database, tenant: TenantFixture
) -> None:
    with pytest.raises(ProgrammingError):
        async with database.transaction(tenant.system) as session:
            await session.execute(text("SELECT nothing_of_that_name"))


async def test_a_standby_that_takes_no_writes_is_unavailable(
    database: Database, tenant: TenantFixture
) -> None:
    async def write() -> None:
        async with database.transaction(tenant.system) as session:
            await session.execute(text("SET TRANSACTION READ ONLY"))  # as one in recovery has it
            await blobs.is_known(session, uuid4())

    with pytest.raises(DatabaseUnavailable):
        await write()


async def test_a_server_that_falls_silent_is_given_up_and_found_again(
    application_dsn: str, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.session.SILENCE_BEYOND_STATEMENT_SECONDS", 1.0)
    with line_to(_socket(application_dsn)) as line:
        dsn = _through(line.port, application_dsn)
        database = Database(dsn, pool_size=1, statement_timeout_seconds=1.0)
        await _ask(database, tenant)
        line.fall_silent()
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await _ask(database, tenant)
        assert time.monotonic() - began < on_a_busy_machine(6)
        line.mend()
        await _ask(database, tenant)
        await database.close()


async def test_who_is_cancelled_while_a_server_is_silent_has_been_cancelled(
    application_dsn: str, tenant: TenantFixture
) -> None:
    """Else whoever begins anew after an absence of the database, and was told to stop, never does."""
    with line_to(_socket(application_dsn)) as line:
        database = Database(_through(line.port, application_dsn), pool_size=1)
        await _ask(database, tenant)
        line.fall_silent()
        asking = asyncio.create_task(_ask(database, tenant))
        await asyncio.sleep(0.3)  # by then it has sent its BEGIN
        asking.cancel()
        await asyncio.wait({asking}, timeout=on_a_busy_machine(30))
        assert asking.cancelled()
        line.mend()
        await _ask(database, tenant)
        await database.close()


async def test_many_statements_in_one_exchange_may_take_longer_than_a_silence(
    application_dsn: str, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is within its limit, and the server answers all the time."""
    monkeypatch.setattr("db.session.SILENCE_BEYOND_STATEMENT_SECONDS", 0.2)
    database = Database(application_dsn, pool_size=1, statement_timeout_seconds=2.0)
    async with database.transaction(tenant.system) as session:
        await session.execute(text("SELECT pg_sleep(:seconds)"), [{"seconds": 0.8}] * 3)
    await database.close()

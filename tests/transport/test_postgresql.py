"""PostgreSQL over TLS: every connection that is made of a DSN, and every wrong certificate."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest

from db.bootstrap import bootstrap
from db.listening import WakingListener
from db.migrate import migrate
from db.queries.access import probe
from db.session import Database
from db.transport import database_exposures
from muniment.errors import DatabaseUnavailable
from tests.certificates import Authority, Identity, server_tls
from tests.conftest import REPOSITORY, make_database
from tests.tls_relay import postgresql_greeting, tls_before

Parameters = dict[str, str]


@contextmanager
def behind_tls(dsn: str, server: Identity, clients_of: Authority) -> Iterator[str]:
    """The DSN's database where TLS with client certificates leads to it; a DSN without parameters."""
    parts = urlsplit(dsn)
    folder = parse_qs(parts.query)["host"][0]
    tls = server_tls(server, clients_of)
    with tls_before(f"{folder}/.s.PGSQL.5432", tls, postgresql_greeting) as port:
        yield f"postgresql://{quote(parts.username or '')}@127.0.0.1:{port}{parts.path}"


def verified(dsn: str, authority: Authority, us: Identity | None, **more: str) -> str:
    parameters = {"sslmode": "verify-full", "sslrootcert": str(authority.file), **more}
    if us is not None:
        parameters |= {"sslcert": str(us.certificate), "sslkey": str(us.key)}
    else:
        parameters["sslcertmode"] = "disable"
    return dsn + "?" + "&".join(f"{name}={quote(value)}" for name, value in parameters.items())


async def ask(dsn: str) -> None:
    database = Database(dsn)
    try:
        async with database.across_tenants() as session:
            await probe(session)
    finally:
        await database.close()


async def test_all_connections_of_a_dsn_are_over_tls(
    postgres_server: str, authority: Authority, us: Identity
) -> None:
    dsn = make_database(postgres_server)
    with behind_tls(dsn, authority.issue("127.0.0.1"), authority) as plain:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(plain, sslmode="disable")
        protected = verified(plain, authority, us)
        migrate(protected)
        bootstrap(protected, tenant="over-tls")
        await ask(protected)
        heard = asyncio.Event()
        listener = WakingListener(protected, "over_tls", heard)
        listening = asyncio.create_task(listener.run())
        async with asyncio.timeout(30):
            while not listener.is_connected:  # noqa: ASYNC110 - a server's answer
                await asyncio.sleep(0.05)
            heard.clear()
            with psycopg.connect(protected, autocommit=True) as connection:
                connection.execute("NOTIFY over_tls")
            await heard.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("fault", ["authority", "name", "expired", "no-client", "wrong-client"])
async def test_a_wrong_certificate_is_refused_and_the_remedy_named(
    fault: str, postgres_dsn: str, authority: Authority, stranger: Authority, us: Identity
) -> None:
    name = "elsewhere.test" if fault == "name" else "127.0.0.1"
    lives = timedelta(days=-1) if fault == "expired" else timedelta(days=30)
    server = (stranger if fault == "authority" else authority).issue(name, lives=lives)
    shown = {"no-client": None, "wrong-client": stranger.issue("muniment.test")}.get(fault, us)
    with behind_tls(postgres_dsn, server, authority) as plain:
        dsn = verified(plain, authority, shown)
        with pytest.raises(DatabaseUnavailable) as refused:
            await ask(dsn)
        with pytest.raises(DatabaseUnavailable) as refused_migration:
            migrate(dsn)
        with pytest.raises(DatabaseUnavailable):
            bootstrap(dsn)
    wanted = {"name": "DSN's host", "no-client": "sslkey", "wrong-client": "sslkey"}
    assert wanted.get(fault, "sslrootcert") in refused.value.remedy
    assert refused.value.remedy == refused_migration.value.remedy
    assert "127.0.0.1" not in refused.value.detail


async def test_files_that_libpq_does_not_take_are_told(
    postgres_dsn: str, authority: Authority, us: Identity, tmp_path: Path
) -> None:
    open_to_all = tmp_path / "open.key"
    open_to_all.write_bytes(us.key.read_bytes())
    open_to_all.chmod(0o644)
    absent = str(tmp_path / "absent.pem")
    with behind_tls(postgres_dsn, authority.issue("127.0.0.1"), authority) as plain:
        for wrong in ({"sslrootcert": absent}, {"sslkey": str(open_to_all)}, {"sslkey": absent}):
            dsn = verified(plain, authority, us)
            for name, value in wrong.items():
                dsn = re.sub(rf"{name}=[^&]*", f"{name}={value}", dsn)
            with pytest.raises(DatabaseUnavailable, match="cannot be read") as refused:
                await ask(dsn)
            assert "0600" in refused.value.remedy


async def test_a_server_without_tls_is_not_spoken_with(
    postgres_dsn: str, authority: Authority, us: Identity
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        dsn = verified(f"postgresql://anyone@127.0.0.1:{port}/muniment", authority, us)
        with pytest.raises(DatabaseUnavailable, match="does not speak TLS"):
            await ask(dsn)


def test_the_migrations_process_says_what_to_do(
    postgres_dsn: str, authority: Authority, stranger: Authority, us: Identity
) -> None:
    with behind_tls(postgres_dsn, stranger.issue("127.0.0.1"), authority) as plain:
        dsn = verified(plain, authority, us)
        ended = subprocess.run(
            [sys.executable, "-m", "db.migrate"],
            cwd=REPOSITORY,
            env={"MUNIMENT_DATABASE__OWNER_URL": dsn},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 2
    assert "sslrootcert" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://muniment_app@database:5432/muniment", ["database"]),
        ("postgresql://a@one,two/muniment?sslmode=require", ["one", "two"]),
        ("postgresql://a@database/muniment?sslmode=verify-full", []),
        ("postgresql://a@/muniment?host=/run/postgresql", []),
        ("postgresql://a@name/muniment?hostaddr=10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_a_dsn_tells_which_hosts_it_leaves_exposed(dsn: str, hosts: list[str]) -> None:
    assert [each.host for each in database_exposures(dsn)] == hosts

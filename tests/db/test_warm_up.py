"""An API that opens its connections before it serves waits for no PostgreSQL for long."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import VANISHED_SERVER, Database
from tests.chaos.line import Line, line_to
from tests.patience import on_a_busy_machine

TOLD = "connections to PostgreSQL are opened later"


@contextmanager
def through_a_line(application_dsn: str) -> Iterator[tuple[Line, str]]:
    """A line to the server of the DSN, and the DSN that leads through it."""
    parts = urlsplit(application_dsn)
    folder = parse_qs(parts.query)["host"][0]
    with line_to(f"{folder}/.s.PGSQL.5432") as line:
        yield line, f"postgresql://{quote(parts.username or '')}@127.0.0.1:{line.port}{parts.path}"


async def _warm_up_seconds(database: Database, told: pytest.LogCaptureFixture) -> float:
    began = time.monotonic()
    with told.at_level(logging.WARNING, logger="db.session"):
        await database.warm_up(_ask)
    return time.monotonic() - began


async def _ask(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))


async def test_a_server_that_takes_connections_and_says_nothing_is_told_and_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel connects; nobody ever reads or writes. One attempt, and no other after it."""
    monkeypatch.setattr("db.session.VANISHED_SERVER", {**VANISHED_SERVER, "connect_timeout": 2})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://nobody@127.0.0.1:{port}/none", pool_size=10)
        try:
            assert await _warm_up_seconds(database, caplog) < on_a_busy_machine(6)
        finally:
            await database.close()
    assert [record.message for record in caplog.records] == [TOLD]


async def test_one_that_falls_silent_in_the_middle_is_hung_up_on(
    application_dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections that are open already are not waited for one after the other."""
    monkeypatch.setattr("db.session.SILENCE_BEYOND_STATEMENT_SECONDS", 1.0)
    with through_a_line(application_dsn) as (line, dsn):
        database = Database(dsn, pool_size=20, statement_timeout_seconds=0.5)
        asked = 0

        async def fall_silent_at_last(session: AsyncSession) -> None:
            nonlocal asked
            asked += 1
            if asked == 20:
                line.fall_silent()
            await _ask(session)

        began = time.monotonic()
        with caplog.at_level(logging.WARNING, logger="db.session"):
            await database.warm_up(fall_silent_at_last)
        # A second and a half of silence; twenty times as much where each was rolled back.
        assert time.monotonic() - began < on_a_busy_machine(5)
        assert [record.message for record in caplog.records] == [TOLD]
        line.mend()
        async with database.one_statement() as session:
            assert await session.scalar(text("SELECT 1")) == 1
        await database.close()


async def test_one_that_answers_too_slowly_is_waited_for_as_long_as_all_may_take(
    application_dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.session.LONGEST_WARM_UP_SECONDS", 1.0)
    with through_a_line(application_dsn) as (line, dsn):
        line.latency_seconds = 0.2
        database = Database(dsn, pool_size=50)
        assert await _warm_up_seconds(database, caplog) < on_a_busy_machine(8)
        assert [record.message for record in caplog.records] == [TOLD]
        line.mend()
        async with database.one_statement() as session:
            assert await session.scalar(text("SELECT 1")) == 1
        await database.close()

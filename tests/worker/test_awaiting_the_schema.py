"""A worker that starts before the migration waits for it."""

import asyncio

import psycopg
import pytest

from db.migrate import migrate
from db.models import new_id
from db.session import Database
from muniment.cli.main import app
from worker.connecting import await_database


@pytest.fixture
def empty_dsn(postgres_server: str) -> str:
    """A database in which nothing was migrated yet."""
    name = f"empty_{new_id().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


async def test_a_database_without_a_schema_is_waited_for(
    empty_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(empty_dsn)
    waiting = asyncio.create_task(await_database(database))
    async with asyncio.timeout(120):
        while not caplog.records:
            assert not waiting.done()
            await asyncio.sleep(0.05)
        await asyncio.to_thread(migrate, empty_dsn)
        await waiting
    assert caplog.records[0].message == "waiting for the database"
    remedy = vars(caplog.records[0])["remedy"]
    assert remedy == "Run `muniment schema upgrade`."
    schema = next(group for group in app.registered_groups if group.name == "schema").typer_instance
    assert schema is not None
    assert "upgrade" in {command.name for command in schema.registered_commands}
    await database.close()

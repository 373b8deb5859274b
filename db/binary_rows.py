"""Rows in PostgreSQL's binary format, for statements that return megabytes: as text, which SQLAlchemy has
the driver ask for, `bytea` takes four times as long."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession


async def binary_rows(
    session: AsyncSession, statement: str, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """The rows of a statement whose placeholders are those of `sqlalchemy.text`, in the session's
    transaction. Raises what the session itself raises."""
    driver, prepared = await _driver(session, statement)
    try:
        async with driver.cursor(binary=True) as cursor:
            await cursor.execute(prepared, parameters)
            return await cursor.fetchall()
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


async def streamed_rows(
    session: AsyncSession, statement: str, parameters: Mapping[str, object]
) -> AsyncGenerator[tuple[Any, ...], None]:
    """The same as they come, for what would not fit into memory. The session does nothing else
    meanwhile; who does not read to the end gives the transaction up."""
    driver, prepared = await _driver(session, statement)
    try:
        async with driver.cursor(binary=True) as cursor:
            # Closed at once where it is given up: it holds the connection, which is rolled back next.
            rows = cursor.stream(prepared, parameters, binary=True)
            assert isinstance(rows, AsyncGenerator)  # noqa: S101 - of the driver
            async with aclosing(rows):
                async for row in rows:
                    yield row
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


async def _driver(
    session: AsyncSession, statement: str
) -> tuple[psycopg.AsyncConnection[tuple[Any, ...]], bytes]:
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101 - of the dialect
    return driver, _for_the_driver(statement, connection.dialect)


@lru_cache(maxsize=64)
def _for_the_driver(statement: str, dialect: Dialect) -> bytes:
    """With psycopg's placeholders. Statements are constants, so that there are few."""
    return str(text(statement).compile(dialect=dialect)).encode()

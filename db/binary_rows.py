"""Rows in PostgreSQL's binary format, for statements that return megabytes: as text, which SQLAlchemy has
the driver ask for, `bytea` takes four times as long."""

from collections.abc import Mapping
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
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101 - of the dialect
    try:
        async with driver.cursor(binary=True) as cursor:
            await cursor.execute(_for_the_driver(statement, connection.dialect), parameters)
            return await cursor.fetchall()
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


@lru_cache(maxsize=64)
def _for_the_driver(statement: str, dialect: Dialect) -> bytes:
    """With psycopg's placeholders. Statements are constants, so that there are few."""
    return str(text(statement).compile(dialect=dialect)).encode()

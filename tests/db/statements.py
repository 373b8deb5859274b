"""What a connection sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection


@contextmanager
def statements_of(connection: AsyncConnection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent within the block, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        sent.append((statement, parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(connection.sync_connection, "before_cursor_execute", note)

"""Connections that do not wait for ever for a server which says nothing.

`statement_timeout` is kept by the server, and TCP notices a peer that vanished. Neither ends the wait
for one whose kernel still acknowledges what comes: a stopped process, or a proxy that has lost what is
behind it.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self

from psycopg import AsyncConnection
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow

INTERVAL_SECONDS = 0.1
"""How often psycopg looks up from its waiting; its own default."""


class PromptConnection(AsyncConnection[TupleRow]):
    """Hangs up when an answer has not come after `longest_silence_seconds`, so that psycopg raises
    OperationalError as for every server that is gone."""

    longest_silence_seconds: float | None = None

    async def wait(
        self, gen: PQGen[RV], interval: float = INTERVAL_SECONDS, timeout: float | None = None
    ) -> RV:
        """Everything that is asked of the server, commits and rollbacks too, goes through here."""
        if self.longest_silence_seconds is None:
            return await super().wait(gen, interval, timeout)
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(self.longest_silence_seconds, self._hang_up)
        try:
            return await super().wait(gen, interval, timeout)
        finally:
            alarm.cancel()

    def _hang_up(self) -> None:
        """Ends the connection beneath libpq, which reads that the server has closed it."""
        with socket.socket(fileno=os.dup(self.fileno())) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    @classmethod
    async def open(
        cls, longest_silence_seconds: float | None, conninfo: str = "", **parameters: Any
    ) -> Self:
        """`connect`, with its parameters; its own time-out is `connect_timeout`."""
        connection = await cls.connect(conninfo, **parameters)
        connection.longest_silence_seconds = longest_silence_seconds
        return connection


def opening(
    longest_silence_seconds: float | None,
) -> Callable[..., Awaitable[PromptConnection]]:
    """What SQLAlchemy's psycopg dialect takes as `async_creator_fn` in place of `connect`."""
    return partial(PromptConnection.open, longest_silence_seconds)

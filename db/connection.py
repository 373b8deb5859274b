"""Connections that do not wait for ever for a server which says nothing.

`statement_timeout` is kept by the server, and TCP notices a peer that vanished. Neither ends the wait
for one whose kernel still acknowledges what comes: a stopped process, or a proxy that has lost what is
behind it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self

from psycopg import AsyncConnection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.pq import PipelineStatus
from psycopg.rows import TupleRow
from psycopg.waiting import Ready

from db.standing_back import stand_back_together

INTERVAL_SECONDS = 0.1
"""How often psycopg looks up from its waiting; its own default."""
MOST_PREPARED = 500
"""Statements that a connection remembers; psycopg's 100 are fewer than an API's texts, of which each would
then push out another, with an exchange more than one that was never prepared."""


class PromptConnection(AsyncConnection[TupleRow]):
    """Hangs up when nothing has come, and nothing could be sent, for `longest_silence_seconds`, so that
    psycopg raises OperationalError as for every server that is gone."""

    longest_silence_seconds: float | None = None

    async def wait(
        self, gen: PQGen[RV], interval: float = INTERVAL_SECONDS, timeout: float | None = None
    ) -> RV:
        """Everything that is asked of the server, commits and rollbacks too, goes through here."""
        if self.longest_silence_seconds is None:
            return await super().wait(gen, interval, timeout)
        silence = _Silence(self.longest_silence_seconds, self._hang_up)
        if self.pgconn.pipeline_status != PipelineStatus.OFF:
            gen = self._answered_one_by_one(gen)
        try:
            return await super().wait(silence.broken_by(gen), interval, timeout)
        finally:
            silence.end()

    def _answered_one_by_one(self, gen: PQGen[RV]) -> PQGen[RV]:
        """The generator of an exchange of many statements, such as rows to insert. PostgreSQL keeps all
        their answers until the last is ready, unless it is asked after each."""
        try:
            ready = yield next(gen)
            while True:
                wanted = gen.send(ready)
                if ready & Ready.W:
                    self.pgconn.send_flush_request()
                ready = yield wanted
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # of the generator

    def _hang_up(self) -> None:
        """Ends the connection beneath libpq, which reads that the server has closed it."""
        with suppress(OSError, OperationalError):  # closed already
            line = socket.socket(fileno=self.fileno())
            try:
                line.shutdown(socket.SHUT_RDWR)
            finally:
                line.detach()  # the descriptor is libpq's

    @classmethod
    async def open(
        cls, longest_silence_seconds: float | None, conninfo: str = "", **parameters: Any
    ) -> Self:
        """`connect`, with its parameters; its own time-out is `connect_timeout`. The backend stands back
        as this process does."""
        connection = await cls.connect(conninfo, **parameters)
        connection.longest_silence_seconds = longest_silence_seconds
        connection.prepared_max = MOST_PREPARED
        try:
            await stand_back_together(connection)
        except BaseException:
            await connection.close()
            raise
        return connection


class _Silence:
    """Does something once it has lasted; begins anew whenever the server has been heard of. One wait may
    be for the answers of many statements, each of which may take as long as a statement may."""

    def __init__(self, longest_seconds: float, then: Callable[[], None]) -> None:
        self._longest_seconds = longest_seconds
        self._then = then
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._alarm = self._loop.call_later(longest_seconds, self._look)

    def broken_by(self, gen: PQGen[RV]) -> PQGen[RV]:
        """The generator of an exchange, which is sent what the connection became ready for."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    self._since = self._loop.time()
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # of the generator

    def end(self) -> None:
        self._alarm.cancel()

    def _look(self) -> None:
        until = self._since + self._longest_seconds
        if self._loop.time() >= until:
            self._then()
        else:
            self._alarm = self._loop.call_at(until, self._look)


def opening(
    longest_silence_seconds: float | None,
) -> Callable[..., Awaitable[PromptConnection]]:
    """What SQLAlchemy's psycopg dialect takes as `async_creator_fn` in place of `connect`."""
    return partial(PromptConnection.open, longest_silence_seconds)

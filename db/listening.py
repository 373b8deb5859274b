"""One LISTEN connection per process: says which job has new events, as soon as they are committed.

Notifications are a pointer and may be lost with a connection; rows are read under row-level security.
Whoever relies on them polls too, and is told to look after every reconnection.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from db.session import VANISHED_SERVER

CHANNEL = "muniment_job_event"
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0
_CHECK_SECONDS = 30.0
"""An idle connection is tried so often: a silent one may be dead."""
_ANSWER_SECONDS = 5.0

logger = logging.getLogger(__name__)


class JobEventListener:
    """Calls `on_event(tenant_id, job_id, event)` for every notification and `on_gap()` whenever some
    may have been missed. Both must be quick and must not raise."""

    def __init__(
        self,
        dsn: str,
        on_event: Callable[[UUID, UUID, str], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._dsn = dsn
        self._on_event = on_event
        self._on_gap = on_gap
        self.is_connected = False

    async def run(self) -> None:
        """Listens until cancelled; connects anew with growing delays."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                logger.warning("not listening", extra={"reason": type(error).__name__})
            if self.is_connected:
                delay = _FIRST_DELAY_SECONDS
            self.is_connected = False
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            make_conninfo(self._dsn, **VANISHED_SERVER), autocommit=True
        ) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self.is_connected = True
            self._on_gap()
            while True:
                async for notification in connection.notifies(timeout=_CHECK_SECONDS):
                    self._hand_on(notification.payload)
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await connection.execute("SELECT 1")

    def _hand_on(self, payload: str) -> None:
        """The payload is `tenant:job:event`, see 0001_security.sql; whoever may connect can send
        others, which are left out."""
        try:
            tenant_id, job_id, event = payload.split(":")
            ids = UUID(tenant_id), UUID(job_id)
        except ValueError:
            logger.warning("a notification is none of ours")
            return
        self._on_event(*ids, event)

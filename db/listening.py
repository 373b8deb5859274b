"""One LISTEN connection per process and purpose: says that something was committed, as soon as it was.

Notifications are a pointer and may be lost with a connection; rows are read under row-level security.
Whoever relies on them polls too, and is told to look after every reconnection.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from db.session import VANISHED_SERVER
from db.transport import refused_by_tls

CHANNEL = "muniment_job_event"
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0
_CHECK_SECONDS = 30.0
"""An idle connection is tried so often: a silent one may be dead."""
_ANSWER_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Listener(ABC):
    """Hands on every notification of a channel, and says whenever some may have been missed."""

    def __init__(self, dsn: str, channel: str) -> None:
        self._dsn = dsn
        self._channel = channel
        self.is_connected = False

    async def run(self) -> None:
        """Listens until cancelled; connects anew with growing delays."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                refused = refused_by_tls(error)
                reason = type(error).__name__ if refused is None else refused.detail
                logger.warning("not listening", extra={"reason": reason})
            if self.is_connected:
                delay = _FIRST_DELAY_SECONDS
            self.is_connected = False
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            make_conninfo(self._dsn, **VANISHED_SERVER), autocommit=True
        ) as connection:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self.is_connected = True
            self._missed_some()
            while True:
                async for notification in connection.notifies(timeout=_CHECK_SECONDS):
                    self._hand_on(notification.payload)
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await connection.execute("SELECT 1")

    @abstractmethod
    def _hand_on(self, payload: str) -> None:
        """Quick, and never raises: whoever may connect can send payloads that are none of ours."""

    @abstractmethod
    def _missed_some(self) -> None:
        """Likewise."""


class JobEventListener(Listener):
    """Calls `on_event(tenant_id, job_id, event)` for every notification and `on_gap()` whenever some
    may have been missed. Both must be quick and must not raise."""

    def __init__(
        self,
        dsn: str,
        on_event: Callable[[UUID, UUID, str], None],
        on_gap: Callable[[], None],
    ) -> None:
        super().__init__(dsn, CHANNEL)
        self._on_event = on_event
        self._on_gap = on_gap

    def _hand_on(self, payload: str) -> None:
        """The payload is `tenant:job:event`, see 0001_security.sql; others are left out."""
        try:
            tenant_id, job_id, event = payload.split(":")
            ids = UUID(tenant_id), UUID(job_id)
        except ValueError:
            logger.warning("a notification is none of ours")
            return
        self._on_event(*ids, event)

    def _missed_some(self) -> None:
        self._on_gap()


class WakingListener(Listener):
    """Sets the event at every notification of the channel, and whenever some may have been missed."""

    def __init__(self, dsn: str, channel: str, woken: asyncio.Event) -> None:
        super().__init__(dsn, channel)
        self._woken = woken

    def _hand_on(self, payload: str) -> None:
        self._woken.set()

    def _missed_some(self) -> None:
        self._woken.set()

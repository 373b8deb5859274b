"""In which order a tenant's uploads are recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from muniment.errors import DatabaseTooSlow

AT_ONCE = 3
"""More than one, so that an upload that waits for something of its own keeps no other waiting."""
_TURN_SECONDS = 30.0


class Turns:
    """The tenant's row of its quota lets one upload pass at a time (`db.queries.quotas.take_turn`). Who
    waited for it with a connection in hand would keep it from whoever wants to read: all but the first
    few wait here, without one."""

    def __init__(self, at_once: int = AT_ONCE, turn_seconds: float = _TURN_SECONDS) -> None:
        self._at_once = at_once
        self._turn_seconds = turn_seconds
        self._of_tenants: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, tenant_id: UUID) -> AsyncIterator[None]:
        """One of the tenant's turns, first come, first served; taken before a connection is. Raises
        DatabaseTooSlow where none comes soon."""
        turns = self._of_tenants.setdefault(tenant_id, asyncio.Semaphore(self._at_once))
        try:
            async with asyncio.timeout(self._turn_seconds):
                await turns.acquire()
        except TimeoutError:
            raise DatabaseTooSlow("the tenant's uploads are recorded too slowly") from None
        try:
            yield
        finally:
            turns.release()

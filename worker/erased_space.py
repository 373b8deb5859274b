"""Vacuums what erasures deleted, so that an erasure can say when its rows had left the tables."""

import logging
import random
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import erased_space
from db.queries.erased_space import Horizon
from db.session import Access, Database
from worker.rounds import go_round

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3_600.0
TRIES = 3
"""Of one table: a page in use is left alone, and hardly ever so three times."""
LONGEST_VACUUM_SECONDS = 6 * 3_600.0
"""Of one table: its pages and every index are read once, with rests."""


class ErasedSpace:
    """One worker at a time, however many there are. `connect` opens a database of its own for a round, whose
    statements may take `LONGEST_VACUUM_SECONDS`."""

    def __init__(
        self, database: Database, connect: Callable[[], Database], interval_hours: float
    ) -> None:
        self._database = database
        self._connect = connect
        self._interval_seconds = interval_hours * LOOK_SECONDS

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "the vacuum of what was erased failed",
            first_after_seconds=random.uniform(0.5, 1) * min(LOOK_SECONDS, self._interval_seconds),  # noqa: S311 - no secret
        )

    async def round(self) -> int:
        """How many erasures are vacuumed that were not."""
        async with self._database.across_tenants() as session:
            until = await erased_space.horizon(session)
            if not await erased_space.tenants_waiting(session, until):
                return 0
        if not await self._vacuum():
            return 0
        return await self._note(until)

    async def _vacuum(self) -> bool:
        """Whether every table was, wholly."""
        own = self._connect()
        try:
            async with own.one_statement() as session:
                if not await erased_space.take_turn(session):
                    return False
                left = [table for table in erased_space.TABLES if not await _vacuum(session, table)]
        finally:
            await own.close()
        if left:
            logger.warning("pages in use were not vacuumed", extra={"tables": left})
        return not left

    async def _note(self, until: Horizon) -> int:
        async with self._database.across_tenants() as session:
            waiting = await erased_space.tenants_waiting(session, until)
        noted = 0
        for tenant_id in waiting:
            while True:
                async with self._database.transaction(Access(tenant_id)) as session:
                    count = await erased_space.note_vacuumed(session, tenant_id, until)
                noted += count
                if not count:
                    break
        logger.info("what was erased is vacuumed", extra={"erasures": noted})
        return noted


async def _vacuum(session: AsyncSession, table: str) -> bool:
    """Whether it was vacuumed wholly."""
    for _ in range(TRIES):
        if await erased_space.vacuum(session, table):
            return True
    return False

"""Removes content that no row names, whose writer was killed between sealing and committing, and what
was left of destroyed blobs."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from db.models import now
from db.queries.blobs import orphans_among
from db.session import Access, Database
from muniment.objects import BlobPlace, BlobStore
from worker.rounds import go_round

logger = logging.getLogger(__name__)

FIRST_ROUND_SECONDS = (60.0, 600.0)
"""The first round begins somewhere in between: workers that start together do not list together."""
PAUSE_SECONDS = 0.1
"""Between two pages of a thousand objects, so that a sweep is never what a store is busy with."""
MAX_DESTROYED = 1_000
"""A round destroys no more blobs; the next one goes on. Kills leave a handful, so that more of them
mean something else, which an operator should have time to notice."""


class Sweep:
    """Destroying twice is harmless, so any number of workers may run one.

    What is younger than `min_age` may be an upload whose row is still to be committed, and is left
    alone. So is all that belongs to a tenant which the database does not have: that would be
    another installation's content, and not an orphan.
    """

    def __init__(
        self, database: Database, blobs: BlobStore, interval: timedelta, min_age: timedelta
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._interval = interval
        self._min_age = min_age

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval.total_seconds(),
            "sweep failed",
            first_after_seconds=random.uniform(*FIRST_ROUND_SECONDS),  # noqa: S311 - no secret
        )

    async def round(self) -> int:
        """Looks at everything that is stored; how many blobs were destroyed."""
        before = now() - self._min_age
        await self._blobs.sweep_abandoned(before)
        destroyed = 0
        async for places in self._blobs.stored_before(before):
            for tenant_id, blob_ids in _by_tenant(places):
                allowed = MAX_DESTROYED - destroyed
                destroyed += await self._destroy_orphans(tenant_id, blob_ids, allowed)
            await asyncio.sleep(PAUSE_SECONDS)
        return destroyed

    async def _destroy_orphans(self, tenant_id: UUID, blob_ids: list[UUID], allowed: int) -> int:
        async with self._database.transaction(Access(tenant_id)) as session:
            orphans = await orphans_among(session, blob_ids)
        for blob_id in orphans[:allowed]:
            await self._blobs.destroy(tenant_id, blob_id)
            logger.info("destroyed abandoned content", extra={"blob_id": str(blob_id)})
        if len(orphans) > allowed:
            logger.warning("more abandoned content is left", extra={"count": len(orphans)})
        return min(len(orphans), allowed)


def _by_tenant(places: Iterable[BlobPlace]) -> list[tuple[UUID, list[UUID]]]:
    grouped: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for place in places:
        grouped[place.tenant_id].append(place.blob_id)
    return list(grouped.items())

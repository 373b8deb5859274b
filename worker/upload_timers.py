"""Sees to it that each tenant with unfinished uploads has its `ExpireUploads`: starts one that was asked
for, and once more one that did not do what it was to do, because it was terminated, or Temporal lost it."""

import logging
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client

from db.queries import upload_timers
from db.session import Access, Database
from muniment.errors import MunimentError
from worker.rounds import go_round
from workflows.starting import wake_expiry

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
OVERDUE = timedelta(seconds=30)
"""A workflow that is so late is gone, or its queue is longer than that: then asking again is harmless."""
MAX_FAILURES = 3
"""After so many a round ends: then it is Temporal that is away, and each attempt waits for it."""


class UploadTimers:
    """The API only notes in a row that a timer is wanted, so that uploads go on while Temporal is away.
    Starting twice is harmless, so any number of workers may run this."""

    def __init__(
        self,
        database: Database,
        client: Client,
        interval_seconds: float = INTERVAL_SECONDS,
        overdue: timedelta = OVERDUE,
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._overdue = overdue

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round, self._interval_seconds, "upload timers were not set", first_after_seconds=0
        )

    async def round(self) -> int:
        """Up to a page of tenants; how many workflows were started or woken. One that Temporal does not
        take has its next turn when it may be asked again, behind the others."""
        async with self._database.across_tenants() as session:
            tenants = await upload_timers.unset_timers(session, self._overdue)
        woken = failures = 0
        for tenant_id in tenants:
            async with self._database.transaction(Access(tenant_id)) as session:
                if not await upload_timers.claim_asking(session, tenant_id):
                    continue
            if await self._is_woken(tenant_id):
                woken += 1
            else:
                failures += 1
            if failures >= MAX_FAILURES:
                break
        return woken

    async def _is_woken(self, tenant_id: UUID) -> bool:
        try:
            await wake_expiry(self._client, tenant_id)
        except MunimentError as error:
            ids = {"tenant_id": str(tenant_id), "reason": error.problem}
            logger.warning("an upload timer was not set", extra=ids)
            return False
        return True

"""Clears away what webhooks leave: secrets that sign no more, and events that nobody replays."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import webhook_deliveries, webhooks
from db.queries.webhook_deliveries import OldEvent
from db.queries.webhooks import SpentSecret
from db.session import Access, Database
from muniment.objects import BlobStore
from worker.clearing import Clearing

INTERVAL_SECONDS = 60.0
DELIVERIES_AT_ONCE = 2_000
"""Of a deleted endpoint, in one transaction: with their attempts some ten thousand rows, well within
the time limit of a statement."""


class SpentSecrets(Clearing[SpentSecret]):
    kind = "spent secret of a webhook"

    async def _find(
        self, session: AsyncSession, after: SpentSecret | None
    ) -> Sequence[SpentSecret]:
        return await webhooks.spent_secrets(session, after.secret_id if after else None)

    def _id_of(self, spent: SpentSecret) -> UUID:
        return spent.secret_id

    async def _clear(self, spent: SpentSecret) -> None:
        """It is condemned first: else its verification would find a key that is gone and take it for
        damage. The row goes last: without a key it is tried again, a key without a row would stay."""
        access = Access(spent.tenant_id)
        async with self._database.transaction(access) as session:
            await webhooks.condemn_secret(session, spent)
        await self._blobs.destroy(spent.tenant_id, spent.blob_id)
        forgotten = DELIVERIES_AT_ONCE
        while forgotten == DELIVERIES_AT_ONCE:
            async with self._database.transaction(access) as session:
                forgotten = await webhooks.forget_deliveries(session, spent, DELIVERIES_AT_ONCE)
        async with self._database.transaction(access) as session:
            await webhooks.forget_secret(session, spent)


class OldEvents(Clearing[OldEvent]):
    """With their deliveries and what became of those."""

    kind = "old event of webhooks"

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        kept_for: timedelta,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        super().__init__(database, blobs, interval_seconds)
        self._kept_for = kept_for

    async def _find(self, session: AsyncSession, after: OldEvent | None) -> Sequence[OldEvent]:
        return await webhook_deliveries.old_events(session, self._kept_for, after)

    def _id_of(self, spent: OldEvent) -> UUID:
        return spent.event_id

    async def _clear(self, spent: OldEvent) -> None:
        async with self._database.transaction(Access(spent.tenant_id)) as session:
            await webhook_deliveries.forget_event(session, spent.event_id)

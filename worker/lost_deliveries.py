"""Ends deliveries whose workflows are over and did not say so: an operator terminated one in Temporal,
or Temporal lost it. They can be replayed."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import record
from db.queries import webhook_deliveries
from db.queries.webhook_deliveries import OpenDelivery, end_of
from db.session import Access
from muniment.contracts.deliver_webhook import Attempt, Outcome
from muniment.telemetry.metrics import webhook_deliveries_total
from worker.workflow_ends import LostWork

MIN_AGE = timedelta(hours=1)
"""Those that wait behind a slow receiver, or for a worker of the queue, are not asked about."""


class LostDeliveries(LostWork[OpenDelivery]):
    failure_message = "search for lost deliveries failed"

    async def _list_open(
        self, session: AsyncSession, min_age: timedelta, after: UUID | None
    ) -> list[OpenDelivery]:
        return await webhook_deliveries.open_deliveries(session, min_age, after)

    def _id(self, open_one: OpenDelivery) -> UUID:
        return open_one.delivery_id

    async def _end(self, open_one: OpenDelivery) -> bool:
        async with self._database.transaction(Access(open_one.tenant_id)) as session:
            delivery = await webhook_deliveries.delivery_at_work(
                session, open_one.delivery_id, open_one.round, for_update=True
            )
            if delivery is None:
                return False
            lost = Attempt(outcome=Outcome.LOST)
            await webhook_deliveries.record_attempt(
                session, delivery, delivery.attempts, lost, next_attempt_at=None
            )
            record(session, end_of(delivery))
        webhook_deliveries_total.labels(delivery.state, Outcome.LOST.value).inc()
        return True

"""Ends batches whose workflows are over and did not say so: an operator terminated one in Temporal,
or Temporal lost it. Its files' jobs go on by themselves."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.batches import OpenBatch, open_batches, record_state
from db.session import Access
from muniment.contracts.ingest_batch import BatchState
from worker.workflow_ends import LostWork


class LostBatches(LostWork[OpenBatch]):
    failure_message = "search for lost batches failed"

    async def _list_open(
        self, session: AsyncSession, min_age: timedelta, after: UUID | None
    ) -> list[OpenBatch]:
        return await open_batches(session, min_age, after)

    def _id(self, open_one: OpenBatch) -> UUID:
        return open_one.batch_id

    async def _end(self, open_one: OpenBatch) -> bool:
        async with self._database.transaction(Access(open_one.tenant_id)) as session:
            return await record_state(session, open_one.batch_id, BatchState.FAILED)

"""Ends batches whose workflows are over and did not say so: an operator terminated one in Temporal,
or Temporal lost it. Its files' jobs go on by themselves."""

import logging
from datetime import timedelta

from temporalio.client import Client

from db.queries.batches import open_batches, record_state
from db.session import Access, Database
from muniment.contracts.ingest_batch import BatchState
from worker.rounds import go_round
from worker.workflow_ends import is_over, require_namespace

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 300.0
MIN_AGE = timedelta(minutes=1)


class LostBatches:
    """Ending a batch twice changes nothing, so any number of workers may run one."""

    def __init__(
        self,
        database: Database,
        client: Client,
        interval_seconds: float = INTERVAL_SECONDS,
        min_age: timedelta = MIN_AGE,
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._min_age = min_age

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "search for lost batches failed",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Asks Temporal about every batch that was started and has not ended, a hundred at a time;
        how many were lost."""
        await require_namespace(self._client)
        lost, after = 0, None
        while True:
            async with self._database.across_tenants() as session:
                batches = await open_batches(session, self._min_age, after)
            if not batches:
                return lost
            for batch in batches:
                if await is_over(self._client, batch.workflow_id):
                    async with self._database.transaction(Access(batch.tenant_id)) as session:
                        lost += await record_state(session, batch.batch_id, BatchState.FAILED)
            after = batches[-1].batch_id

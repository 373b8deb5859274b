"""A batch whose workflow is gone does not run for ever in everyone's eyes."""

from datetime import timedelta

import pytest
from temporalio.client import Client

from db.models import Batch, new_id
from db.queries.batches import get_batch, mark_batch_started
from db.session import Database
from muniment.contracts.ingest_batch import BatchState, workflow_id
from tests.conftest import TenantFixture
from worker.lost_batches import LostBatches

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_batch_without_its_workflow_ends_as_failed(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    batch_id = new_id()
    async with database.transaction(tenant.system) as session:
        session.add(
            Batch(
                id=batch_id,
                tenant_id=tenant.tenant_id,
                workflow_id=workflow_id(batch_id),
                state=BatchState.RUNNING,
                priority=3,
                total=1,
                requested_by=tenant.principal_id,
            )
        )
        await session.flush()
        await mark_batch_started(session, batch_id, "a run that is gone")
    client = await Client.connect(temporal_address)
    assert await LostBatches(database, client, min_age=timedelta(hours=1)).round() == 0
    assert await LostBatches(database, client, min_age=timedelta(0)).round() >= 1
    async with database.transaction(tenant.system) as session:
        batch = await get_batch(session, batch_id)
    assert batch is not None
    assert (batch.state, batch.finished_at is None) == ("failed", False)

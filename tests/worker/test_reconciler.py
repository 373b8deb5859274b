"""The reconciler: what was committed is started, whatever stands beside it."""

import psycopg
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from db.models import Job, now
from db.session import Database
from tests.conftest import TenantFixture
from tests.worker.jobs import commit_job, row_of
from worker.reconciler import MAX_FAILURES, Reconciler


async def test_jobs_that_cannot_be_started_hold_up_no_other(
    database: Database, tenant: TenantFixture, temporal_address: str, postgres_dsn: str
) -> None:
    # Jobs that other tests committed would come into this one's rounds.
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE job SET started_at = now() WHERE started_at IS NULL")
    broken = [await commit_job(database, tenant, startable=False) for _ in range(MAX_FAILURES)]
    good = await commit_job(database, tenant, startable=True)
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    reconciler = Reconciler(database, client, interval_seconds=1)
    try:
        assert await reconciler.round() == 0
        assert await reconciler.round() == 1
        assert (await row_of(database, good)).started_at
        assert [(await row_of(database, job)).started_at for job in broken] == [None] * MAX_FAILURES
        await client.get_workflow_handle(good.workflow_id).terminate()
    finally:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute("DELETE FROM job WHERE tenant_id = %s", (tenant.tenant_id,))


async def test_a_job_that_has_ended_is_not_started(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    job = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        found = await session.get(Job, job.id)
        assert found is not None
        found.state, found.finished_at = "cancelled", now()
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    assert await Reconciler(database, client, interval_seconds=1).round() == 0
    assert (await row_of(database, job)).started_at is None

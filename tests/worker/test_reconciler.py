"""The reconciler: what was committed is started, whatever stands beside it."""

import psycopg
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from db.models import Job, now
from db.session import Database
from tests.conftest import TenantFixture
from tests.worker.jobs import commit_job, row_of
from worker.reconciler import MAX_FAILURES, Reconciler


def start_all(dsn: str) -> None:
    """Marks jobs that other tests committed as started: they would come into this one's rounds."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE job SET started_at = now() WHERE started_at IS NULL")


async def test_jobs_that_cannot_be_started_hold_up_no_other(
    database: Database, tenant: TenantFixture, temporal_address: str, postgres_dsn: str
) -> None:
    start_all(postgres_dsn)
    broken = [await commit_job(database, tenant, startable=False) for _ in range(MAX_FAILURES)]
    good = await commit_job(database, tenant, startable=True)
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    reconciler = Reconciler(database, client, interval_seconds=1)
    try:
        await reconciler.round()
        assert (await row_of(database, good)).started_at is None
        await reconciler.round()
        assert (await row_of(database, good)).started_at
        assert [(await row_of(database, job)).started_at for job in broken] == [None] * MAX_FAILURES
        await client.get_workflow_handle(good.workflow_id).terminate()
    finally:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute("DELETE FROM job WHERE tenant_id = %s", (tenant.tenant_id,))


async def test_a_job_that_has_ended_is_not_started(
    database: Database, tenant: TenantFixture, temporal_address: str, postgres_dsn: str
) -> None:
    start_all(postgres_dsn)
    job = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        found = await session.get(Job, job.id)
        assert found is not None
        found.state, found.finished_at = "cancelled", now()
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    await Reconciler(database, client, interval_seconds=1).round()
    assert (await row_of(database, job)).started_at is None

"""A viewer that comes back is shown no less than before."""

import asyncio

import httpx
import pytest

from db.session import Database
from muniment.contracts.jobs import JobState
from tests.api.test_events import change_job, opened, take
from tests.api.test_jobs import ingest
from tests.conftest import TenantFixture


async def shown(client: httpx.AsyncClient, job_id: str) -> dict[str, object]:
    job: dict[str, object] = (await client.get(f"/v1/jobs/{job_id}")).json()
    return job


@pytest.mark.usefixtures("worker")
async def test_a_resumed_stream_shows_no_less_than_the_workflow_told(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job_id = await ingest(client)
    async with asyncio.timeout(60):
        while (job := await shown(client, job_id))["stale"]:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)
    assert job["percent"] == 36  # as the workflow has it: the row still says 0
    await change_job(database, tenant.tenant_id, job_id, JobState.RUNNING)
    async with opened(client, f"/v1/jobs/{job_id}/events", "0") as events:
        state = (await take(events, 1))[0]
    assert (state.id, state.event, state.data["percent"]) == ("1", "state", job["percent"])

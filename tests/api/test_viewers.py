"""What many viewers of a job cost Temporal."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import (
    HandleQueryInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from api.events.snapshots import Snapshots
from api.jobs.facts import job_facts
from api.jobs.view import WorkflowLinks
from api.orchestrator import Orchestrator
from db.session import Database
from muniment.contracts import queues
from muniment.payloads import data_converter, load_payload_keys
from tests.api.answering_workflow import AnsweringWorkflow
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_events import opened, read_pages, take
from tests.api.test_jobs import ingest
from tests.conftest import TenantFixture, end_what_runs

VIEWERS = 40
QUERIES: Counter[str] = Counter()
"""How often Temporal handed a query to the worker, by workflow."""


class Counting(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - the SDK's name
        QUERIES[workflow.info().workflow_id] += 1
        return await super().handle_query(input)


class CountingQueries(Interceptor):
    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        return Counting


@pytest.fixture
async def answering(api: ApiProcess, temporal_address: str) -> AsyncIterator[None]:
    """A worker whose workflows answer, and whose queries are counted."""
    converter = data_converter(load_payload_keys(api.home / "keys" / "payload.key"))
    temporal = await Client.connect(temporal_address, data_converter=converter)
    await end_what_runs(temporal)  # else this worker first gets the tasks of all earlier tests
    async with Worker(
        temporal,
        task_queue=queues.WORKFLOWS,
        workflows=[AnsweringWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[CountingQueries()],
    ):
        yield


async def answered_job(client: httpx.AsyncClient) -> dict[str, Any]:
    """A job whose workflow answers."""
    job_id = await ingest(client)
    async with asyncio.timeout(60):
        while True:
            job: dict[str, Any] = (await client.get(f"/v1/jobs/{job_id}")).json()
            if not job["stale"]:
                return job
            await asyncio.sleep(0.1)


@pytest.mark.usefixtures("answering")
async def test_viewers_cost_temporal_one_stream_of_queries_per_process(
    api: ApiProcess,
    api_environment: dict[str, str],
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
) -> None:
    job = await answered_job(client)
    path = f"/v1/jobs/{job['id']}/events"
    second = start_api(api.home, api_environment)
    try:
        async with client_of(second, tenant.api_key) as other, AsyncExitStack() as streams:
            before, started = QUERIES[job["workflow_id"]], time.monotonic()
            viewers = []
            for number in range(VIEWERS):
                where = (client, other)[number % 2]
                events = await streams.enter_async_context(opened(where, path))
                snapshot = (await take(events, 1))[0]
                assert (snapshot.event, snapshot.data["stale"]) == ("snapshot", False)
                viewers.append(events)
            seconds = time.monotonic() - started
            queries = QUERIES[job["workflow_id"]] - before
            # One after another: each process asks twice a second at most, and its viewers share it.
            assert 2 <= queries <= 2 * (1 + 2 * seconds)
            await read_pages(database, tenant.tenant_id, job["id"], 1, 2, 3)
            for events in viewers:
                assert [each.event for each in await take(events, 3)] == ["page"] * 3
            assert QUERIES[job["workflow_id"]] - before == queries
    finally:
        assert await asyncio.to_thread(stop_api, second) == 0


@pytest.mark.usefixtures("answering")
async def test_a_shared_snapshot_is_never_older_than_the_newest_event(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job = await answered_job(client)
    path = f"/v1/jobs/{job['id']}/events"
    for page in range(1, 6):
        await read_pages(database, tenant.tenant_id, job["id"], page)
        for _ in range(2):
            async with opened(client, path) as events:
                assert int((await take(events, 1))[0].id) == page


async def test_who_comes_while_an_older_snapshot_is_taken_gets_one_of_its_own(
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    temporal_address: str,
) -> None:
    """No worker answers the job's workflow, so that the first query takes as long as it may."""
    job_id = UUID(await ingest(client))
    converter = data_converter(load_payload_keys(api.home / "keys" / "payload.key"))
    temporal = Orchestrator(
        await Client.connect(temporal_address, data_converter=converter),
        query_timeout_seconds=2.0,
        view_timeout_seconds=2.0,
    )
    links = WorkflowLinks(None, "default")
    snapshots = Snapshots(database, temporal, links)
    first = await job_facts(database, links, tenant.system, job_id)
    running = asyncio.create_task(snapshots.take(first))
    await read_pages(database, tenant.tenant_id, str(job_id), 1)
    second = await job_facts(database, links, tenant.system, job_id)
    assert not running.done()
    assert (await snapshots.take(second)).seq == second.record.event_seq
    assert (await running).seq == first.record.event_seq < second.record.event_seq

"""Commands to what was committed while Temporal was away, and which nobody has started since."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.batch.activity import Batches
from db.session import Database
from muniment.contracts import queues
from muniment.payloads import data_converter, load_payload_keys
from tests.api.answering_workflow import AnsweringWorkflow
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.conftest import TenantFixture, end_what_runs, free_port
from workflows.ingest_batch import IngestBatch


@pytest.fixture
async def worker(api: ApiProcess, temporal_address: str, database: Database) -> AsyncIterator[None]:
    converter = data_converter(load_payload_keys(api.home / "keys" / "payload.key"))
    client = await Client.connect(temporal_address, data_converter=converter)
    activities = Batches(database)
    await end_what_runs(client)  # else this worker first gets the tasks of all earlier tests
    async with Worker(
        client,
        task_queue=queues.WORKFLOWS,
        workflows=[IngestBatch, AnsweringWorkflow],
        activities=[activities.admit_files, activities.watch_jobs, activities.record_batch],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield


async def answered(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The first answer but 503, which a workflow that has yet to run its first task may cause."""
    async with asyncio.timeout(90):
        while (answer := await client.post(path)).status_code == 503:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)
    return answer


@pytest.mark.usefixtures("worker")
async def test_a_command_starts_what_was_never_started(
    api_environment: dict[str, str],
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    tmp_path: Path,
) -> None:
    environment = {**api_environment, "MUNIMENT_TEMPORAL__ADDRESS": f"127.0.0.1:{free_port()}"}
    without_temporal = await asyncio.to_thread(start_api, tmp_path / "home", environment)
    try:
        async with client_of(without_temporal, tenant.api_key) as early:
            file = (await early.post("/v1/files?name=a.txt", content=b"committed")).json()
            made = await early.post("/v1/batches", json={"files": [file["id"]]})
            job, batch = f"/v1/jobs/{file['job']['id']}", f"/v1/batches/{made.json()['id']}"
            assert (await early.post(f"{job}/pause")).status_code == 503
            assert (await early.post(f"{batch}/pause")).status_code == 503
    finally:
        assert await asyncio.to_thread(stop_api, without_temporal) == 0
    for place in (job, batch):
        paused = await answered(client, f"{place}/pause")
        assert (paused.status_code, paused.json()["state"]) == (200, "paused"), paused.text

"""A job that waits behind others is shown as at its beginning: neither as stale nor as in trouble."""

import asyncio

import httpx
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.heartbeats import heartbeats
from muniment.contracts import queues
from muniment.contracts.base import VersionReference
from muniment.contracts.scan import ScanResult
from muniment.payloads import data_converter, load_payload_keys
from tests.api.conftest import ApiProcess
from tests.conftest import end_what_runs
from workflows.ingest_file import IngestFile


async def test_a_job_behind_others_waits_without_being_called_stale(
    api: ApiProcess, client: httpx.AsyncClient, temporal_address: str
) -> None:
    began: list[str] = []

    @activity.defn(name="scan_for_malware")
    async def takes_long(version: VersionReference) -> ScanResult:
        began.append(str(version.job_id))
        async with heartbeats():
            await asyncio.sleep(600)
        raise AssertionError("the worker ends before")

    converter = data_converter(load_payload_keys(api.home / "keys" / "payload.key"))
    temporal = await Client.connect(temporal_address, data_converter=converter)
    await end_what_runs(temporal)  # else the one slot goes to what earlier tests left
    workflows = Worker(
        temporal,
        task_queue=queues.WORKFLOWS,
        workflows=[IngestFile],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    one_slot = Worker(
        temporal,
        task_queue=queues.SCAN,
        activities=[takes_long],
        max_concurrent_activities=1,
    )
    async with workflows, one_slot:
        at_work = await _ingest(client, "first.txt")
        async with asyncio.timeout(120):
            while began != [at_work]:  # noqa: ASYNC110 - filled by another thread's loop
                await asyncio.sleep(0.05)
        waiting = [await _ingest(client, f"{number}.txt") for number in range(2)]
        for job_id in waiting:
            job = await _answered_by_its_workflow(client, job_id)
            assert job["state"] in ("queued", "running"), job
            assert (job["stage"], job["percent"], job["error"]) == ("scan", 0, None)
            assert (job["eta_seconds"], job["finished_at"]) == (None, None)
            assert not any(stage["done"] or stage["error"] for stage in job["stages"])
        listed = (await client.get("/v1/jobs", params={"state": "queued"})).json()["data"]
        assert {(each["id"], each["stale"]) for each in listed} >= {
            (job_id, False) for job_id in waiting
        }
        assert began == [at_work]
        await end_what_runs(temporal)


async def _ingest(client: httpx.AsyncClient, name: str) -> str:
    answer = await client.post(f"/v1/files?name={name}", content=name.encode())
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job"]["id"])


async def _answered_by_its_workflow(client: httpx.AsyncClient, job_id: str) -> dict[str, object]:
    """The job once its workflow answers for it: the first workflow task takes a moment."""
    async with asyncio.timeout(60):
        while True:
            job: dict[str, object] = (await client.get(f"/v1/jobs/{job_id}")).json()
            if not job["stale"] and job["stage"] is not None:
                return job
            await asyncio.sleep(0.1)

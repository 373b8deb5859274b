"""Commands to what was committed while Temporal was away, and which nobody has started since."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import client_of, start_api, stop_api
from tests.conftest import TenantFixture, free_port


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

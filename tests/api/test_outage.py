"""The API while Temporal is away: what can be served is served, and health says what cannot."""

import asyncio
from pathlib import Path

import httpx

from tests.api.conftest import client_of, start_api, stop_api
from tests.conftest import TenantFixture, free_port


async def test_without_temporal_uploads_are_taken_in_and_health_is_503(
    api_environment: dict[str, str], tmp_path: Path, tenant: TenantFixture
) -> None:
    environment = {
        **api_environment,
        "MUNIMENT_TEMPORAL__ADDRESS": f"127.0.0.1:{free_port()}",
        "MUNIMENT_API__METRICS_PORT": str(metrics_port := free_port()),
    }
    api = start_api(tmp_path / "home", environment)
    try:
        async with client_of(api, tenant.api_key) as client:
            answer = await client.post("/v1/files?name=a.txt", content=b"committed")
            assert answer.status_code == 202
            job = (await client.get(f"/v1/jobs/{answer.json()['job']['id']}")).json()
            assert (job["state"], job["stale"]) == ("queued", True)
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            states = {each["name"]: each["state"] for each in ready.json()["dependencies"]}
            assert (states["temporal"], states["database"]) == ("down", "ok")
            cancel = await client.post(f"/v1/jobs/{job['id']}/cancel")
            assert cancel.status_code == 503
            assert (await client.get("/metrics")).status_code == 404
        async with httpx.AsyncClient(trust_env=False, timeout=60) as scraper:
            own = await scraper.get(f"http://127.0.0.1:{metrics_port}/metrics")
            assert "muniment_http_requests_total" in own.text
    finally:
        assert await asyncio.to_thread(stop_api, api) == 0

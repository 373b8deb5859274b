"""A worker's own `/metrics`, which is there from its start."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from muniment.errors import ConfigurationError
from tests.conftest import REPOSITORY, free_port
from worker.metrics import serve_metrics


async def test_a_worker_serves_its_metrics_while_it_waits_for_what_it_needs(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}/metrics"
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none",
        "MUNIMENT_TEMPORAL__ADDRESS": f"127.0.0.1:{free_port()}",
        "MUNIMENT_OBJECTS__ROOT": str(tmp_path / "objects"),
        "MUNIMENT_KEYS__ROOT": str(tmp_path / "keys"),
        "MUNIMENT_WORKER__METRICS_PORT": str(port),
    }
    command = [sys.executable, "-m", "worker", "--queues", "muniment"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(120):
            text = await _text(address)
            assert "muniment_stage_seconds" in text
            assert "muniment_jobs_total" in text
            process.send_signal(signal.SIGTERM)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _text(address: str) -> str:
    """What is served, once it is."""
    async with httpx.AsyncClient() as scraper:
        while True:
            try:
                return (await scraper.get(address)).raise_for_status().text
            except httpx.TransportError:
                await asyncio.sleep(0.1)


def test_a_port_that_another_worker_has_is_named_with_what_to_do() -> None:
    port = free_port()
    serve_metrics("127.0.0.1", port)
    with pytest.raises(ConfigurationError, match=str(port)) as refused:
        serve_metrics("127.0.0.1", port)
    assert "MUNIMENT_WORKER__METRICS_PORT" in refused.value.remedy

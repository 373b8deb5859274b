"""A worker of the GPU queue that joins a Ray which others run, and leaves it running."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from muniment.contracts import queues
from tests.conftest import REPOSITORY
from tests.workflows.documents import dense_scan
from tests.workflows.test_gpu_queue import page_events, routed
from tests.workflows.test_ray_lost import (
    END_SECONDS,
    ray_processes,
    start,
    until_polling,
    until_read_on_the_gpu_queue,
)
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1_200)]

PAGES = 4


@contextmanager
def cluster(token: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A Ray of somebody else's, that asks for the token; its process and its address."""
    # Sockets lie in it, whose paths may have no more than 107 characters.
    with tempfile.TemporaryDirectory(prefix="muniment-ray-", ignore_cleanup_errors=True) as folder:
        node = subprocess.Popen(
            [
                *(sys.executable, "-m", "worker.ray_node", "--folder", folder),
                *("--cpus", "1", "--gpus", "0", "--object-store-bytes", str(100 * 1024**2)),
            ],
            cwd=REPOSITORY,
            env={**os.environ, **authentication(token), "ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert node.stdout is not None
            address = node.stdout.readline().decode().strip()
            assert address, "Ray did not start"
            yield node, address
        finally:
            try:
                node.communicate(timeout=END_SECONDS)  # its input's end is what it ends with
            finally:
                node.kill()
                node.wait()


def authentication(token: str) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


async def test_a_worker_joins_the_cluster_at_its_address_and_leaves_it_running(
    workshop: Workshop, owner: TenantIds, temporal_address: str, tmp_path: Path
) -> None:
    log, token = tmp_path / "worker.jsonl", secrets.token_hex(32)
    with cluster(token) as (node, address):
        joining = {"MUNIMENT_RAY__ADDRESS": address, **authentication(token)}
        worker = start(workshop, temporal_address, log, **joining)
        try:
            await until_polling(log, worker)
            assert ray_processes(worker) == [], "it started a Ray of its own"
            job = await workshop.upload(owner, dense_scan(PAGES), "scan.pdf", "application/pdf")
            async with workshop.working(replacing=[routed(workshop, 60.0)]):
                handle = await workshop.start(job)
                await until_read_on_the_gpu_queue(workshop, job)
                async with asyncio.timeout(300):
                    await handle.result()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=END_SECONDS) == 0
            assert node.poll() is None, "it took the cluster with it"
        finally:
            worker.kill()
            worker.wait()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.pages_failed) == ("completed", PAGES, 0)
    assert queues.OCR_GPU in {queue for *_, queue in await page_events(workshop, job)}
    assert token not in log.read_text(encoding="utf-8")

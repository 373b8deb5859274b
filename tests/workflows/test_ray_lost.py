"""A worker of the GPU queue as a process, with a Ray of its own: what it tells Ray, and its loss."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from db.models import Job
from muniment.contracts import queues
from tests.conftest import REPOSITORY
from tests.workflows.documents import dense_scan
from tests.workflows.test_gpu_queue import page_events, routed
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1_200)]

START_SECONDS = 120
END_SECONDS = 180
PAGES = 8
"""More than the replicas hold at once: when Ray is lost, some are still to be read."""


def start(workshop: Workshop, address: str, log: Path, **more: str) -> "subprocess.Popen[bytes]":
    """The worker's process; `more` are variables of its environment besides."""
    settings = workshop.settings
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": settings.database.url.get_secret_value(),
        "MUNIMENT_TEMPORAL__ADDRESS": address,
        "MUNIMENT_OBJECTS__ROOT": str(settings.objects.root),
        "MUNIMENT_KEYS__ROOT": str(settings.keys.root),
        "MUNIMENT_RAY__OBJECT_STORE_BYTES": str(100 * 1024**2),
        "MUNIMENT_RAY__BATCH_SIZE": "1",
        "MUNIMENT_RAY__MAX_ONGOING_REQUESTS": "2",
        **more,
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "worker", "--queues", queues.OCR_GPU],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=output,
        )


def ray_processes(worker: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The Ray node that the worker started, and all that it started."""
    for child in psutil.Process(worker.pid).children():
        if "worker.ray_node" in child.cmdline():
            return [child, *child.children(recursive=True)]
    return []


async def until_polling(log: Path, worker: "subprocess.Popen[bytes]") -> None:
    for _ in range(10 * START_SECONDS):
        assert worker.poll() is None, log.read_text(encoding="utf-8")[-3000:]
        if '"polling"' in log.read_text(encoding="utf-8"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8")[-3000:])


async def until_read_on_the_gpu_queue(workshop: Workshop, job: Job) -> None:
    """Returns once Ray has read a page: others may have been read by the CPU queue before."""
    async with asyncio.timeout(300):
        while True:
            if queues.OCR_GPU in {queue for *_, queue in await page_events(workshop, job)}:
                return
            await asyncio.sleep(0.1)


async def test_when_ray_is_lost_the_cpu_queue_goes_on_and_the_worker_ends(
    workshop: Workshop, owner: TenantIds, temporal_address: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.jsonl"
    worker = start(workshop, temporal_address, log)
    try:
        await until_polling(log, worker)
        ray = ray_processes(worker)
        assert ray
        told = [name for process in ray for name in process.environ() if name.startswith("MUNIM")]
        assert told == [], "Ray's processes know our settings"
        job = await workshop.upload(owner, dense_scan(PAGES), "scan.pdf", "application/pdf")
        async with workshop.working(replacing=[routed(workshop, 3.0)]):
            handle = await workshop.start(job)
            await until_read_on_the_gpu_queue(workshop, job)
            for process in ray_processes(worker):
                process.kill()
            async with asyncio.timeout(300):
                await handle.result()
        assert worker.wait(timeout=END_SECONDS) == 1
    finally:
        worker.kill()
        worker.wait()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.pages_failed) == ("completed", PAGES, 0)
    told = await page_events(workshop, job)
    assert sorted((page, state) for page, state, _ in told) == [
        (page, "completed") for page in range(1, PAGES + 1)
    ], "read twice, told of twice, or not at all"
    assert {queue for *_, queue in told} == {queues.OCR_GPU, queues.OCR_CPU}
    assert "charter" not in log.read_text(encoding="utf-8")

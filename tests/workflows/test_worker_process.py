"""The worker as a process: it starts what was left behind, and dies without losing work."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from muniment.contracts import queues
from muniment.stores import open_stores
from tests.conftest import REPOSITORY
from tests.patience import on_a_busy_machine
from tests.workflows.documents import TEXT, dense_scan
from tests.workflows.test_rotate_keys import ONLY, newest, rotating, rotation
from tests.workflows.test_verify_integrity import rows, store, verification
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEEPING = (queues.WORKFLOWS, queues.VERIFY)
"""A worker of these needs no engines, which take a while to load."""
LOOKED_AT = "blob WHERE verified_at IS NOT NULL"


def _start(
    workshop: Workshop,
    address: str,
    log: Path,
    names: Sequence[str] = ALL_QUEUES,
    **settings_of_test: str,
) -> "subprocess.Popen[bytes]":
    settings = workshop.settings
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": settings.database.url.get_secret_value(),
        "MUNIMENT_TEMPORAL__ADDRESS": address,
        "MUNIMENT_OBJECTS__ROOT": str(settings.objects.root),
        "MUNIMENT_KEYS__ROOT": str(settings.keys.root),
        "MUNIMENT_WORKER__CPU_SLOTS": "2",
        "MUNIMENT_WORKER__RECONCILE_SECONDS": "1",
        # Schedules would outlive the test, and start their workflows among those of others.
        "MUNIMENT_INTEGRITY__INTERVAL_HOURS": "0",
        "MUNIMENT_LEXICAL__MERGE_MINUTES": "0",
        **settings_of_test,
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "worker", "--queues", ",".join(names)],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=output,
        )


async def test_a_killed_worker_loses_nothing_and_a_told_one_ends_in_order(
    workshop: Workshop, owner: TenantIds, temporal_address: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.jsonl"
    # Committed and never started, as when the API dies in between.
    left_behind = await workshop.upload(owner, dense_scan(6), "scan.pdf", "application/pdf")
    process = _start(workshop, temporal_address, log)
    try:
        await workshop.until_pages(left_behind, 1)
        process.kill()
        process.wait()
        done = (await workshop.job(left_behind)).pages_done
        process = _start(workshop, temporal_address, log)
        handle = workshop.client.get_workflow_handle(left_behind.workflow_id)
        async with asyncio.timeout(300):
            await handle.result()
        row = await workshop.job(left_behind)
        assert (row.state, row.pages_done, row.pages_failed) == ("completed", 6, 0)
        assert row.started_at is not None
        events = await workshop.events(left_behind)
        read = [
            event.payload["page"]
            for event in events
            if event.event == "page" and event.payload["state"] == "completed"
        ]
        assert sorted(read) == [1, 2, 3, 4, 5, 6], "a page was read twice, or not at all"
        assert done >= 1
        retries = [event.payload["reason"] for event in events if event.event == "retry"]
        assert "worker-lost" in retries
        last = await workshop.upload(owner, TEXT)
        await (await workshop.start(last)).result()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, log.read_text(encoding="utf-8")[-2000:]
    finally:
        process.kill()
        process.wait()
    assert "Charter" not in log.read_text(encoding="utf-8")


async def test_a_verification_goes_on_where_its_killed_worker_ended(
    workshop: Workshop, owner: TenantIds, temporal_address: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.jsonl"
    # A batch of a hundred, and one of thirty that takes long enough to be killed in.
    await store(workshop, owner, 100, size=16 * 1024)
    await store(workshop, owner, 30, size=128 * 1024)
    everything = {
        "MUNIMENT_INTEGRITY__ROTATION_DAYS": "1",
        "MUNIMENT_INTEGRITY__BYTES_PER_SECOND": str(1024 * 1024),
    }
    process = _start(workshop, temporal_address, log, KEEPING, **everything)
    try:
        running = await verification(workshop, owner)
        async with asyncio.timeout(on_a_busy_machine(60)):
            while len(await rows(workshop, owner, LOOKED_AT)) < 100:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.1)
        process.kill()
        process.wait()
        first = await rows(workshop, owner, LOOKED_AT)
        assert len(first) == 100
        process = _start(workshop, temporal_address, log, KEEPING, **everything)
        async with asyncio.timeout(on_a_busy_machine(100)):
            await running.result()
        kept = {row["id"]: row["verified_at"] for row in await rows(workshop, owner, LOOKED_AT)}
        assert len(kept) == 130
        assert {row["id"]: kept[row["id"]] for row in first} == {
            row["id"]: row["verified_at"] for row in first
        }
        [run] = await rows(workshop, owner, "integrity_run")
        assert (run["state"], run["blobs"], run["faults_found"]) == ("completed", 130, 0)
    finally:
        process.kill()
        process.wait()


async def test_a_worker_killed_in_mid_rotation_loses_no_key(
    workshop: Workshop, owner: TenantIds, temporal_address: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.jsonl"
    blobs = workshop.stores.blobs
    contents = [b"%d" % number for number in range(300)]
    made = await asyncio.gather(*(blobs.put_bytes(owner.tenant_id, each) for each in contents))
    process = _start(workshop, temporal_address, log, KEEPING)
    try:
        running = await rotation(workshop, owner)
        async with asyncio.timeout(on_a_busy_machine(120)):
            while not (before := await newest(workshop, owner))["keys_rewrapped"]:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.01)
        process.kill()
        process.wait()
        assert before["keys_rewrapped"] < len(made)
        # Nothing is remembered: the wrapped keys themselves are read.
        unremembered = open_stores(workshop.settings).blobs
        for blob in made:
            assert await unremembered.read_all(owner.tenant_id, blob.blob_id, blob.size)
    finally:
        process.kill()
        process.wait()
    # Another one goes on, and does not wait an hour between the rounds.
    async with (
        workshop.working(replacing=rotating(workshop), names=ONLY),
        asyncio.timeout(on_a_busy_machine(120)),
    ):
        await running.result()
    row = await newest(workshop, owner)
    assert (row["state"], row["to_version"], row["keys_unreadable"]) == ("completed", 2, 0)
    fresh = open_stores(workshop.settings).blobs
    for content, blob in zip(contents, made, strict=True):
        assert await fresh.read_all(owner.tenant_id, blob.blob_id, blob.size) == content

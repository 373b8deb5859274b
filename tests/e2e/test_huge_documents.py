"""A document of two thousand pages on a real stack: no process grows beyond its limit, it can be
paused at any page, a killed worker costs the batches it was at, and the time left is told honestly."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest
from temporalio.client import Client

from muniment.contracts.read import ReadBatchInput
from muniment.payloads import data_converter, load_payload_keys
from muniment.stores import PAYLOAD_KEY_FILE
from tests.stack import Stack, running_stack, wait_for
from tests.workflows.documents import long_pdf
from workflows import policies

PAGES = 2_000
SCANNED = frozenset(range(40, PAGES, 80))
TORN = 777
MAX_RESIDENT_BYTES = 1_000_000_000
MOST_AT_WORK = min(policies.WINDOW, 3 * (os.cpu_count() or 1))
"""Batches of one document: the worker's slots for parsing, as many again for calls that run long, and
those for OCR."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_400)]


class Watching:
    """The most memory that each process of the stack held, by its command."""

    def __init__(self, stack: Stack) -> None:
        self._root = stack.pid("supervisor")
        self._ended = Event()
        self._thread = Thread(target=self._watch)
        self.resident: Counter[str] = Counter()

    def __enter__(self) -> "Watching":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for pid in list(_descendants(self._root)):
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                except (OSError, IndexError):
                    continue
                name = f"{pid} {command.decode(errors='replace')[:80]}"
                held = pages * os.sysconf("SC_PAGE_SIZE")
                self.resident[name] = max(self.resident[name], held)


def _descendants(root: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += parents.get(pid, [])


def test_two_thousand_pages(tmp_path: Path) -> None:
    path = tmp_path / "huge.pdf"
    path.write_bytes(long_pdf(PAGES, SCANNED, TORN))
    with running_stack(tmp_path / "home") as stack, stack.client() as client:
        with Watching(stack) as watching:
            began = time.monotonic()
            file = stack.upload(client, path)
            job_id = file["job"]["id"]  # type: ignore[index] # JSON

            def pages_done() -> int:
                return int(client.get(f"/v1/jobs/{job_id}").json()["pages"]["done"])

            wait_for(lambda: pages_done() >= 600, timeout_seconds=600, what="page 600")
            paused = client.post(f"/v1/jobs/{job_id}/pause")
            assert paused.status_code == 200, paused.text
            assert paused.json()["eta_seconds"] is None
            time.sleep(20)  # what is at work is finished: an OCR batch and a text batch a core
            stopped_at = pages_done()
            time.sleep(5)
            assert pages_done() == stopped_at
            assert client.post(f"/v1/jobs/{job_id}/resume").status_code == 200
            estimates: list[tuple[float, float]] = []

            def note(least: int) -> bool:
                job = client.get(f"/v1/jobs/{job_id}").json()
                if job["eta_seconds"] is not None:
                    estimates.append((time.monotonic(), job["eta_seconds"]))
                return bool(job["pages"]["done"] >= least)

            wait_for(lambda: note(1_500), timeout_seconds=600, what="page 1,500")
            killed_at = time.monotonic()
            stack.kill("worker-cpu")
            job = _followed_to_its_end(stack, client, job_id, estimates)
            ended = time.monotonic()
        assert job["state"] == "completed"
        assert job["pages"] == {"total": PAGES, "done": PAGES - 1, "failed": 1, "reused": 0}
        events = _page_events(stack, job_id)
        batches = asyncio.run(_batches(stack, job_id))
    assert sorted(events) == list(range(1, PAGES + 1))  # nothing is told twice
    _assert_read_once_but_for_the_worker_lost(batches)
    figures = {name: round(held / 1e6) for name, held in watching.resident.most_common(6)}
    print(f"{ended - began:.0f} s, killed after {killed_at - began:.0f} s, MB: {figures}")
    for moment, left in estimates[:: max(1, len(estimates) // 20)]:
        print(f"eta after {moment - began:5.0f} s: {left:6.1f} s; took {ended - moment:6.1f} s")
    assert max(watching.resident.values()) < MAX_RESIDENT_BYTES


def _followed_to_its_end(
    stack: Stack, client: object, job_id: object, estimates: list[tuple[float, float]]
) -> dict[str, object]:
    import httpx

    assert isinstance(client, httpx.Client)

    def over() -> dict[str, object] | None:
        job: dict[str, object] = client.get(f"/v1/jobs/{job_id}").json()
        if isinstance(job["eta_seconds"], float):
            estimates.append((time.monotonic(), job["eta_seconds"]))
        return job if job["state"] in ("completed", "failed", "cancelled") else None

    return wait_for(over, timeout_seconds=900, what="the end", pause_seconds=0.5)


@dataclass(frozen=True)
class BatchRead:
    """A batch as Temporal's history tells it: how often it was begun, and whether it was read to its end
    (one that came up in a pause was not, and was scheduled again)."""

    pages: range
    attempts: int
    is_read: bool


def _assert_read_once_but_for_the_worker_lost(batches: list[BatchRead]) -> None:
    read = [page for batch in batches if batch.is_read for page in batch.pages]
    assert sorted(read) == list(range(1, PAGES + 1))
    repeated = [batch for batch in batches if batch.attempts > 1]
    print(f"begun again after the kill: {[batch.pages for batch in repeated]}")
    assert 1 <= len(repeated) <= MOST_AT_WORK
    assert max(batch.attempts for batch in repeated) == 2
    assert max(len(batch.pages) for batch in repeated) <= policies.TEXT_BATCH_PAGES


async def _batches(stack: Stack, job_id: object) -> list[BatchRead]:
    """All batches of the job, of whichever child workflow."""
    keys = load_payload_keys(Path(stack.endpoints["keys"]) / PAYLOAD_KEY_FILE)
    client = await Client.connect(stack.endpoints["temporal"], data_converter=data_converter(keys))
    with stack.database() as connection:
        row = connection.execute(
            "SELECT version_id FROM job WHERE id = %s", (str(job_id),)
        ).fetchone()
    assert row is not None
    found = []
    for first_page in range(1, PAGES + 1, policies.CHILD_PAGES):
        found += await _batches_of_child(client, f"read-{row[0]}-{job_id}-{first_page}")
    return found


async def _batches_of_child(client: Client, workflow_id: str) -> list[BatchRead]:
    asked: dict[int, ReadBatchInput] = {}
    attempts: dict[int, int] = {}
    read: set[int] = set()
    for event in (await client.get_workflow_handle(workflow_id).fetch_history()).events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            (request,) = await client.data_converter.decode(payloads, [ReadBatchInput])
            asked[event.event_id] = request
        elif event.HasField("activity_task_started_event_attributes"):
            started = event.activity_task_started_event_attributes
            attempts[started.scheduled_event_id] = started.attempt
        elif event.HasField("activity_task_completed_event_attributes"):
            read.add(event.activity_task_completed_event_attributes.scheduled_event_id)
    return [
        BatchRead(
            range(request.first_page, request.last_page + 1),
            attempts.get(scheduled, 0),
            scheduled in read,
        )
        for scheduled, request in asked.items()
    ]


def _page_events(stack: Stack, job_id: object) -> list[int]:
    with stack.database() as connection:
        rows = connection.execute(
            "SELECT (payload ->> 'page')::int FROM job_event WHERE job_id = %s AND event = 'page'",
            (str(job_id),),
        ).fetchall()
    return [row[0] for row in rows]

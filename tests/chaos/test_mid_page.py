"""Blows while a page is being recognised: the right result, and nothing twice."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.chaos.accounts import Account, account, event_sequence, stored
from tests.chaos.processes import an_engine_at_work, engines, templates
from tests.chaos.viewer import Viewer
from tests.patience import on_a_busy_machine
from tests.stack import Stack, wait_for
from tests.workflows.documents import dense_scan, scanned_pdf

PAGES = 6
CANCEL_SECONDS = 3
PAGES_OF_A_MINUTE = 30
"""Pages of A4 that take two engines far longer than a cancellation, however busy the machine is."""
PAUSE_SECONDS = 4
OUTAGE_SECONDS = 20
LEFT_BY_A_KILL = 6
"""Blobs that a killed process may have sealed without coming to their rows; the sweep takes them."""

pytestmark = pytest.mark.timeout(900)


def scan(mark: str) -> bytes:
    """Pages of a dense scan. Read alike whatever the mark, and never found as read before."""
    pages = [
        "\n".join(f"Page {page}, line {line} of the borough charter" for line in range(9))
        for page in range(1, PAGES + 1)
    ]
    return scanned_pdf(pages, width=827, height=440) + f"\n% {mark}\n".encode()


class Run:
    """One scan on its way, watched by somebody."""

    def __init__(
        self,
        stack: Stack,
        client: httpx.Client,
        mark: str,
        folder: Path,
        content: bytes | None = None,
    ) -> None:
        path = folder / f"{mark}.pdf"
        path.write_bytes(content or scan(mark))
        self.stack, self.client = stack, client
        file = stack.upload(client, path)
        self.file_id = file["id"]
        self.job_id = file["job"]["id"]  # type: ignore[index] # JSON
        self.seen_engines: set[psutil.Process] = set()

    def until_in_the_middle_of_a_page(self, viewer: Viewer) -> psutil.Process:
        """An engine that is at work on a page after the first one was read."""
        wait_for(lambda: viewer.pages, timeout_seconds=180, what="a page", pause_seconds=0.02)
        engine = an_engine_at_work(self.stack)
        self.seen_engines |= {*engines(self.stack), *templates(self.stack)}
        return engine

    def until_it_stands_still(self, viewer: Viewer) -> None:
        """It is paused, and every event of what ended before has arrived."""

        def still() -> bool:
            told = list(viewer.ids)
            time.sleep(3)
            return viewer.ids == told and self.job()["state"] == "paused"

        wait_for(still, timeout_seconds=120, what="the events to cease")

    def job(self) -> dict[str, object]:
        job: dict[str, object] = self.client.get(f"/v1/jobs/{self.job_id}").json()
        return job

    def finished(self, timeout_seconds: float = 150) -> dict[str, object]:
        return self.stack.finished_job(self.client, self.job_id, timeout_seconds=timeout_seconds)

    def account(self) -> Account:
        return account(self.stack, self.client, self.file_id, self.job_id)


@pytest.fixture(scope="module")
def calm(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """What an undisturbed run ends with."""
    with stack.client() as client:
        run = Run(stack, client, "calm", tmp_path_factory.mktemp("calm"))
        with Viewer(stack, run.job_id) as viewer:
            assert run.finished()["state"] == "completed"
            assert viewer.ended.wait(60)
        found = run.account()
    assert len(found.pages) == PAGES
    assert set(found.page_events.values()) == {1}
    assert stored(stack).without_row == frozenset()
    return found


Blow = Callable[[Stack, psutil.Process], None]


def kill(process: str) -> Blow:
    def blow(stack: Stack, _: psutil.Process) -> None:
        assert stack.kill_all(process)

    return blow


def kill_template(stack: Stack, _: psutil.Process) -> None:
    for template in templates(stack):
        template.kill()


def kill_engine(_: Stack, engine: psutil.Process) -> None:
    engine.kill()


def stop_temporal(stack: Stack, _: psutil.Process) -> None:
    pid = stack.pid("temporal")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(OUTAGE_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)


BLOWS: dict[str, Blow] = {
    "engine": kill_engine,
    "template": kill_template,
    "worker-cpu": kill("worker-cpu"),
    "worker-io": kill("worker-io"),
    "api": kill("api"),
    "temporal": kill("temporal"),
    "postgres": kill("postgres"),
    "temporal stopped": stop_temporal,
}
TELLING = {"template", "worker-cpu"}
"""Those of the default run; all processes are killed there by test_kill.py too, in one go."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in TELLING)) for name in BLOWS],
)
def test_a_blow_in_the_middle_of_a_page_loses_and_doubles_nothing(
    stack: Stack, calm: Account, tmp_path: Path, name: str
) -> None:
    before = stored(stack).without_row
    with stack.client() as client:
        run = Run(stack, client, name.replace(" ", "-"), tmp_path)
        with Viewer(stack, run.job_id) as viewer:
            engine = run.until_in_the_middle_of_a_page(viewer)
            BLOWS[name](stack, engine)
            job = run.finished()
            assert viewer.ended.wait(60)
        assert job["state"] == "completed", job["error"]
        assert not job["degraded"]
        assert run.account() == calm
    check_the_viewer(stack, run, viewer)
    check_what_is_left(stack, run)
    assert len(stored(stack).without_row - before) <= LEFT_BY_A_KILL


def check_the_viewer(stack: Stack, run: Run, viewer: Viewer) -> None:
    """No event was left out or came twice, and what was told never fell."""
    sequence = event_sequence(stack, run.job_id)
    assert sequence == list(range(1, len(sequence) + 1))
    assert viewer.ids == list(range(viewer.first_id + 1, len(sequence) + 1))
    assert viewer.percents == sorted(viewer.percents)
    assert viewer.refusals == []


def check_what_is_left(stack: Stack, run: Run) -> None:
    """No engine outlives its call, and every row's content is there."""
    wait_for(lambda: not engines(stack), timeout_seconds=60, what="the engines to be gone")
    for process in run.seen_engines - set(templates(stack)):
        with suppress(psutil.NoSuchProcess):
            assert process.status() == psutil.STATUS_ZOMBIE, f"{process} lives on"
    found = stored(stack)
    assert found.without_object == frozenset()
    assert found.half_written <= 2


def test_a_pause_lets_the_page_end_and_begins_no_other(
    stack: Stack, calm: Account, tmp_path: Path
) -> None:
    orphans = stored(stack).without_row
    with stack.client() as client:
        run = Run(stack, client, "paused", tmp_path)
        with Viewer(stack, run.job_id) as viewer:
            run.until_in_the_middle_of_a_page(viewer)
            assert client.post(f"/v1/jobs/{run.job_id}/pause").status_code == 200
            wait_for(lambda: not engines(stack), timeout_seconds=60, what="what runs to end")
            run.until_it_stands_still(viewer)
            told = list(viewer.pages)
            time.sleep(PAUSE_SECONDS)
            assert not engines(stack), "something began in the pause"
            assert run.job()["state"] == "paused"
            assert viewer.pages == told
            assert client.post(f"/v1/jobs/{run.job_id}/resume").status_code == 200
            assert run.finished()["state"] == "completed"
            assert viewer.ended.wait(60)
        found = run.account()
    assert (found.pages, found.chunks) == (calm.pages, calm.chunks)
    assert (found.results, found.outputs) == (calm.results, calm.outputs)
    assert found.page_events == calm.page_events
    check_the_viewer(stack, run, viewer)
    check_what_is_left(stack, run)
    assert stored(stack).without_row == orphans


def test_a_cancellation_ends_the_engine_long_before_its_work_is_done(
    stack: Stack, tmp_path: Path
) -> None:
    orphans = stored(stack).without_row
    with stack.client() as client:
        content = dense_scan(PAGES_OF_A_MINUTE) + b"\n% cancelled\n"
        run = Run(stack, client, "cancelled", tmp_path, content)
        with Viewer(stack, run.job_id) as viewer:
            engine = run.until_in_the_middle_of_a_page(viewer)
            seconds = on_a_busy_machine(CANCEL_SECONDS)
            began = time.monotonic()
            assert client.post(f"/v1/jobs/{run.job_id}/cancel").status_code == 200
            wait_for(lambda: not engines(stack), timeout_seconds=seconds, what="free slots")
            assert not engine.is_running()
            left = seconds - (time.monotonic() - began)
            assert run.finished(left)["state"] == "cancelled"
            assert viewer.ended.wait(60)
    check_the_viewer(stack, run, viewer)
    check_what_is_left(stack, run)
    assert stored(stack).without_row == orphans

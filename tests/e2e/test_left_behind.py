"""What an API process that is killed leaves behind: jobs that are started all the same."""

import os
import signal
from pathlib import Path

import httpx

from muniment.settings import WorkerSettings
from tests.api.conftest import start_api
from tests.conftest import free_port
from tests.stack import Stack, wait_for
from worker.reconciler import MIN_AGE

LONGEST_WAIT_SECONDS = 10


def test_what_was_left_behind_waits_for_ten_seconds_at_most() -> None:
    assert MIN_AGE.total_seconds() + WorkerSettings().reconcile_seconds <= LONGEST_WAIT_SECONDS


def test_a_job_whose_api_was_killed_before_the_start_is_started_by_the_reconciler(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    environment = {
        "MUNIMENT_DATABASE__URL": stack.endpoints["database"].replace("muniment@", "muniment_app@"),
        "MUNIMENT_OBJECTS__ROOT": str(stack.home / "objects"),
        "MUNIMENT_KEYS__ROOT": str(stack.home / "keys"),
        # Nobody listens there: this process commits, and cannot start what it committed.
        "MUNIMENT_TEMPORAL__ADDRESS": f"127.0.0.1:{free_port()}",
    }
    doomed = start_api(tmp_path / "doomed", environment)
    path = tmp_path / "left-behind.txt"
    path.write_text("The ferryman left his lantern behind.")
    try:
        with httpx.Client(
            base_url=doomed.url, headers=client.headers, trust_env=False, timeout=30
        ) as through_doomed:
            job = stack.upload(through_doomed, path)["job"]
    finally:
        os.kill(doomed.process.pid, signal.SIGKILL)
        doomed.process.wait(timeout=60)
    assert isinstance(job, dict)

    def run_id() -> str | None:
        with stack.database() as connection:
            row = connection.execute(
                "SELECT run_id FROM job WHERE id = %s AND started_at IS NOT NULL", (job["id"],)
            ).fetchone()
        return row[0] if row else None

    run = wait_for(run_id, timeout_seconds=60, what="the reconciler")
    finished = stack.finished_job(client, job["id"])
    assert (finished["state"], finished["run_id"]) == ("completed", run)
    assert client.get(f"/v1/files/{finished['file_id']}").json()["state"] == "ready"

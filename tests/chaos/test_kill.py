"""kill -9 of each process in the middle of an ingestion: nothing is lost, nothing is doubled."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY, make_tenant
from tests.stack import Stack, chunk_texts, running_stack, wait_for

PROCESSES = ("worker-cpu", "worker-io", "api", "temporal", "postgres")
SAMPLES = REPOSITORY / "deploy" / "samples"


def documents() -> list[Path]:
    return sorted(
        path
        for path in SAMPLES.iterdir()
        if path.suffix in {".pdf", ".docx", ".png", ".jpg", ".jpeg"}
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Not that of the package: what a kill leaves half written would be counted by others."""
    with running_stack(tmp_path_factory.mktemp("kill") / "home") as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """Of a tenant that has nothing yet, so that all is read anew."""
    with stack.client(make_tenant(stack.endpoints["database"]).api_key) as client:
        yield client


def ingest_all(stack: Stack, client: httpx.Client) -> list[dict[str, object]]:
    """Uploads each sample; returns the Files."""
    return [stack.upload(client, path) for path in documents()]


def job_ids(files: list[dict[str, object]]) -> list[object]:
    return [file["job"]["id"] for file in files if isinstance(file["job"], dict)]


@pytest.fixture(scope="module")
def calm(stack: Stack) -> dict[str, list[str]]:
    """The chunks of an undisturbed run: what every disturbed one must end with."""
    with stack.client() as client:
        files = ingest_all(stack, client)
        for job_id in job_ids(files):
            assert stack.finished_job(client, job_id)["state"] == "completed"
    return chunk_texts(stack, [file["id"] for file in files])


def until_reading(stack: Stack) -> None:
    """Waits until a job has begun to read pages, so that the blow lands in the middle of work."""

    def reading() -> bool:
        with stack.database() as connection:
            row = connection.execute(
                "SELECT count(*) FROM job WHERE stage = 'read' AND finished_at IS NULL"
            ).fetchone()
        return row is not None and row[0] > 0

    wait_for(reading, timeout_seconds=180, what="a job to read pages")


@pytest.mark.timeout(1_200)
def test_killing_any_process_loses_and_doubles_nothing(
    stack: Stack, client: httpx.Client, calm: dict[str, list[str]]
) -> None:
    files = ingest_all(stack, client)
    until_reading(stack)
    for process in PROCESSES:
        killed = stack.kill_all(process)
        assert len(killed) == (2 if process == "api" else 1)
        wait_for(
            lambda killed=killed: all(stack.has_successor(*each) for each in killed.items()),
            timeout_seconds=120,
            what=f"{process} to be started anew",
        )
    for job_id in job_ids(files):
        job = stack.finished_job(client, job_id, timeout_seconds=400)
        assert job["state"] == "completed", job["error"]
        assert job["percent"] == 100
        assert not job["degraded"], job
    assert chunk_texts(stack, [file["id"] for file in files]) == calm


@pytest.mark.timeout(1_200)
def test_a_killed_supervisor_leaves_nothing_the_next_start_cannot_take_over(
    stack: Stack, client: httpx.Client, calm: dict[str, list[str]]
) -> None:
    files = ingest_all(stack, client)
    until_reading(stack)
    stack.kill("supervisor")
    stack.up()
    for job_id in job_ids(files):
        job = stack.finished_job(client, job_id, timeout_seconds=400)
        assert job["state"] == "completed", job["error"]
    assert chunk_texts(stack, [file["id"] for file in files]) == calm

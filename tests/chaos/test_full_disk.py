"""Disks that are full: said plainly, with a remedy; nothing half-written counts; what waits goes on
once there is space."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from activities.erasure.ledger import ErasureLedger
from db.models import new_id
from muniment.errors import KeyManagementUnavailable
from tests.chaos.accounts import stored
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.chaos.test_mid_page import scan
from tests.stack import Stack, chunk_texts, running_stack, wait_for

STORAGE_FULL = "urn:muniment:problem:storage-full"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disks") / "objects", 24) as disk:
        yield disk


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disks") / "scratch", 8) as disk:
        yield disk


@pytest.fixture(scope="module")
def stack(
    objects: SmallDisk, scratch: SmallDisk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("full") / "home"
    (home / "objects").parent.mkdir(parents=True)
    (home / "objects").symlink_to(objects.root)
    with running_stack(
        home,
        MUNIMENT_OBJECTS__ROOT=str(objects.root),
        MUNIMENT_WORKER__SCRATCH=str(scratch.root),
    ) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@contextmanager
def full(disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.free()


@contextmanager
def stopped(stack: Stack, process: str) -> Iterator[None]:
    """The process takes nothing up meanwhile."""
    pid = stack.pid(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def upload(client: httpx.Client, name: str, content: bytes) -> httpx.Response:
    return client.post("/v1/files", params={"name": name}, content=content)


def retries(stack: Stack, job_id: object) -> list[str]:
    with stack.database() as connection:
        rows = connection.execute(
            "SELECT payload ->> 'reason' FROM job_event WHERE job_id = %s AND event = 'retry'",
            (str(job_id),),
        ).fetchall()
    return [row[0] for row in rows]


def test_an_upload_to_a_full_store_is_refused_and_leaves_nothing(
    stack: Stack, client: httpx.Client, objects: SmallDisk
) -> None:
    kept = upload(client, "kept.txt", b"The charter was kept before the flood.").json()
    assert stack.finished_job(client, kept["job"]["id"])["state"] == "completed"
    before = stored(stack)
    with full(objects):
        for size in (100, 3_000_000):
            answer = upload(client, f"{size}.txt", b"a word " * (size // 7))
            assert answer.status_code == 507, answer.text
            problem = answer.json()
            assert problem["type"] == STORAGE_FULL
            assert "disk is full" in problem["detail"]
            assert "Free space" in problem["remedy"]
            assert int(answer.headers["Retry-After"]) > 0
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "disk is full" in ready.text
        # What is there is served all the same.
        content = client.get(f"/v1/files/{kept['id']}/content")
        assert content.text == "The charter was kept before the flood."
        found = client.post("/v1/search", json={"query": "charter flood"})
        assert found.status_code == 200, found.text
        names = [file["name"] for file in client.get("/v1/files").json()["data"]]
        assert names == ["kept.txt"]
    assert stored(stack) == before
    assert upload(client, "100.txt", b"a word again").status_code == 202


@pytest.mark.parametrize("which", ["objects", pytest.param("scratch", marks=pytest.mark.slow)])
def test_an_ingestion_waits_for_space_and_says_so(
    stack: Stack, client: httpx.Client, objects: SmallDisk, scratch: SmallDisk, which: str
) -> None:
    disk = {"objects": objects, "scratch": scratch}[which]
    with stopped(stack, "worker-cpu"):
        file = upload(client, f"waits-{which}.pdf", scan(f"waits-{which}")).json()
        job_id = file["job"]["id"]
        disk.fill()
    try:
        wait_for(
            lambda: retries(stack, job_id).count("storage-full") >= 2,
            timeout_seconds=180,
            what="the job to say that it waits for space",
        )
        assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "running"
    finally:
        disk.free()
    job = stack.finished_job(client, job_id)
    assert (job["state"], job["degraded"]) == ("completed", False)
    assert set(retries(stack, job_id)) == {"storage-full"}
    assert chunk_texts(stack, [file["id"]])[f"waits-{which}.pdf"]
    held = stored(stack)
    assert held.without_row == held.without_object == frozenset()
    assert held.half_written == 0
    assert [
        path for path in scratch.root.rglob("*") if path.is_file() and path.name != "lock"
    ] == []


@pytest.mark.parametrize("which", ["scratch", pytest.param("objects", marks=pytest.mark.slow)])
def test_a_view_that_cannot_be_made_for_want_of_space_says_so_at_once(
    stack: Stack, client: httpx.Client, objects: SmallDisk, scratch: SmallDisk, which: str
) -> None:
    disk = {"objects": objects, "scratch": scratch}[which]
    file = upload(client, f"viewed-{which}.pdf", scan(f"viewed-{which}")).json()
    assert stack.finished_job(client, file["job"]["id"])["state"] == "completed"
    picture = f"/v1/files/{file['id']}/pages/1/image"
    with full(disk):
        answer = stack.get_made(client, picture)
        assert (answer.status_code, answer.json()["type"]) == (507, STORAGE_FULL), answer.text
        assert client.get(f"/v1/files/{file['id']}/text").status_code == 200
    again = stack.get_made(client, picture)
    assert again.status_code == 200, again.text
    assert again.headers["Content-Type"].startswith("image/")
    assert stored(stack).without_row == frozenset()


async def test_the_erasure_ledger_holds_whole_lines_or_none(tmp_path: Path) -> None:
    with small_disk(tmp_path / "keys", 1) as disk:
        path = disk.root / "erasures.jsonl"
        ledger = ErasureLedger(path)
        tenant_id, file_id = new_id(), new_id()
        await ledger.append(tenant_id, file_id, [new_id()])
        whole = path.read_bytes()
        many = [new_id() for _ in range(500)]
        disk.fill()
        with pytest.raises(KeyManagementUnavailable):
            await ledger.append(tenant_id, file_id, many)
        assert path.read_bytes() == whole
        disk.free()
        with path.open("ab") as torn:
            torn.write(b'{"at": "a writer was killed he')
        await ledger.append(tenant_id, file_id, many)
        lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 1 + len(many)
    assert [json.loads(line)["blob_id"] for line in lines[2:]] == [str(each) for each in many]

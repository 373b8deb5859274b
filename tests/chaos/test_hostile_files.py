"""Hostile files through a whole stack: each comes to an end within its limits, no process dies of
it, memory returns, and neighbours are served meanwhile."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.activities.test_hostile_files import BOMBS as ENGINE_BOMBS
from tests.chaos.accounts import stored
from tests.chaos.archive_bombs import STRANGE_NAMES
from tests.chaos.bombs import BOMBS
from tests.chaos.document_bombs import mail_with_attachments
from tests.chaos.processes import engines, templates
from tests.stack import TERMINAL, Stack, wait_for

PROCESSES = ("api", "worker-io", "worker-cpu", "temporal", "postgres")
NEIGHBOUR_SECONDS = 600
"""The longest that an honest file may take beside bombs that hold every slot of the machine until
they meet their limits: 300 s of computing for an engine, more by the clock where others compute."""
END_SECONDS = 1_500
MEMORY_GROWTH = 1.35

QUICK = (
    "links.tar", "names.zip", "names.tar", "escaping.zip", "lying.zip", "zips-in-zips.zip",
    "refused.7z", "refused.rar", "far-corner.xlsx", "wide.odt", "entities.epub", "svg.docx",
    "deep-outline.pdf", "binary.rtf", "mails.eml", "remote.xml", "long-number.json", "frames.tif",
)  # fmt: skip
"""Those of the default run: a second or so each."""


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client(timeout_seconds=120) as client:
        yield client


class Watch:
    """Which processes serve, and what they hold."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        names = [name for process in PROCESSES for name in stack.named(process)]
        self.processes = {name: psutil.Process(stack.pid(name)) for name in names}
        self.templates = set(templates(stack))
        self.held = self._held()

    def _held(self) -> dict[str, int]:
        ours = [name for name in self.processes if name.startswith(("worker", "api"))]
        found = {name: self.processes[name].memory_full_info().uss for name in ours}
        for number, template in enumerate(sorted(self.templates, key=lambda each: each.pid)):
            found[f"template-{number}"] = template.memory_full_info().uss
        return found

    def check(self) -> None:
        """All of them still live, the same ones, without engines, and no larger than they were."""
        for name, process in self.processes.items():
            assert process.is_running(), f"{name} died"
            assert self._stack.pid(name) == process.pid, f"{name} was started anew"
        assert set(templates(self._stack)) == self.templates, "a template died"
        wait_for(
            lambda: not engines(self._stack), timeout_seconds=60, what="the engines to be gone"
        )
        deadline = time.monotonic() + 60
        while grown := self._grown():
            assert time.monotonic() < deadline, f"MB before and after: {grown}"
            time.sleep(1)

    def _grown(self) -> dict[str, tuple[int, int]]:
        """What holds more than it did, in MB, before and now."""
        return {
            name: (self.held[name] // 1_000_000, held // 1_000_000)
            for name, held in self._held().items()
            if held > MEMORY_GROWTH * self.held[name] + 50_000_000
        }


def upload(client: httpx.Client, name: str, content: bytes) -> dict[str, object]:
    answer = client.post("/v1/files", params={"name": name}, content=content)
    assert answer.status_code in (200, 202), answer.text
    file: dict[str, object] = answer.json()
    return file


def job_of(file: dict[str, object]) -> object:
    job = file["job"]
    assert isinstance(job, dict)
    return job["id"]


def everything_over(client: httpx.Client) -> bool:
    """Whether no job of the tenant is open: members' jobs too."""
    states = {"queued", "running", "paused", "waiting"}
    for state in states:
        if client.get("/v1/jobs", params={"state": state, "limit": 1}).json()["data"]:
            return False
    return True


def check_ends(client: httpx.Client, files: dict[str, dict[str, object]]) -> dict[str, str]:
    """Each job's end, in words; a failure names its reason and a remedy."""
    ends = {}
    for name, file in files.items():
        job = client.get(f"/v1/jobs/{job_of(file)}").json()
        assert job["state"] in TERMINAL, name
        if job["error"] is not None:
            problem = job["error"]
            assert problem["detail"], name
            assert problem["remedy"], name
            assert not problem["type"].endswith(":internal"), f"{name}: {problem['detail']}"
        reason = job["error"]["type"].rpartition(":")[2] if job["error"] else ""
        took = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(
            job["created_at"]
        )
        print(f"{name:50} {job['state']:10} {reason:22} {took.total_seconds():7.1f} s")
        ends[name] = f"{job['state']} {reason}{' degraded' if job['degraded'] else ''}".strip()
    return ends


def neighbour(stack: Stack, client: httpx.Client, number: int) -> float:
    """Seconds until an honest file is ready."""
    began = time.monotonic()
    file = upload(client, f"neighbour-{number}.txt", f"An honest neighbour, {number}.".encode())
    job = stack.finished_job(client, job_of(file), timeout_seconds=NEIGHBOUR_SECONDS)
    assert job["state"] == "completed"
    return time.monotonic() - began


def ordinary(stack: Stack, client: httpx.Client) -> None:
    """What an honest document of some length brings processes to hold: its batches are full ones."""
    text = "\n\n".join(f"Paragraph {number} of an honest charter." * 8 for number in range(400))
    file = upload(client, "ordinary.txt", text.encode())
    job = stack.finished_job(client, job_of(file), timeout_seconds=NEIGHBOUR_SECONDS)
    assert job["state"] == "completed"


def attack(
    stack: Stack, client: httpx.Client, contents: Iterator[tuple[str, bytes]], timeout: float
) -> dict[str, str]:
    """Uploads all of them, with neighbours among them, and follows all to their ends."""
    ordinary(stack, client)
    watch, orphans = Watch(stack), stored(stack).without_row
    files, took, slowest = {}, [], time.monotonic()
    for number, (name, content) in enumerate(contents, 1):
        files[name] = upload(client, name, content)
        if number % 12 == 0:
            took.append(neighbour(stack, client, number))
    wait_for(
        lambda: everything_over(client), timeout_seconds=timeout, what="all jobs to end",
        pause_seconds=0.5,
    )  # fmt: skip
    ends = check_ends(client, files)
    print(f"{len(ends)} files in {time.monotonic() - slowest:.0f} s; neighbours took {took}")
    watch.check()
    found = stored(stack)
    assert (found.without_row, found.without_object) == (orphans, frozenset())
    assert found.half_written == 0
    return ends


@pytest.mark.timeout(900)
def test_quick_bombs_come_to_their_ends(stack: Stack, client: httpx.Client) -> None:
    ends = attack(stack, client, ((name, BOMBS[name]()) for name in QUICK), 600)
    assert ends["refused.7z"] == ends["refused.rar"] == "failed unknown-format"
    members = {
        name: [file["name"] for file in members_of(client, name)]
        for name in ("links.tar", "escaping.zip", "names.zip", "names.tar")
    }
    assert members["links.tar"] == members["escaping.zip"] == ["letter.txt"]
    for archive in ("names.zip", "names.tar"):
        for name in members[archive]:
            assert str(name).isprintable(), f"{archive}: {name!r}"
    assert len(members["names.zip"]) == len(STRANGE_NAMES)


def members_of(client: httpx.Client, name: str) -> list[dict[str, object]]:
    (archive,) = client.get("/v1/files", params={"name~": name}).json()["data"]
    listed: list[dict[str, object]] = client.get(
        "/v1/files", params={"parent": archive["id"], "limit": 100}
    ).json()["data"]
    return listed


@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_all_bombs_come_to_their_ends(stack: Stack, client: httpx.Client) -> None:
    contents = ((name, make()) for name, make in BOMBS.items() if name not in QUICK)
    attack(stack, client, contents, END_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_the_bombs_of_engines_come_to_their_ends(stack: Stack, client: httpx.Client) -> None:
    attack(stack, client, ((name, make()) for name, make in ENGINE_BOMBS.items()), END_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(2_400)
def test_all_malformed_files_come_to_their_ends(
    stack: Stack, client: httpx.Client, shared_data: Path
) -> None:
    root = shared_data / "malformed"
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    assert len(paths) > 100
    contents = (
        (str(path.relative_to(root)).replace("/", "_"), path.read_bytes()) for path in paths
    )
    attack(stack, client, contents, END_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_attachments_can_be_stopped(stack: Stack, client: httpx.Client) -> None:
    watch = Watch(stack)
    file = upload(client, "ten-thousand.eml", mail_with_attachments(10_000))
    wait_for(
        lambda: len(client.get("/v1/files", params={"parent": file["id"]}).json()["data"]) >= 20,
        timeout_seconds=300,
        what="members",
    )
    neighbour(stack, client, 10_000)
    assert client.post(f"/v1/jobs/{job_of(file)}/cancel").status_code == 200
    job = stack.finished_job(client, job_of(file), timeout_seconds=30)
    assert job["state"] == "cancelled"
    wait_for(lambda: everything_over(client), timeout_seconds=120, what="members to end")
    watch.check()

"""`muniment watch` as its own process against a real API: each file once, whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess
from tests.conftest import TenantFixture

MUNIMENT = str(Path(sys.executable).with_name("muniment"))


@dataclass
class Watched:
    """A folder, and `muniment watch` for it."""

    folder: Path
    environment: dict[str, str]
    http: httpx.Client

    def run(self, *arguments: str) -> tuple[int, list[dict[str, object]], str]:
        """`--once`: the exit code, what was told, and standard error."""
        ended = subprocess.run(
            self.command("--once", *arguments),
            env=self.environment, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        return (
            ended.returncode,
            [json.loads(line) for line in ended.stdout.splitlines()],
            ended.stderr,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        return [
            MUNIMENT, "watch", str(self.folder), "--json", "--settle-seconds", "0.2", *arguments,
        ]  # fmt: skip

    def files(self) -> dict[str, int]:
        """The newest version of each file that the tenant has; a name twice fails."""
        data = self.http.get("/v1/files", params={"limit": "200"}).json()["data"]
        names = [file["name"] for file in data]
        assert len(names) == len(set(names))
        return {
            file["name"]: len(self.http.get(f"/v1/files/{file['id']}/versions").json()["data"])
            for file in data
        }

    def uploads(self) -> int:
        events = self.http.get("/v1/audit", params={"limit": "200"}).json()["data"]
        uploaded = ("file.created", "file.version_created", "file.uploaded_again")
        return sum(event["action"] in uploaded for event in events)


@pytest.fixture
def watched(api: ApiProcess, tenant: TenantFixture, tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "inbox"
    folder.mkdir()
    environment = {
        **os.environ,
        "MUNIMENT_API__URL": api.url,
        "MUNIMENT_API__KEY": tenant.api_key,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    with httpx.Client(base_url=api.url, headers=headers, trust_env=False, timeout=30) as http:
        yield Watched(folder, environment, http)


def until(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not probe():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def test_each_file_is_taken_in_once_and_a_changed_one_as_a_version(watched: Watched) -> None:
    (watched.folder / "a.txt").write_text("one")
    (watched.folder / "below").mkdir()
    (watched.folder / "below" / "a.txt").write_text("another of the same name")
    code, told, _ = watched.run()
    assert (code, sorted(str(each["name"]) for each in told)) == (0, ["a.txt", "below/a.txt"])
    assert watched.run() == (0, [], "")
    (watched.folder / "a.txt").write_text("one, corrected")
    os.utime(watched.folder / "below" / "a.txt")  # touched, not changed
    code, told, _ = watched.run()
    assert (code, [(each["name"], each["state"]) for each in told]) == (0, [("a.txt", "received")])
    assert watched.files() == {"a.txt": 2, "below/a.txt": 1}
    assert watched.uploads() == 3


def test_partial_hidden_and_linked_files_are_left_alone(watched: Watched, tmp_path: Path) -> None:
    for name in (".hidden", "~$open.docx", "film.mp4.part", "a.crdownload", "b.txt~"):
        (watched.folder / name).write_text("not whole")
    (tmp_path / "secret.txt").write_text("outside")
    (watched.folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(watched.folder / "pipe")
    (watched.folder / ".git").mkdir()
    (watched.folder / ".git" / "config").write_text("not meant")
    (watched.folder / "whole.txt").write_text("whole")
    code, told, _ = watched.run()
    assert (code, [each["name"] for each in told]) == (0, ["whole.txt"])


def test_a_file_that_is_still_written_to_is_taken_when_it_is_whole(watched: Watched) -> None:
    process = watched.start("--settle-seconds", "2")
    try:
        with (watched.folder / "slow.txt").open("w") as file:
            for number in range(30):
                file.write(f"line {number}\n")
                file.flush()
                time.sleep(0.1)
        until(lambda: watched.files() == {"slow.txt": 1}, "slow.txt")
        time.sleep(2.5)
        assert watched.uploads() == 1
    finally:
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [json.loads(line)["name"] for line in told.splitlines()] == ["slow.txt"]


@pytest.mark.parametrize("how", [(), ("--poll",)], ids=["inotify", "polling"])
def test_what_appears_changes_and_goes_while_it_watches(
    watched: Watched, how: tuple[str, ...]
) -> None:
    process = watched.start(*how)
    try:
        (watched.folder / "new").mkdir()
        (watched.folder / "new" / "b.txt").write_text("first")
        until(lambda: watched.files() == {"new/b.txt": 1}, "the file")
        (watched.folder / "new" / "b.txt").write_text("second")
        until(lambda: watched.files() == {"new/b.txt": 2}, "its version")
        (watched.folder / "new" / "b.txt").unlink()
        (watched.folder / "c.txt").write_text("third")
        until(lambda: watched.files() == {"new/b.txt": 2, "c.txt": 1}, "the third")
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_kill_in_the_middle_takes_nothing_twice(watched: Watched) -> None:
    for number in range(60):
        (watched.folder / f"{number:02}.txt").write_text(f"file {number}")
    process = watched.start()
    until(lambda: len(watched.files()) >= 10, "the first files")
    second = watched.run()
    assert second[0] == 1
    assert "another `muniment watch` is at work" in second[2]
    process.kill()
    process.communicate()
    code, _, errors = watched.run()
    assert code == 0, errors
    assert watched.files() == {f"{number:02}.txt": 1 for number in range(60)}


def test_a_torn_ledger_line_is_passed_over(watched: Watched, tmp_path: Path) -> None:
    (watched.folder / "a.txt").write_text("one")
    assert watched.run()[0] == 0
    (ledger,) = (tmp_path / "state").rglob("*.jsonl")
    with ledger.open("a") as file:
        file.write('{"name": "b.txt", "si')
    (watched.folder / "b.txt").write_text("two")
    code, told, _ = watched.run()
    assert (code, [each["name"] for each in told]) == (0, ["b.txt"])


def test_what_the_api_refuses_is_told_once(watched: Watched) -> None:
    (watched.folder / "a.txt").write_text("one")
    code, told, _ = watched.run("--collection", "absent")
    assert (code, told[0]["state"]) == (1, "refused")
    assert watched.run("--collection", "absent") == (0, [], "")
    assert watched.run()[0] == 0


def publish_the_first_version(postgres_dsn: str, tenant: TenantFixture) -> None:
    """As the ingestion of the only version of the tenant's only file ends."""
    with psycopg.connect(postgres_dsn) as connection:
        for statement in (
            "UPDATE file_version SET published_at = now() WHERE tenant_id = %s AND number = 1",
            "UPDATE job SET state = 'completed', finished_at = now() WHERE tenant_id = %s",
            "UPDATE file SET state = 'ready' WHERE tenant_id = %s",
        ):
            assert connection.execute(statement, (tenant.tenant_id,)).rowcount == 1


def test_a_change_of_a_published_file_is_uploaded_once(
    watched: Watched, postgres_dsn: str, tenant: TenantFixture
) -> None:
    (watched.folder / "a.txt").write_text("one")
    assert watched.run()[0] == 0
    publish_the_first_version(postgres_dsn, tenant)
    (watched.folder / "a.txt").write_text("one, corrected")
    code, told, errors = watched.run()
    assert (code, [(each["name"], each["version"]) for each in told]) == (0, [("a.txt", 2)]), errors
    assert watched.run() == (0, [], "")
    assert (watched.files(), watched.uploads()) == ({"a.txt": 2}, 2)


def test_a_change_that_could_not_be_read_is_not_uploaded_again(
    watched: Watched, postgres_dsn: str, tenant: TenantFixture
) -> None:
    (watched.folder / "a.txt").write_text("one")
    assert watched.run()[0] == 0
    publish_the_first_version(postgres_dsn, tenant)
    (watched.folder / "a.txt").write_text("one, corrected")
    assert watched.run()[0] == 0
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now()"
            " WHERE tenant_id = %s AND state <> 'completed'",
            (tenant.tenant_id,),
        )
    assert watched.run() == (0, [], "")
    assert (watched.files(), watched.uploads()) == ({"a.txt": 2}, 2)
    assert len(watched.http.get("/v1/jobs").json()["data"]) == 2

"""`muniment ingest` against a real HTTP server."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from muniment.cli.ingest.selection import select_files
from muniment.errors import InvalidRequest
from tests.muniment.cli.conftest import MUNIMENT, Command, environment
from tests.muniment.client.api_for_tests import ApiForTests, Fault


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files in two folders, and what is not to be taken in."""
    for name in ("a.txt", "b.txt", "below/c.md", ".hidden", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {name}")
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_folder_means_its_files_without_hidden_ones(folder: Path) -> None:
    assert names(select_files([str(folder)])) == ["a.txt", "b.txt", "c.md"]


def test_a_pattern_means_what_it_matches_and_a_file_is_taken_once(folder: Path) -> None:
    paths = [str(folder / "b.txt"), str(folder / "*.txt"), str(folder / "**/*.md")]
    assert names(select_files(paths)) == ["b.txt", "a.txt", "c.md"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "scan[1].pdf").write_bytes(b"x")
    assert names(select_files([str(tmp_path / "scan[1].pdf")])) == ["scan[1].pdf"]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="absent"):
        select_files([str(tmp_path / "absent.pdf")])


def test_a_folder_is_taken_in_and_said_file_by_file(
    api: ApiForTests, muniment: Command, folder: Path
) -> None:
    result = muniment("ingest", folder, "--collection", "law")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sorted(line.split()[:2] for line in lines[:3]) == [
        ["ready", "a.txt"],
        ["ready", "b.txt"],
        ["ready", "c.md"],
    ]
    assert lines[-1].startswith("3 files ready, 6 pages")
    assert {str(form["collection"]) for form in api.forms} == {"law"}


def test_a_failed_file_makes_exit_code_1_and_says_what_to_do(
    api: ApiForTests, muniment: Command, folder: Path
) -> None:
    api.ends["b.txt"] = "failed"
    result = muniment("ingest", folder)
    assert result.returncode == 1
    assert "2 files ready" in result.stdout
    assert "title of damaged-document" in result.stdout
    assert "remedy of damaged-document" in result.stdout


def test_json_is_one_object_per_file(api: ApiForTests, muniment: Command, folder: Path) -> None:
    api.ends["a.txt"] = "failed"
    api.ends["c.md"] = "waiting"
    result = muniment("ingest", folder, "--json")
    assert result.returncode == 1
    outcomes = {found["name"]: found for found in map(json.loads, result.stdout.splitlines())}
    assert {name: outcome["state"] for name, outcome in outcomes.items()} == {
        "a.txt": "failed",
        "b.txt": "ready",
        "c.md": "quarantined",
    }
    assert outcomes["a.txt"]["error"]["type"] == "urn:muniment:problem:damaged-document"
    assert outcomes["c.md"]["error"]["detail"] == "detail of malware-found"
    assert "release" in outcomes["c.md"]["error"]["remedy"]
    assert outcomes["b.txt"]["ok"]
    assert outcomes["b.txt"]["pages"] == 2
    assert result.stderr == ""


def test_a_refused_upload_fails_that_file_alone(
    api: ApiForTests, muniment: Command, folder: Path
) -> None:
    api.fail("POST", "/v1/files", Fault(413))
    result = muniment("ingest", folder, "--json")
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert sorted(outcome["state"] for outcome in outcomes) == ["failed", "ready", "ready"]


def test_without_an_event_stream_polling_finds_the_end(
    api: ApiForTests, muniment: Command, folder: Path
) -> None:
    api.tenant_stream_works = False
    result = muniment("ingest", folder)
    assert result.returncode == 0, result.stderr
    assert "3 files ready" in result.stdout


def test_many_files_are_followed_over_one_stream(
    api: ApiForTests, muniment: Command, tmp_path: Path
) -> None:
    api.jobs_end = False  # only the stream tells the end
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text(str(number))
    result = muniment("ingest", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "200 files ready" in result.stdout
    assert len(api.requests_of("GET", "/v1/events")) == 1


def test_not_waiting_returns_when_all_is_sent(
    api: ApiForTests, muniment: Command, folder: Path
) -> None:
    result = muniment("ingest", folder, "--no-wait", "--json")
    assert result.returncode == 0, result.stderr
    states = {json.loads(line)["state"] for line in result.stdout.splitlines()}
    assert states == {"received"}
    assert api.requests_of("GET", "/v1/events") == []


def test_an_interrupt_leaves_the_jobs_and_says_so(api: ApiForTests, folder: Path) -> None:
    api.jobs_end = False
    api.tenant_stream_works = False
    process = subprocess.Popen(
        [MUNIMENT, "ingest", str(folder)],
        env=environment(api),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run started in the background of a script ignores interrupts, and children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 30
    while len(api.files) < 3 or not any("/v1/jobs/" in path for _, path, _ in api.requests):
        assert time.monotonic() < deadline, "the files were not sent"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "3 jobs go on in the stack" in errors
    assert "Traceback" not in errors

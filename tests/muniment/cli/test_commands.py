"""The other commands: what they print, and the codes they end with."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import UUID

from rich.console import Console
from typer.testing import CliRunner

from muniment.cli.answers import print_answer
from muniment.cli.main import app
from muniment.cli.processes import home_environment
from muniment.client.models import Answer, AnswerMeta, Citation
from tests.muniment.cli.conftest import MUNIMENT, Command, environment, invoke
from tests.muniment.client.api_for_tests import KEY, ApiForTests

ABSENT = "0190f6e0-0000-7000-8000-000000000000"


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in (
        "up", "down", "status", "doctor", "ingest", "search", "ask", "chat", "jobs", "cancel", "pause",
        "resume", "retry", "batch", "batches", "files", "download", "compare", "worker", "api", "schema",
    ):  # fmt: skip
        assert f"\n  {command} " in result.output


def test_help_loads_neither_the_client_nor_the_processes() -> None:
    script = (
        "import sys; from muniment.cli.main import app\n"
        "heavy = {'httpx', 'pydantic', 'rich.console', 'fastapi', 'temporalio', 'sqlalchemy'}\n"
        "ours = {name for name in sys.modules if name.split('.')[0] in {'api', 'worker', 'deploy', 'db'}}\n"
        "print(sorted(heavy & set(sys.modules)) + sorted(ours))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_an_unknown_option_is_a_usage_error(muniment: Command) -> None:
    assert muniment("jobs", "--nonsense").returncode == 2


def test_following_needs_a_job(muniment: Command) -> None:
    assert muniment("jobs", "--follow").returncode == 2


def test_a_search_shows_file_and_page(muniment: Command) -> None:
    result = muniment("search", "answer")
    assert result.returncode == 0, result.stderr
    assert "guide.pdf, page 3" in result.stdout
    assert "The answer is 42." in result.stdout


def test_a_search_as_json_is_the_answer_of_the_api(muniment: Command) -> None:
    result = json.loads(muniment("search", "answer", "--mode", "vector", "--json").stdout)
    assert result["mode_used"] == "vector"
    assert result["data"][0]["name"] == "guide.pdf"


def test_an_answer_shows_file_page_and_quote(muniment: Command) -> None:
    assert muniment("ask", "what?").stdout.splitlines() == [
        "Forty-two. [1]",
        "",
        "[1] guide.pdf, page 3",
        "    “The answer is 42.”",
    ]


def test_an_answer_may_be_asked_for_anew(api: ApiForTests, muniment: Command) -> None:
    assert muniment("ask", "what?", "--no-cache").returncode == 0
    assert muniment("ask", "what?").returncode == 0
    assert [each.get("cache") for each in api.questions] == [False, None]


def test_an_answer_in_a_models_words_names_it_and_what_is_not_proven() -> None:
    unproven = Citation(
        n=1, chunk_id=UUID(int=1), file_id=UUID(int=2), name="a.pdf", injection_suspected=True
    )
    meta = AnswerMeta(model="qwen3:8b", provider="own")
    shown = io.StringIO()
    answer = Answer(answer="Forty-two [1].", citations=(unproven,), meta=meta)
    print_answer(Console(file=shown, width=100), answer)
    assert shown.getvalue().splitlines() == [
        "Forty-two [1].",
        "",
        "[1] a.pdf  (not verified)  (seems to speak to a machine)",
        "",
        "worded by own (qwen3:8b)",
    ]


def test_hostile_names_neither_steer_the_terminal_nor_stretch_the_table(
    api: ApiForTests, muniment: Command
) -> None:
    api.add_file("a\x1b[2J\n\u202egpj.txt", b"x")
    api.add_file("n" * 1000 + ".txt", b"x")
    listed = muniment("files").stdout
    assert not set("\x1b\u202e") & set(listed)
    assert "a\ufffd[2J\ufffd\ufffdgpj.txt" in listed
    assert max(map(len, listed.splitlines())) < 200


def test_files_and_jobs_are_listed_with_whole_ids(api: ApiForTests, muniment: Command) -> None:
    file = api.add_file("a report.pdf", b"x" * 1500)
    files, jobs = muniment("files"), muniment("jobs")
    assert str(file["id"]) in files.stdout
    assert "1.5 kB" in files.stdout
    assert next(iter(api.jobs)) in jobs.stdout
    assert json.loads(muniment("files", "--json").stdout)["data"][0]["name"] == "a report.pdf"


def test_a_file_is_shown_or_printed_as_it_was_read(api: ApiForTests, muniment: Command) -> None:
    file_id = str(api.add_file("a.md", "# Über\n\nWorte\n".encode())["id"])
    assert file_id in muniment("files", file_id).stdout
    for option in ("--markdown", "--text"):
        assert muniment("files", file_id, option).stdout == "# Über\n\nWorte\n"
    assert muniment("files", "--text").returncode == 2
    assert muniment("files", file_id, "--text", "--markdown").returncode == 2


def test_who_decides_about_a_file_is_shown_what_the_scan_found(
    api: ApiForTests, muniment: Command
) -> None:
    held = api.add_file("held.zip", b"x")
    held["scan"] = {
        "state": "infected", "reason": "malware", "signature": "Eicar\x1b[2J-Test",
        "engine": "ClamAV 1.4.3", "database": "27800",
    }  # fmt: skip
    shown = muniment("files", str(held["id"])).stdout
    told = "infected: malware (Eicar\ufffd[2J-Test), by ClamAV 1.4.3 with signatures 27800"
    assert f"scan      {told}" in shown


def test_a_job_is_shown_with_its_stages(api: ApiForTests, muniment: Command) -> None:
    job = api.add_job()
    shown = muniment("jobs", str(job["id"])).stdout
    assert "completed" in shown
    assert "classify" in shown


def test_a_followed_job_that_fails_ends_with_1(api: ApiForTests, muniment: Command) -> None:
    api.jobs_end = False
    job = api.add_job(state="failed")
    assert muniment("jobs", str(job["id"]), "--follow").returncode == 1
    lines = muniment("jobs", str(job["id"]), "--follow", "--json").stdout.splitlines()
    assert json.loads(lines[-1])["state"] == "failed"


def test_messages_to_jobs(api: ApiForTests, muniment: Command) -> None:
    api.jobs_end = False
    job_id = str(api.add_job()["id"])
    assert muniment("pause", job_id).stdout.strip() == f"job {job_id}: paused"
    assert json.loads(muniment("cancel", job_id, "--json").stdout)["state"] == "cancelled"
    assert json.loads(muniment("retry", job_id, "--json").stdout)["retry_of"] == job_id


def test_a_refusal_is_said_with_its_remedy_and_ends_with_1(muniment: Command) -> None:
    result = muniment("jobs", ABSENT)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: title of not-found",
        "  detail of not-found",
        "  what to do: remedy of not-found",
        "  request id: r-1",
    ]


def test_no_stack_ends_with_3_and_says_how_to_start_one(tmp_path: Path) -> None:
    result = invoke(["files", "--home", tmp_path], environment(None))
    assert result.returncode == 3
    assert "muniment up" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_home_is_found_by_its_files_and_wins_over_the_environment(
    api: ApiForTests, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "endpoints.json").write_text(json.dumps({"api": api.url}))
    (run / "admin.key").write_text(KEY + "\n")
    chosen = environment(None) | {
        "MUNIMENT_API__URL": "http://127.0.0.1:1",
        "MUNIMENT_API__KEY": "x",
    }
    result = invoke(["files", "--home", tmp_path], chosen)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "no files"


def test_half_of_an_address_and_key_is_a_usage_error(api: ApiForTests) -> None:
    chosen = environment(api)
    del chosen["MUNIMENT_API__KEY"]
    result = invoke(["files"], chosen)
    assert result.returncode == 2
    assert "MUNIMENT_API__KEY" in result.stderr


def test_a_process_runs_where_muniment_is_installed_not_in_the_present_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "__init__.py").write_text("raise SystemExit('the wrong deploy')")
    result = subprocess.run(
        [MUNIMENT, "status", "--home", tmp_path / "home", "--json"],
        cwd=tmp_path,
        env=environment(None),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    assert json.loads(result.stdout)["state"] == "stopped"


def test_a_worker_joins_the_stack_of_a_home_as_the_application_role(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    endpoints = {
        "api": "http://127.0.0.1:8080",
        "database": "postgresql://postgres@/muniment?host=/run/pg",
        "temporal": "127.0.0.1:7233",
        "temporal_ui": "http://127.0.0.1:8233",
        "namespace": "default",
    }
    (run / "endpoints.json").write_text(json.dumps(endpoints))
    settings = home_environment(tmp_path)
    assert settings["MUNIMENT_DATABASE__URL"] == "postgresql://muniment_app@/muniment?host=/run/pg"
    assert settings["MUNIMENT_OBJECTS__ROOT"] == str(tmp_path / "objects")


def test_a_reader_that_goes_away_is_no_error(api: ApiForTests) -> None:
    for number in range(300):
        api.add_file(f"{number}.txt", b"x")
    process = subprocess.Popen(
        [MUNIMENT, "files", "--json"],
        env=environment(api),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=30)


def test_files_are_downloaded_as_an_archive(
    api: ApiForTests, muniment: Command, tmp_path: Path
) -> None:
    file_id = str(api.add_file("a.txt", b"words")["id"])
    target = tmp_path / "out.zip"
    result = muniment("download", file_id, f"{file_id}@2", "--zip", target)
    assert result.returncode == 0, result.stderr
    assert api.forms == [{"files": [{"id": file_id}, {"id": file_id, "version": 2}]}]
    with zipfile.ZipFile(target) as opened:
        assert opened.namelist() == ["0.bin", "1.bin"]
    assert muniment("download", f"{file_id}@x", "--zip", target).returncode == 2
    assert muniment("download", file_id).returncode == 2


def test_a_comparison_shows_pages_and_words(muniment: Command) -> None:
    result = muniment("compare", ABSENT, "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "version 1 to 2, pages: 4 unchanged, 1 changed, 1 moved",
        "",
        "page 2: changed, page 1 before, 1 words removed, 1 added",
        "    … the [-lease-] {+de\ufffded+}",
        "",
        "page 5: unchanged, moved from 3",
    ]


def test_a_comparison_as_json_is_a_line_a_page(api: ApiForTests, muniment: Command) -> None:
    result = muniment("compare", ABSENT, "3", "--with", "1", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["state"], line["page"]) for line in lines] == [("changed", 2), ("unchanged", 5)]
    asked = {"unchanged": "false", "limit": "100", "with": "1"}
    assert api.forms == [asked, {**asked, "cursor": "more"}]

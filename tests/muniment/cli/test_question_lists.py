"""`muniment ask --csv`: the questions of a file, and the file that is written of them."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from muniment.cli import connection
from muniment.client import Muniment
from tests.muniment.cli.conftest import Printed, invoke
from tests.muniment.client.described_api import ID, Described

ANSWERS = "row,question,answer\r\n2,wann?,März\r\n"
BEGUN = {"id": ID, "state": "running", "questions": 2, "done": 1}


def asked(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    content: bytes = b"question\nwhen?\n",
    last: str = "completed",
) -> tuple[Printed, httpx.Request]:
    """What was printed, and the request that the list was made with."""
    printed, (request,) = tried(
        folder, monkeypatch, *arguments, content=content, last=last, output=folder / "out.csv"
    )
    return printed, request


def tried(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    output: Path,
    content: bytes = b"question\nwhen?\n",
    last: str = "completed",
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[Printed, list[httpx.Request]]:
    """With the requests that lists were made with; `meanwhile` is done before the answers are had."""
    described = Described()
    made: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            made.append(request)
        if request.url.path.endswith("/answers"):
            meanwhile()
            return httpx.Response(200, text=ANSWERS)
        if request.url.path.endswith("/events"):
            is_over = last != "paused"
            ended = {
                **BEGUN,
                "state": last,
                "done": 2,
                "answered": 2,
                "reason": None if is_over else "used up",
                "finished_at": "2026-11-20T12:00:00Z" if is_over else None,
            }
            events = (("state", BEGUN), ("end" if is_over else "state", ended))
            text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)
            return httpx.Response(200, text=text)
        return described(request)

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr("muniment.cli.question_lists.connect", connect)
    questions = folder / "in.csv"
    questions.write_bytes(content)
    printed = invoke(
        ["ask", "--csv", questions, "--output", output, *arguments],
        {"TERM": "dumb", "COLUMNS": "200"},
    )
    return printed, made


def test_the_answers_are_written_as_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, request = asked(tmp_path, monkeypatch, "--top-k", "3")
    assert printed.returncode == 0, printed.stderr
    assert (tmp_path / "out.csv").read_bytes() == ANSWERS.encode()
    assert "2 answered" in printed.stdout
    assert request.content == b"question\nwhen?\n"
    assert request.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (request.url.params["top_k"], "max_tokens" in request.url.params) == ("3", False)


def test_a_file_of_windows_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, request = asked(tmp_path, monkeypatch, content="question\nfür?\n".encode("cp1252"))
    assert request.headers["Content-Type"] == "text/csv; charset=windows-1252"


def test_a_list_that_pauses_says_why_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, request = asked(tmp_path, monkeypatch, "--max-tokens", "5", last="paused")
    assert printed.returncode == 1
    assert "used up" in printed.stderr
    assert f"POST /v1/question-lists/{ID}/resume" in printed.stderr
    assert request.url.params["max_tokens"] == "5"
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("output", ["absent/out.csv", "."])
def test_nothing_is_asked_where_the_answers_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    printed, made = tried(tmp_path, monkeypatch, output=tmp_path / output)
    assert (printed.returncode, made) == (1, [])
    assert "cannot be written" in printed.stderr


def test_answers_that_cannot_be_written_at_last_are_told_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.csv"
    printed, _ = tried(tmp_path, monkeypatch, output=output, meanwhile=output.mkdir)
    assert printed.returncode == 1
    assert f"/v1/question-lists/{ID}/answers" in printed.stderr


@pytest.mark.parametrize("arguments", [[], ["when?", "--csv", "x"], ["--csv", "x"]])
def test_one_question_or_a_file_is_asked(arguments: list[str]) -> None:
    assert invoke(["ask", *arguments], {"TERM": "dumb"}).returncode == 2

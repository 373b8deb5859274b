"""`muniment eval`: sets in BEIR's format, and what is printed of their evaluation."""

import json
from pathlib import Path

import httpx
import pytest

from muniment.cli import connection
from muniment.cli.evaluation_sets import read_questions
from muniment.client import Muniment
from muniment.errors import InvalidRequest
from tests.muniment.cli.conftest import Printed, invoke
from tests.muniment.client.described_api import Described

QUERIES = (
    {"_id": "1", "text": "Who?\u2028", "metadata": {"answer": "Rollo"}},
    {"_id": 2, "text": "When?"},
    {"_id": "3", "text": "Where?"},
    {"_id": "4", "text": "Why?", "metadata": {"answers": ["x", 7, "y" * 3_000]}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps(each, ensure_ascii=False) for each in QUERIES]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    judged = "query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t2\n2\tc\t0\n3\td\t0\n"
    (tmp_path / "qrels.tsv").write_text(judged, encoding="utf-8")
    return tmp_path


def test_a_set_is_read(folder: Path) -> None:
    assert read_questions(folder) == [
        {"id": "1", "text": "Who?\u2028", "relevant": {"a": 1.0}, "answers": ["Rollo"]},
        {"id": "2", "text": "When?", "relevant": {"b": 2.0}, "answers": []},
        {"id": "4", "text": "Why?", "relevant": {}, "answers": ["x"]},
    ]
    assert len(read_questions(folder, 1)) == 1


def test_judgements_lie_where_beir_has_them(folder: Path) -> None:
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert len(read_questions(folder)) == 3


def test_judgements_need_no_headings(folder: Path) -> None:
    headings, *rest = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    assert headings.startswith("query-id")
    known = read_questions(folder)
    (folder / "qrels.tsv").write_text("".join(rest), encoding="utf-8")
    assert read_questions(folder) == known


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("queries.jsonl", "{"),
        ("queries.jsonl", "[]"),
        ("queries.jsonl", '{"_id": "1"}'),
        ("queries.jsonl", '{"_id": "9", "text": "unjudged"}'),
        ("qrels.tsv", "head\n1 a 1\n"),
        ("qrels.tsv", "head\n1\ta\tmuch\n"),
        ("qrels.tsv", "head\n1\ta\tinf\n"),
    ],
)
def test_what_is_no_set_says_where(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidRequest) as raised:
        read_questions(folder)
    assert raised.value.remedy


def test_a_folder_without_queries_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        read_questions(tmp_path)


def evaluated(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Printed:
    described = Described()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/report"):  # no JSON, which the description has no example of
            return httpx.Response(200, text="<!doctype html>")
        return described(request)

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(answer))

    monkeypatch.setattr(connection, "connect", connect)
    printed = invoke(["eval", folder, *arguments], {"TERM": "dumb", "COLUMNS": "200"})
    assert described.asked[0] == ("POST", "/v1/evaluations")
    return printed


def test_what_was_measured_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = folder / "report.html"
    printed = evaluated(folder, monkeypatch, "--report", str(report))
    assert printed.returncode == 1, printed.stderr  # something is worse than before
    assert {"ndcg@10", "0.710", "0.740", "-0.030", "worse"} <= set(printed.stdout.split())
    assert report.read_text(encoding="utf-8") == "<!doctype html>"


def test_it_is_json_where_that_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = evaluated(folder, monkeypatch, "--json")
    assert {"id", "metrics", "state"} <= set(json.loads(printed.stdout))

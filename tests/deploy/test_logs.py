"""Log files of the children."""

import json
from pathlib import Path

from deploy.embedded.logs import RotatingLog, last_events


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_json_lines_are_kept_and_others_are_wrapped(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.jsonl", "api")
    log.feed(b'{"event": "started"}\nplain \xff words\n[1]\n{broken\n')
    log.close()
    first, *wrapped = _lines(tmp_path / "api.jsonl")
    assert first == '{"event": "started"}'
    assert [json.loads(line)["event"] for line in wrapped] == [
        "plain \ufffd words",
        "[1]",
        "{broken",
    ]
    assert all(json.loads(line)["process"] == "api" for line in wrapped)


def test_a_line_that_comes_in_pieces_is_written_once_whole(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.jsonl", "api")
    log.feed(b'{"event": ')
    assert not (tmp_path / "api.jsonl").exists()
    log.feed(b'"whole"}\n{"event": "cut off"')
    log.flush_rest()
    log.close()
    events = [json.loads(line)["event"] for line in _lines(tmp_path / "api.jsonl")]
    assert events == ["whole", '{"event": "cut off"']


def test_size_stays_bounded_and_the_newest_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "api.jsonl"
    log = RotatingLog(path, "api", limit_bytes=1000, kept=2)
    for number in range(500):
        log.feed(f'{{"event": "{number}"}}\n'.encode())
    log.close()
    assert {each.name for each in tmp_path.iterdir()} == {
        "api.jsonl",
        "api.jsonl.1",
        "api.jsonl.2",
    }
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 3000
    assert last_events(path, 1) == ["499"]


def test_an_endless_line_does_not_grow_in_memory(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.jsonl", "api")
    for _ in range(10):
        log.feed(b"x" * 60_000)
    log.close()
    written = sum(len(json.loads(line)["event"]) for line in _lines(tmp_path / "api.jsonl"))
    assert 65_536 * 5 <= written <= 600_000

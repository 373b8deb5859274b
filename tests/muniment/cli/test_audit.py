"""`muniment audit`: an export and its verification, with and without the API."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from muniment.cli import connection
from muniment.client import Muniment
from tests.muniment.audit.test_verification import EVENTS, SEALED, SIGNER, TRAIL, note, place_of
from tests.muniment.cli.conftest import Printed, invoke

Command = Callable[..., Printed]
KEY = SIGNER.verifier_key.written()
PART = 8


def served(request: httpx.Request) -> httpx.Response:
    """The trail of the tests of verification, in parts, as the API hands it out."""
    if request.url.path == "/v1/audit/checkpoint":
        newest = {"size": EVENTS, "root": "", "note": note(SEALED), "verifier_key": KEY}
        return httpx.Response(200, json=newest)
    assert request.url.path == "/v1/audit/sealed"
    assert request.url.params["until"] == str(EVENTS)
    first = int(request.url.params["first"])
    behind = min(first + PART, EVENTS)
    end = len(TRAIL) if behind == EVENTS else place_of(behind)
    following = None if behind == EVENTS else behind
    return httpx.Response(200, json={"data": TRAIL[place_of(first) : end], "next": following})


@pytest.fixture
def muniment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(served))

    monkeypatch.setattr(connection, "connect", connect)
    return lambda *arguments: invoke(arguments, {"TERM": "dumb", "COLUMNS": "200"})


def test_an_export_is_verified_without_the_api(muniment: Command, tmp_path: Path) -> None:
    export, kept = tmp_path / "trail.jsonl", tmp_path / "kept.note"
    kept.write_text(note(SEALED[:7]))
    assert muniment("audit", "export", str(export)).returncode == 0
    assert len(export.read_text().splitlines()) == len(TRAIL)
    assert muniment("audit", "export", str(export)).returncode == 1, "nothing is written over"
    found = muniment("audit", "verify", str(export), "--key", KEY, "--checkpoint", str(kept))
    assert found.returncode == 0
    assert "sound" in found.stdout
    lines = export.read_text().splitlines()
    lines[place_of(12)] = lines[place_of(12)].replace("file.opened", "file.listed")
    export.write_text("\n".join(lines))
    found = muniment("audit", "verify", str(export), "--key", KEY)
    assert found.returncode == 1
    assert "changed at event 12" in found.stdout
    found = muniment("audit", "verify", str(export), "--key", KEY, "--json")
    assert json.loads(found.stdout)["first"]["seq"] == 12


def test_the_trail_as_it_is_now_is_verified_by_the_key_that_the_server_tells(
    muniment: Command,
) -> None:
    found = muniment("audit", "verify")
    assert found.returncode == 0
    assert KEY in found.stderr
    assert f"{EVENTS}, of which checkpoints prove {EVENTS}" in found.stdout
    assert muniment("audit", "checkpoint").stdout == note(SEALED)


@pytest.mark.parametrize("content", [b"", b"x\n", b'{"kind": "event"}\n', b"\xff\n"])
def test_what_is_no_export_is_refused(muniment: Command, tmp_path: Path, content: bytes) -> None:
    export = tmp_path / "trail.jsonl"
    export.write_bytes(content)
    found = muniment("audit", "verify", str(export), "--key", KEY)
    assert found.returncode == 1
    assert muniment("audit", "verify", str(export)).returncode == 1, "a key is needed"
    assert muniment("audit", "verify", str(export), "--key", "x").returncode == 1
    assert muniment("audit", "verify", str(tmp_path / "none"), "--key", KEY).returncode == 1


def test_an_export_that_breaks_off_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breaking(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("first", "0") == "0":
            return served(request)
        return httpx.Response(404, json={"title": "gone", "status": 404})

    def connect(_: object) -> Muniment:
        return Muniment("http://api", "mun_x", transport=httpx.MockTransport(breaking))

    monkeypatch.setattr(connection, "connect", connect)
    export = tmp_path / "trail.jsonl"
    arguments = ("audit", "export", str(export))
    assert invoke(arguments, {"TERM": "dumb", "COLUMNS": "200"}).returncode == 1
    assert not export.exists()


def test_an_export_in_ocsf_has_the_events_alone(muniment: Command, tmp_path: Path) -> None:
    export = tmp_path / "trail.ocsf.jsonl"
    assert muniment("audit", "export", str(export), "--format", "ocsf").returncode == 0
    told = [json.loads(line) for line in export.read_text().splitlines()]
    assert [each["metadata"]["sequence"] for each in told] == list(range(EVENTS))
    assert {each["class_uid"] for each in told} == {6006}

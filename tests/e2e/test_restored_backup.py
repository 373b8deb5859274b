"""A backup from before an erasure is put back: what was erased is shown to nobody, and erased again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from muniment.stores import ERASURE_LEDGER
from tests.e2e.canaries import rows_with, write_document
from tests.e2e.test_erased_is_gone import _assert_in_no_answer, _await_completed, _put_everywhere
from tests.stack import Stack, running_stack, wait_for

NOT_BACKED_UP = {"run", "log"}


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path / "home") as stack:
        yield stack


@pytest.mark.slow
def test_what_was_erased_since_the_backup_is_erased_again_before_anybody_is_served(
    own_stack: Stack, tmp_path: Path
) -> None:
    path, planted = write_document(tmp_path)
    words = list(planted.words.values())
    backup = tmp_path / "backup"
    with own_stack.client() as client:
        ids = _put_everywhere(own_stack, client, path, planted)
    own_stack.down()
    _copy(own_stack.home, backup)
    own_stack.up()
    with own_stack.client() as client:
        first = client.post("/v1/erasures", json={"file_id": ids["file_id"]}).json()["id"]
        _await_completed(client, first)
    own_stack.down()
    _put_back(backup, own_stack.home)

    own_stack.up()
    with own_stack.client() as client:
        _assert_in_no_answer(client, ids, planted)
        [erasure_id] = [
            each["id"]
            for each in client.get("/v1/erasures").json()["data"]
            if each["file_id"] == ids["file_id"]
        ]
        assert erasure_id != first, "the one before was lost with the database"
        _await_completed(client, erasure_id)
        _assert_in_no_answer(client, ids | {"erasure_id": erasure_id}, planted)
        assert rows_with(own_stack, words) == set()
        statement = _certified(client, erasure_id)
    ledger = (own_stack.home / "keys" / ERASURE_LEDGER).read_text().splitlines()
    times = [each["at"] for each in map(json.loads, ledger) if each["blob_id"] is None]
    assert statement["replay_of"] == _in_zulu(times[0])
    assert statement["requested_by"] is None


@pytest.mark.slow
def test_the_api_serves_nobody_while_a_restored_database_shows_what_was_erased(
    own_stack: Stack, tmp_path: Path
) -> None:
    """Where nobody ran the command, and the processes are started by other means than `muniment up`."""
    path = tmp_path / "almanac.txt"
    path.write_text("The almanac of the vermilion abbot.")
    with own_stack.client() as client:
        file = own_stack.upload(client, path)
        own_stack.finished_job(client, file["job"]["id"])  # type: ignore[index] # JSON
        with own_stack.database() as connection:
            [tenant_id] = _row(connection, "SELECT tenant_id FROM file WHERE id = %s", file["id"])
        line = {"at": "2026-01-31T12:00:00+00:00", "tenant_id": str(tenant_id)}
        line |= {"file_id": file["id"], "blob_id": None}
        with (own_stack.home / "keys" / ERASURE_LEDGER).open("a") as ledger:
            ledger.write(json.dumps(line) + "\n")
        for name in own_stack.named("api"):
            former = own_stack.kill(name)
            wait_for(
                lambda name=name, former=former: own_stack.has_successor(name, former),  # type: ignore[misc]
                timeout_seconds=60,
                what="the API to be started again",
            )

        def is_shut() -> bool:
            try:
                answer = client.get(f"/v1/files/{file['id']}")
            except httpx.TransportError:
                return False
            return answer.status_code == 503 and answer.json()["type"].endswith(":restoring")

        wait_for(is_shut, timeout_seconds=60, what="the API to serve nobody")
        ready = client.get("/readyz")
        states = {each["name"]: each["state"] for each in ready.json()["dependencies"]}
        assert (ready.status_code, states["erasures"]) == (503, "down")


def _row(connection: psycopg.Connection, query: str, *values: object) -> tuple[object, ...]:
    found = connection.execute(query.encode(), values).fetchone()
    assert found is not None
    return tuple(found)


def _copy(home: Path, backup: Path) -> None:
    """Of a home whose stack is down; Temporal's log of its database belongs to it."""
    for source in home.iterdir():
        if source.name in NOT_BACKED_UP:
            continue
        if source.is_dir():
            shutil.copytree(source, backup / source.name, symlinks=True)
        else:
            backup.mkdir(exist_ok=True)
            shutil.copy2(source, backup / source.name)


def _put_back(backup: Path, home: Path) -> None:
    """All but the ledger: that is never put back."""
    ledger = (home / "keys" / ERASURE_LEDGER).read_bytes()
    for former in home.iterdir():
        if former.name in NOT_BACKED_UP:
            continue
        shutil.rmtree(former) if former.is_dir() else former.unlink()
    _copy(backup, home)
    (home / "keys" / ERASURE_LEDGER).write_bytes(ledger)


def _certified(client: httpx.Client, erasure_id: str) -> dict[str, object]:
    path = f"/v1/erasures/{erasure_id}/certificate"
    wait_for(
        lambda: client.get(path).status_code == 200,
        timeout_seconds=60,
        what="the erasure to be sealed",
    )
    payload: dict[str, object] = client.get(path).json()["event"]["payload"]
    return payload


def _in_zulu(at: str) -> str:
    return at.replace("+00:00", "Z")

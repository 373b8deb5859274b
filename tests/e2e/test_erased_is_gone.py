"""What was erased is in no byte of any store, and from the moment the erasure is accepted in no answer."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from activities.scratch import FOLDER
from muniment.api_keys import ALL_SCOPES
from muniment.opened_content import MEMORY_ROOT
from tests.api.things import LAST_CENTURY, filled, routes
from tests.e2e.canaries import Canaries, files_with, rows_with, write_document
from tests.stack import Stack, wait_for

QUESTION = "Until when is the drydock leased?"


@pytest.fixture
def canaries(tmp_path: Path) -> tuple[Path, Canaries]:
    return write_document(tmp_path)


def test_an_erased_document_is_in_no_answer_and_no_row(
    stack: Stack, client: httpx.Client, canaries: tuple[Path, Canaries]
) -> None:
    path, planted = canaries
    ids = _put_everywhere(stack, client, path, planted)
    words = list(planted.words.values())
    assert rows_with(stack, words), "else what follows could not fail"
    accepted = client.post(
        "/v1/erasures", json={"file_id": ids["file_id"]}, headers={"Idempotency-Key": str(path)}
    )
    assert accepted.status_code == 202, accepted.text
    ids["erasure_id"] = accepted.json()["id"]
    _assert_in_no_answer(client, ids, planted)
    _await_completed(client, ids["erasure_id"])
    _assert_in_no_answer(client, ids, planted)
    assert rows_with(stack, words) == set()


@pytest.mark.slow
def test_an_erased_documents_words_and_picture_are_in_no_byte_of_any_store(
    stack: Stack, client: httpx.Client, canaries: tuple[Path, Canaries]
) -> None:
    path, planted = canaries
    needles = planted.needles()
    ids = _put_everywhere(stack, client, path, planted)
    assert files_with([stack.home / "postgres"], needles), "else what follows could not fail"
    accepted = client.post("/v1/erasures", json={"file_id": ids["file_id"]})
    _await_completed(client, accepted.json()["id"])
    _write_the_database_anew(stack)
    assert files_with([stack.home, MEMORY_ROOT / FOLDER], needles) == {}


def test_what_a_hold_keeps_from_being_erased_is_in_no_answer_from_then_on(
    stack: Stack, client: httpx.Client, canaries: tuple[Path, Canaries]
) -> None:
    path, planted = canaries
    ids = _put_everywhere(stack, client, path, planted)
    me = client.get("/v1/auth/me").json()
    placed = client.post(
        "/v1/legal-holds",
        json={
            "matter": "Harbour v. Quay",
            "items": [{"file_id": ids["file_id"]}],
            "custodians": [me["id"]],
        },
    )
    assert placed.status_code == 201, placed.text
    accepted = client.post("/v1/erasures", json={"file_id": ids["file_id"]})
    assert (accepted.status_code, accepted.json()["state"]) == (202, "held"), accepted.text
    held = {"hold_id": placed.json()["id"], "erasure_id": accepted.json()["id"]}
    # Whoever decides about what is kept may read it: docs/legal-holds.md.
    others = [scope for scope in ALL_SCOPES if scope != "quarantine:decide"]
    key = client.post("/v1/api-keys", json={"name": "reader", "scopes": others})
    assert key.status_code == 201, key.text
    with stack.client(key.json()["secret"]) as reader:
        _assert_in_no_answer(reader, {**ids, **held}, planted)


def _put_everywhere(
    stack: Stack, client: httpx.Client, path: Path, planted: Canaries
) -> dict[str, str]:
    """The document, read and published, and all that people say of it; ids by the names that routes have."""
    words = planted.words
    file = client.post(
        "/v1/files",
        params={"name": path.name},
        content=path.read_bytes(),
        headers={"Idempotency-Key": str(path)},
    ).json()
    ids = {"file_id": str(file["id"]), "job_id": str(file["job"]["id"])}
    assert stack.finished_job(client, ids["job_id"])["state"] == "completed"
    changed = client.patch(
        f"/v1/files/{ids['file_id']}",
        json={"labels": [words["label"]], "metadata": {"matter": words["metadata"]}},
        headers={"If-Match": client.get(f"/v1/files/{ids['file_id']}").headers["ETag"]},
    )
    assert changed.status_code == 200, changed.text
    quote = {"exact": f"The shipwright of {words['text']}"}
    annotation = client.post(
        "/v1/annotations",
        json={
            "file_id": ids["file_id"],
            "body": words["annotation"],
            "tags": [words["tag"]],
            "target": {"page": 1, "quote": quote},
        },
        headers={"Idempotency-Key": f"annotation {path}"},
    )
    assert annotation.status_code == 201, annotation.text
    ids["annotation_id"] = annotation.json()["id"]
    comment = client.post(
        f"/v1/annotations/{ids['annotation_id']}/comments", json={"body": words["comment"]}
    )
    assert comment.status_code == 201, comment.text
    ids["comment_id"] = comment.json()["id"]
    ids |= _ask(client, words)
    assert stack.get_made(client, f"/v1/files/{ids['file_id']}/markdown").status_code == 200
    return ids


def _ask(client: httpx.Client, words: dict[str, str]) -> dict[str, str]:
    """An answer that quotes the document, what is said of it, and one that is kept in the cache."""
    found = client.post("/v1/search", json={"query": QUESTION}).json()
    assert words["text"] in str(found)
    conversation = client.post("/v1/conversations", json={"title": "The drydock"}).json()
    asked = {"query": QUESTION, "conversation_id": conversation["id"]}
    answer = client.post("/v1/query", json=asked)
    assert words["text"] in answer.text, answer.text
    assert client.post("/v1/query", json={"query": QUESTION}).status_code == 200
    said = {"message_id": answer.json()["message_id"], "verdict": "up", "text": words["feedback"]}
    feedback = client.post("/v1/feedback", json=said)
    assert feedback.status_code in (200, 201), feedback.text
    return {
        "conversation_id": conversation["id"],
        "message_id": answer.json()["message_id"],
        "feedback_id": feedback.json()["id"],
    }


def _assert_in_no_answer(client: httpx.Client, ids: dict[str, str], planted: Canaries) -> None:
    told: dict[str, list[str]] = {}
    for path, answer in _answers(client, ids):
        content = answer.content.lower()
        there = [place for place, word in planted.words.items() if word.encode() in content]
        if planted.picture in answer.content:
            there.append("picture")
        if there:
            told[path] = there
    assert told == {}


def _answers(client: httpx.Client, ids: dict[str, str]) -> Iterator[tuple[str, httpx.Response]]:
    """Of every GET route, of searches and of questions. Streams have no end: what they begin with."""
    for method, route in routes():
        if method != "GET":
            continue
        path = filled(route.path, ids)
        parameters = {"file_id": ids["file_id"]} if route.path == "/v1/annotations" else {}
        if "/analytics/" in route.path:
            parameters = LAST_CENTURY
        with client.stream("GET", path, params=parameters) as answer:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                continue
            answer.read()
            yield path, answer
    for path in ("/v1/search", "/v1/query"):
        yield path, client.post(path, json={"query": QUESTION})


def _await_completed(client: httpx.Client, erasure_id: str) -> None:
    wait_for(
        lambda: client.get(f"/v1/erasures/{erasure_id}").json()["state"] == "completed",
        timeout_seconds=120,
        what="the erasure to be completed",
    )


def _write_the_database_anew(stack: Stack) -> None:
    """Every table without what was deleted, and no log from before that: twice, since a checkpoint keeps
    what lies behind the one before it."""
    with stack.database() as connection:
        connection.execute("ALTER SYSTEM SET wal_recycle = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            connection.execute("VACUUM FULL")
            for _ in range(2):
                connection.execute("SELECT pg_switch_wal()")
                connection.execute("CHECKPOINT")
        finally:
            connection.execute("ALTER SYSTEM RESET wal_recycle")
            connection.execute("SELECT pg_reload_conf()")

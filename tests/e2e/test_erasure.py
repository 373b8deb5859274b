"""A permanent deletion leaves nothing that could be read: no row, no key, no ciphertext."""

import json
from pathlib import Path
from uuid import UUID

import httpx
from typer.testing import CliRunner

from muniment.audit.signing_keys import load_signing_keys
from muniment.cli.main import app
from muniment.stores import AUDIT_KEY_FILE
from tests.stack import Stack, wait_for

TELLING = "The vermilion almanac prescribes cinnabar for the abbot."


def test_erasing_the_last_reference_destroys_key_and_ciphertext(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "almanac.txt"
    path.write_text(TELLING)
    first = stack.upload(client, path)
    stack.finished_job(client, first["job"]["id"])  # type: ignore[index] # JSON
    path = path.rename(tmp_path / "copy-of-almanac.txt")
    second = stack.upload(client, path)
    stack.finished_job(client, second["job"]["id"])  # type: ignore[index] # JSON
    blobs = blobs_of(stack, second["id"])
    assert blobs == blobs_of(stack, first["id"]), "the second file shares every blob"

    erase(stack, client, first["id"])
    assert all(files_named(stack, blob) for blob in blobs), "the second file still needs them"
    content = client.get(f"/v1/files/{second['id']}/content")
    assert content.text == TELLING

    erase(stack, client, second["id"])
    for blob in blobs:
        assert files_named(stack, blob) == [], "object and wrapped key are gone"
    shown = client.get(f"/v1/files/{second['id']}")
    assert shown.status_code in (404, 410) or shown.json()["state"] == "erased"
    assert client.get(f"/v1/files/{second['id']}/content").status_code in (404, 410)
    with stack.database() as connection:
        for table in ("chunk", "page", "finding", "blob_reference"):
            column = "file_id" if table == "chunk" else "version_id"
            row = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column} = %s"  # noqa: S608 - names from above
                " OR " + column + " IN (SELECT id FROM file_version WHERE file_id = %s)",
                (UUID(str(second["id"])), UUID(str(second["id"]))),
            ).fetchone()
            assert row == (0,), table
        dump = connection.execute("SELECT count(*) FROM chunk WHERE text LIKE '%cinnabar%'")
        assert dump.fetchone() == (0,)
    ledger = next((stack.home / "keys").rglob("erasures.jsonl")).read_text()
    assert str(second["id"]) in ledger


def test_an_erasure_is_certified_and_the_certificate_holds_without_a_server(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "charter.txt"
    path.write_text("The charter of the ropewalk was burnt in 1809.")
    file = stack.upload(client, path)
    stack.finished_job(client, file["job"]["id"])  # type: ignore[index] # JSON
    erase(stack, client, file["id"])
    [erasure_id] = [
        each["id"]
        for each in client.get("/v1/erasures").json()["data"]
        if each["file_id"] == file["id"]
    ]
    wait_for(
        lambda: client.get(f"/v1/erasures/{erasure_id}/certificate").status_code == 200,
        timeout_seconds=60,
        what="the erasure to be sealed",
    )
    written = tmp_path / "certificate.json"
    written.write_bytes(client.get(f"/v1/erasures/{erasure_id}/certificate").content)
    assert b"charter" not in written.read_bytes()
    keys = load_signing_keys(stack.home / "keys" / AUDIT_KEY_FILE, "muniment").verifier_keys
    verify = ["erasures", "verify", str(written), "--json", "--key"]
    shown = CliRunner().invoke(app, [*verify, keys[0].written()])
    assert shown.exit_code == 0, shown.output
    statement = json.loads(shown.stdout)
    assert (statement["file_id"], statement["erasure_id"]) == (file["id"], erasure_id)
    assert statement["requested_by"] == client.get("/v1/auth/me").json()["id"]
    assert statement["keys_destroyed"] > 3
    survivors = {each["what"] for each in statement["lives_on"]}
    assert survivors == {
        "database_free_space",
        "backups",
        "tombstone",
        "audit_events",
        "records",
    }
    assert statement["methods"] == ["data_key_destroyed", "ciphertext_deleted", "rows_deleted"]
    other = load_signing_keys(tmp_path / "other.pem", "muniment").verifier_keys[0]
    assert CliRunner().invoke(app, [*verify, other.written()]).exit_code != 0


def erase(stack: Stack, client: httpx.Client, file_id: object) -> None:
    answer = client.delete(f"/v1/files/{file_id}", params={"permanent": "true"})
    assert answer.status_code == 202, answer.text

    def erased() -> bool:
        with stack.database() as connection:
            row = connection.execute(
                "SELECT state FROM erasure WHERE file_id = %s", (UUID(str(file_id)),)
            ).fetchone()
        return row is not None and row[0] == "completed"

    wait_for(erased, timeout_seconds=60, what="the erasure")


def blobs_of(stack: Stack, file_id: object) -> set[str]:
    with stack.database() as connection:
        rows = connection.execute(
            "SELECT DISTINCT blob_reference.blob_id FROM blob_reference"
            " JOIN file_version ON file_version.id = version_id"
            " WHERE file_id = %s",
            (UUID(str(file_id)),),
        ).fetchall()
    assert rows
    return {str(row[0]) for row in rows}


def files_named(stack: Stack, blob_id: str) -> list[Path]:
    """Every file of the home whose name holds the blob's id: the ciphertext and the wrapped key."""
    return [
        path
        for folder in ("objects", "keys")
        for path in (stack.home / folder).rglob(f"*{blob_id}*")
    ]

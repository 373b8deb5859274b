"""A permanent deletion leaves nothing that could be read: no row, no key, no ciphertext."""

from pathlib import Path
from uuid import UUID

import httpx

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

"""An archive over the API: its members, listed, trashed, restored and erased with it."""

import io
import zipfile
from pathlib import Path
from uuid import UUID

import httpx

from tests.stack import Stack, wait_for


def zipped(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_members_are_listed_and_follow_their_archive(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    inner = zipped({"deep.txt": b"The cobalt ledger lies deepest."})
    path = tmp_path / "papers.zip"
    path.write_bytes(zipped({"one/a.txt": b"The umber ledger.", "inner.zip": inner}))
    archive = stack.upload(client, path)
    assert stack.finished_job(client, archive["job"]["id"])["state"] == "completed"  # type: ignore[index] # JSON

    def members(file_id: object, **parameters: str) -> dict[str, dict[str, object]]:
        answer = client.get("/v1/files", params={"parent": str(file_id), **parameters})
        assert answer.status_code == 200, answer.text
        return {each["name"]: each for each in answer.json()["data"]}

    found = members(archive["id"])
    assert {name: each["state"] for name, each in found.items()} == {
        "a.txt": "ready",
        "inner.zip": "ready",
    }
    assert found["a.txt"]["parent"] == {"file_id": archive["id"], "path": "one/a.txt"}
    deep = members(found["inner.zip"]["id"])["deep.txt"]
    assert client.get(f"/v1/files/{deep['id']}/content").text.startswith("The cobalt")

    assert client.delete(f"/v1/files/{found['a.txt']['id']}").status_code == 200
    assert client.delete(f"/v1/files/{archive['id']}").status_code == 200
    assert members(archive["id"]) == {}
    assert client.get(f"/v1/files/{deep['id']}").json()["state"] == "trashed"
    assert client.post(f"/v1/files/{archive['id']}/restore").status_code == 200
    assert set(members(archive["id"])) == {"inner.zip"}, "what was trashed alone stays there"
    assert client.get(f"/v1/files/{deep['id']}").json()["state"] == "ready"

    answer = client.delete(f"/v1/files/{archive['id']}", params={"permanent": "true"})
    assert answer.status_code == 202, answer.text

    def erased() -> bool:
        with stack.database() as connection:
            rows = connection.execute(
                "SELECT state, coalesce(member_path, '') FROM file WHERE root_id = %s OR id = %s",
                (UUID(str(archive["id"])), UUID(str(archive["id"]))),
            ).fetchall()
        return set(rows) == {("erased", "")}

    wait_for(erased, timeout_seconds=60, what="the archive and all that was in it to be erased")

"""A document sent in pieces, side by side, is read as one sent whole; what is left over is cleared."""

import httpx

from tests.conftest import REPOSITORY
from tests.stack import Stack, wait_for

PIECE = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
VERSION = {"Tus-Resumable": "1.0.0"}
DOCUMENT = REPOSITORY / "deploy" / "samples" / "ntsb-latrobe-accident-report.pdf"


def _partial(client: httpx.Client, content: bytes) -> str:
    """A partial upload with all its content."""
    created = client.post(
        "/v1/uploads",
        headers={**PIECE, "Upload-Concat": "partial", "Upload-Length": str(len(content))},
        content=content,
    )
    assert created.status_code == 201, created.text
    return f"/v1/uploads/{created.json()['id']}"


def _parts(stack: Stack) -> int:
    with stack.database() as connection:
        row = connection.execute("SELECT count(*) FROM upload_part").fetchone()
    return -1 if row is None else int(row[0])


def test_a_joined_document_becomes_ready_and_its_parts_go(
    stack: Stack, client: httpx.Client
) -> None:
    content = DOCUMENT.read_bytes()
    middle = len(content) // 2
    paths = [_partial(client, piece) for piece in (content[:middle], content[middle:])]
    abandoned, terminated = [_partial(client, b"never finished") for _ in range(2)]
    final = client.post(
        "/v1/uploads",
        headers={
            **VERSION,
            "Upload-Concat": f"final;{' '.join(paths)}",
            "Upload-Metadata": "filename am9pbmVkLnBkZg==",
        },
    )
    assert final.status_code == 201, final.text
    file = client.get(f"/v1/files/{final.headers['Muniment-File']}").json()
    assert file["name"] == "joined.pdf"
    assert stack.finished_job(client, file["job"]["id"])["state"] == "completed"
    assert client.get(f"/v1/files/{file['id']}").json()["state"] == "ready"
    assert client.get(f"/v1/files/{file['id']}/content").content == content
    assert client.delete(terminated, headers=VERSION).status_code == 204
    with stack.database() as connection:
        connection.execute(
            "UPDATE upload SET expires_at = now() WHERE id = %s", (abandoned.rpartition("/")[2],)
        )
    wait_for(lambda: _parts(stack) == 0, timeout_seconds=120, what="the parts to be destroyed")
    assert client.head(abandoned, headers=VERSION).status_code == 410
    actions = [each["action"] for each in client.get("/v1/audit?limit=100").json()["data"]]
    assert actions.count("upload.expired") == 1

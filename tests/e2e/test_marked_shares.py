"""A PDF that is shared with a watermark reaches a visitor with its sharer's name on every page."""

import io
from pathlib import Path

import httpx
import psycopg
import pypdfium2

from tests.stack import Stack, wait_for
from tests.workflows.documents import page_text, text_pdf


def test_a_visitor_gets_a_copy_that_says_who_shared_it(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "marked.pdf"
    path.write_bytes(text_pdf([page_text(1), page_text(2)]))
    file = stack.upload(client, path)
    assert stack.finished_job(client, file["job"]["id"])["state"] == "completed"  # type: ignore[index] # JSON
    with psycopg.connect(stack.endpoints["database"]) as connection:
        # As a scanner would, which not every machine has.
        connection.execute(
            "UPDATE file_version SET scan_state = 'clean', scanned_at = now() WHERE file_id = %s",
            (file["id"],),
        )
    made = client.post("/v1/shares", json={"file_id": file["id"], "watermark": True}).json()
    address = f"{httpx.URL(made['url']).path}/content"
    with httpx.Client(base_url=stack.endpoints["api"], timeout=60, trust_env=False) as visitor:

        def copy() -> httpx.Response | None:
            answer = visitor.get(address)
            return None if answer.status_code == 503 else answer

        whole = wait_for(copy, timeout_seconds=120, what="the marked copy")
        assert whole.status_code == 200, whole.text
        assert whole.content != path.read_bytes()
        assert whole.headers["Content-Type"] == "application/pdf"
        part = visitor.get(address, headers={"Range": "bytes=5-104"})
        assert (part.status_code, part.content) == (206, whole.content[5:105])
        again = visitor.get(address, headers={"If-None-Match": whole.headers["ETag"]})
        assert again.status_code == 304
        assert int(visitor.head(address).headers["Content-Length"]) == len(whole.content)
    with pypdfium2.PdfDocument(io.BytesIO(whole.content)) as document:
        assert len(document) == 2
        for page in document:
            assert made["created_by"] in page.get_textpage().get_text_bounded()
    assert client.get(f"/v1/shares/{made['id']}").json()["downloads"] == 1
    own = client.get(f"/v1/files/{file['id']}/content")
    assert own.content == path.read_bytes()

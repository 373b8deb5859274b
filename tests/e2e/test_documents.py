"""Every family of documents goes in, is read, searched, quoted and given back unchanged."""

import hashlib
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.stack import Stack

SAMPLES = sorted(
    path
    for path in (REPOSITORY / "deploy" / "samples").iterdir()
    if path.suffix in {".pdf", ".docx", ".png", ".jpg", ".jpeg"}
)

TEXTS = {
    "charter.md": "# The harbour charter\n\nThe harbour master keeps the tide register in oak.\n",
    "minutes.txt": "Minutes of the lighthouse board.\n\nThe lamp oil budget was raised to 412 crowns.\n",
    "notice.html": "<html><body><h1>Notice</h1><p>The ferry to Skerry leaves at dawn on Fridays."
    "</p></body></html>",
}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_becomes_ready_with_pages_document_and_chunks(
    stack: Stack, client: httpx.Client, path: Path
) -> None:
    file = stack.upload(client, path)
    assert stack.finished_job(client, file["job"]["id"])["state"] == "completed"  # type: ignore[index] # JSON

    shown = client.get(f"/v1/files/{file['id']}").json()
    assert shown["state"] == "ready"
    assert shown["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    pages = client.get(f"/v1/files/{file['id']}/pages").json()["data"]
    assert len(pages) == shown["pages"] > 0
    page = client.get(f"/v1/files/{file['id']}/pages/1").json()
    assert page["text"].strip()
    assert client.get(f"/v1/files/{file['id']}/document").json()["schema_name"]
    assert stack.get_made(client, f"/v1/files/{file['id']}/markdown").text.strip()
    chunks = client.get(f"/v1/files/{file['id']}/chunks").json()["data"]
    assert chunks
    if path.suffix != ".docx":
        assert all(chunk["pages"] and chunk["boxes"] for chunk in chunks)
        for chunk in chunks:
            for box in chunk["boxes"]:
                x0, y0, x1, y1 = box["bbox"]
                assert 0 <= x0 <= x1 <= pages[box["page"] - 1]["width"] + 1
                assert 0 <= y0 <= y1 <= pages[box["page"] - 1]["height"] + 1
    _has_pictures(stack, client, str(file["id"]), pages[0], none=path.suffix == ".docx")
    content = client.get(f"/v1/files/{file['id']}/content")
    assert content.content == path.read_bytes()
    part = client.get(f"/v1/files/{file['id']}/content", headers={"Range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.content == path.read_bytes()[100:300]


def _has_pictures(
    stack: Stack, client: httpx.Client, file_id: str, page: dict[str, float], *, none: bool
) -> None:
    """In the shape of the page that its boxes lie on."""
    path = f"/v1/files/{file_id}/pages/1/image"
    image = stack.get_made(client, path, dpi=72, format="png")
    thumbnail = stack.get_made(client, f"/v1/files/{file_id}/thumbnail")
    if none:
        assert (image.status_code, thumbnail.status_code) == (404, 404)
        return
    assert (image.headers["Content-Type"], thumbnail.headers["Content-Type"]) == (
        "image/png",
        "image/webp",
    )
    drawn, small = (Image.open(io.BytesIO(answer.content)) for answer in (image, thumbnail))
    assert drawn.size == pytest.approx((page["width"], page["height"]), abs=1.5)
    assert max(small.size) == 256
    known = client.get(str(image.url), headers={"If-None-Match": image.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_text_formats_are_found_and_quoted_with_their_file(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    files = {}
    for name, text in TEXTS.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        files[name] = stack.upload(client, path)
    for file in files.values():
        assert stack.finished_job(client, file["job"]["id"])["state"] == "completed"  # type: ignore[index] # JSON

    for mode in ("hybrid", "lexical", "vector"):
        found = client.post(
            "/v1/search", json={"query": "when does the ferry to Skerry leave", "mode": mode}
        ).json()
        assert found["data"][0]["file_id"] == files["notice.html"]["id"]

    answer = client.post("/v1/query", json={"query": "What was the lamp oil budget raised to?"})
    document = answer.json()
    assert "412 crowns" in document["answer"]
    citation = document["citations"][0]
    assert citation["file_id"] == files["minutes.txt"]["id"]
    assert citation["verified"] is True
    assert citation["quote"] in TEXTS["minutes.txt"]
    assert citation["page"] == 1


def test_the_same_content_under_another_name_reuses_every_stage(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    source = next(path for path in SAMPLES if path.suffix == ".pdf")
    first = stack.upload(client, source)
    stack.finished_job(client, first["job"]["id"])  # type: ignore[index] # JSON
    again = stack.upload(client, source)
    assert again["id"] == first["id"]
    assert again["deduplicated"] is True

    copy = tmp_path / "copy.pdf"
    copy.write_bytes(source.read_bytes())
    second = stack.upload(client, copy)
    assert second["id"] != first["id"]
    job = stack.finished_job(client, second["job"]["id"])  # type: ignore[index] # JSON
    assert job["state"] == "completed"
    assert job["pages"]["reused"] == job["pages"]["total"] > 0  # type: ignore[index] # JSON
    states = {stage["name"]: stage["state"] for stage in job["stages"]}  # type: ignore[attr-defined] # JSON
    for stage in ("inspect", "read", "assemble", "classify", "chunk", "embed"):
        assert states[stage] == "reused", states
    with stack.database() as connection:
        row = connection.execute(
            "SELECT count(*) FROM blob WHERE kind = 'content' AND sha256 = %s",
            (hashlib.sha256(source.read_bytes()).digest(),),
        ).fetchone()
    assert row == (1,)


def test_trash_and_restore_take_effect_in_search_at_once(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "trashed.txt"
    path.write_text("The quicksilver ledger mentions zephyrine varnish only once.\n")
    file = stack.upload(client, path)
    stack.finished_job(client, file["job"]["id"])  # type: ignore[index] # JSON

    def found() -> bool:
        answer = client.post("/v1/search", json={"query": "zephyrine varnish", "mode": "lexical"})
        return file["id"] in [hit["file_id"] for hit in answer.json()["data"]]

    assert found()
    assert client.delete(f"/v1/files/{file['id']}").json()["state"] == "trashed"
    assert not found()
    assert client.post(f"/v1/files/{file['id']}/restore").json()["state"] == "ready"
    assert found()

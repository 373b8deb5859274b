"""Files that cannot be read end as `failed`, say why and what to do, and stay in their owner's hands."""

import io
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.stack import Stack

SAMPLES = REPOSITORY / "deploy" / "samples"


def born_digital_pdf() -> bytes:
    return min(SAMPLES.glob("*.pdf"), key=lambda path: path.stat().st_size).read_bytes()


def zipped_nonsense() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.bin", bytes(range(256)) * 40)
    return buffer.getvalue()


def pdf_without_pages() -> bytes:
    objects = [
        b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
        b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n",
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for item in objects:
        offsets.append(len(body))
        body += item
    start = len(body)
    body += b"xref\n0 3\n0000000000 65535 f \n"
    body += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + b"trailer<</Size 3/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


def encrypted_pdf(shared_data: Path) -> bytes:
    folder = shared_data / "documents" / "pdf-encrypted"
    return min(folder.glob("*.pdf"), key=lambda path: path.stat().st_size).read_bytes()


CASES = {
    "empty.pdf": (lambda: b"", {"empty-file"}),
    "truncated.pdf": (lambda: born_digital_pdf()[:700], {"damaged-document"}),
    "picture.png": (born_digital_pdf, {"wrong-type"}),
    "unknown.xyz": (lambda: bytes(range(256)) * 64, {"unknown-format"}),
    "nonsense.docx": (zipped_nonsense, {"wrong-type", "damaged-document", "unknown-format"}),
    "no-pages.pdf": (pdf_without_pages, {"no-pages", "damaged-document"}),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_fails_with_its_reason_and_remedy(
    stack: Stack, client: httpx.Client, tmp_path: Path, name: str
) -> None:
    make, problems = CASES[name]
    path = tmp_path / name
    path.write_bytes(make())
    check_refused(stack, client, path, problems)


def test_an_encrypted_pdf_asks_for_its_password(
    stack: Stack, client: httpx.Client, tmp_path: Path, shared_data: Path
) -> None:
    manifest_says_locked = shared_data / "documents" / "pdf-encrypted"
    refused = 0
    for source in sorted(manifest_says_locked.glob("*.pdf"))[:4]:
        file = stack.upload(client, source)
        job = stack.finished_job(client, _job_id(file))
        if job["state"] == "failed":
            assert str(job["error"]["type"]).endswith("encrypted-document")  # type: ignore[index] # JSON
            assert "password" in job["error"]["remedy"]  # type: ignore[index] # JSON
            refused += 1
    assert refused > 0, "no file of the set needs a password to open"


def check_refused(stack: Stack, client: httpx.Client, path: Path, problems: set[str]) -> None:
    file = stack.upload(client, path)
    job = stack.finished_job(client, _job_id(file))
    assert job["state"] == "failed"
    error = job["error"]
    assert isinstance(error, dict)
    assert error["type"].rsplit(":", 1)[-1] in problems
    assert error["detail"]
    assert error["remedy"]

    shown = client.get(f"/v1/files/{file['id']}").json()
    assert shown["state"] == "failed"
    content = client.get(f"/v1/files/{file['id']}/content")
    assert content.status_code == 200
    assert content.content == path.read_bytes()

    retried = client.post(f"/v1/jobs/{_job_id(file)}/retry")
    assert retried.status_code == 202, retried.text
    assert retried.json()["retry_of"] == _job_id(file)
    assert stack.finished_job(client, retried.json()["id"])["state"] == "failed"

    assert client.delete(f"/v1/files/{file['id']}").status_code == 200
    erased = client.delete(f"/v1/files/{file['id']}", params={"permanent": "true"})
    assert erased.status_code == 202, erased.text


def _job_id(file: dict[str, object]) -> str:
    job = file["job"]
    assert isinstance(job, dict)
    return str(job["id"])

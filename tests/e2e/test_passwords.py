"""A password opens an encrypted document, is never kept, and opens nothing for anybody else."""

from pathlib import Path

import httpx

from tests.conftest import REPOSITORY
from tests.stack import Stack, wait_for

ENCRYPTED = REPOSITORY / "tests" / "samples" / "pdf" / "encrypted.pdf"
PASSWORD = "openpassword"


def send(client: httpx.Client, name: str, password: str | None = None) -> dict[str, object]:
    response = client.post(
        "/v1/files",
        params={"name": name},
        content=ENCRYPTED.read_bytes(),
        headers={"X-Document-Password": password} if password else {},
    )
    assert response.status_code == 202, response.text
    document: dict[str, object] = response.json()
    return document


def ended(stack: Stack, client: httpx.Client, file: dict[str, object]) -> dict[str, object]:
    return stack.finished_job(client, file["job"]["id"])  # type: ignore[index] # JSON


def test_a_password_is_used_and_forgotten(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    locked = send(client, "locked.pdf")
    job = ended(stack, client, locked)
    assert str(job["error"]["type"]).endswith("encrypted-document")  # type: ignore[index] # JSON
    wrong = ended(stack, client, send(client, "wrong.pdf", "not the password"))
    assert "does not open" in wrong["error"]["detail"]  # type: ignore[index] # JSON

    opened = send(client, "opened.pdf", PASSWORD)
    assert ended(stack, client, opened)["state"] == "completed"
    assert "Stet clita" in client.get(f"/v1/files/{opened['id']}/pages/1").json()["text"]
    # The same content without its password finds nothing of what was read with it.
    assert ended(stack, client, send(client, "again.pdf"))["state"] == "failed"

    healed = client.post(f"/v1/jobs/{job['id']}/retry", json={"password": PASSWORD})
    assert healed.status_code == 202, healed.text
    assert PASSWORD not in healed.text
    assert stack.finished_job(client, healed.json()["id"])["state"] == "completed"

    for password, state in ((None, "failed"), (PASSWORD, "completed")):
        body = {"settings": {"chunk_tokens": 64}, **({"password": password} if password else {})}
        again = client.post(f"/v1/files/{opened['id']}/reprocess", json=body)
        assert again.status_code == 202, again.text
        assert PASSWORD not in again.text
        assert stack.finished_job(client, again.json()["id"])["state"] == state
    # What was drawn while the password was there is all that there is.
    assert stack.get_made(client, f"/v1/files/{opened['id']}/thumbnail").status_code == 200
    picture = stack.get_made(client, f"/v1/files/{opened['id']}/pages/1/image", dpi=300)
    assert picture.status_code == 422
    assert str(picture.json()["type"]).endswith("encrypted-document")
    assert "reprocess the file with its password" in picture.json()["remedy"]

    with stack.database() as connection:

        def gone() -> bool:
            left = connection.execute("SELECT count(*) FROM job_password").fetchone()
            kept = connection.execute(
                "SELECT count(*) FROM blob WHERE kind = 'password' AND destroyed_at IS NULL"
            ).fetchone()
            return left == kept == (0,)

        wait_for(gone, timeout_seconds=120, what="the passwords to be destroyed")
    logs = b"".join(path.read_bytes() for path in (stack.home / "log").glob("*.jsonl"))
    assert PASSWORD.encode() not in logs
    history = list(stack.home.glob("temporal.db*"))  # what was written last is beside the database
    assert history
    assert not any(PASSWORD.encode() in path.read_bytes() for path in history)


def test_a_password_in_the_address_is_refused(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/files", params={"name": "a.pdf", "password": PASSWORD}, content=b"%PDF-1.4"
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "password"

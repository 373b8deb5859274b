"""The virus scan on a whole stack, with a real clamd: nothing passes that it did not look into."""

import io
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.activities.test_scan import encrypted, zipped
from tests.clamd_process import EICAR, ClamdProcess, clamd
from tests.stack import Stack, running_stack, wait_for

MAX_FILE_BYTES = 8 * 1024 * 1024
LIMITS = {
    "MaxFileSize 2000M": "MaxFileSize 8M",
    "MaxScanSize 2000M": "MaxScanSize 16M",
    "StreamMaxLength 2000M": "StreamMaxLength 64M",
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def scanner() -> Iterator[ClamdProcess]:
    with clamd(LIMITS) as process:
        process.date(datetime.now(UTC) - timedelta(hours=1))
        yield process


@pytest.fixture(scope="module")
def stack(scanner: ClamdProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("scanned") / "home"
    with running_stack(
        home, MUNIMENT_SCAN__SOCKET=scanner.address, MUNIMENT_SCAN__TIMEOUT_SECONDS="5"
    ) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.fixture
def undecided(stack: Stack, client: httpx.Client) -> Iterator[httpx.Client]:
    """The same person, with a key that decides nothing."""
    scopes = ["files:read", "files:write", "jobs:read", "jobs:write"]
    made = client.post("/v1/api-keys", json={"name": "undecided", "scopes": scopes})
    assert made.status_code == 201, made.text
    with stack.client(made.json()["secret"]) as other:
        yield other


def upload(client: httpx.Client, name: str, content: bytes) -> tuple[str, str]:
    """The ids of the file and its job."""
    answer = client.post("/v1/files", params={"name": name}, content=content)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"], answer.json()["job"]["id"]


def waiting(client: httpx.Client, job_id: str) -> None:
    def waits() -> bool:
        """The job says so as soon as its workflow does, the file once it is written down."""
        job = client.get(f"/v1/jobs/{job_id}").json()
        assert job["state"] not in ("completed", "failed", "cancelled"), job
        file = client.get(f"/v1/files/{job['file_id']}").json()
        return bool(job["state"] == "waiting" and file["state"] == "quarantined")

    wait_for(waits, timeout_seconds=60, what="the job to wait for a person")


def scan_state(client: httpx.Client, file_id: str) -> tuple[str, str]:
    file = client.get(f"/v1/files/{file_id}").json()
    return file["state"], file["scan"]["state"]


def finding(client: httpx.Client, file_id: str) -> tuple[str | None, str | None]:
    """Why the scan did not clear it, and the name of what was found or of the setting; the same of
    the file and of its version."""
    scan = client.get(f"/v1/files/{file_id}").json()["scan"]
    versions = client.get(f"/v1/files/{file_id}/versions").json()["data"]
    assert [each["scan"] for each in versions] == [scan]
    return scan["reason"], scan["signature"]


def acts(stack: Stack, *object_ids: str) -> list[tuple[str, str, bool]]:
    """(action, kind of actor, with a request) of what concerns these, oldest first."""
    with stack.database() as connection:
        return connection.execute(
            "SELECT action, actor_kind, request_id IS NOT NULL FROM audit_event"
            " WHERE object_id::text = ANY(%s) ORDER BY at",
            (list(object_ids),),
        ).fetchall()


def big(size: int) -> bytes:
    """Text that does not pack, with the signature in front."""
    return EICAR + os.urandom(size // 2).hex().encode()


def test_clean_content_passes_and_names_who_looked(
    stack: Stack, client: httpx.Client, scanner: ClamdProcess
) -> None:
    file_id, job_id = upload(client, "clean.txt", b"A harmless letter.")
    assert stack.finished_job(client, job_id)["state"] == "completed"
    scan = client.get(f"/v1/files/{file_id}").json()["scan"]
    assert (scan["state"], scan["reason"], scan["signature"]) == ("clean", None, None)
    assert scan["engine"].startswith("ClamAV ")
    ready = {each["name"]: each for each in client.get("/readyz").json()["dependencies"]}
    assert ready["scanner"]["state"] == "ok", ready["scanner"]


def test_malware_in_an_archive_waits_and_a_rejection_ends_it(
    stack: Stack, client: httpx.Client, undecided: httpx.Client
) -> None:
    file_id, job_id = upload(client, "virus.zip", zipped(EICAR, levels=2))
    waiting(client, job_id)
    assert scan_state(client, file_id) == ("quarantined", "infected")
    assert finding(client, file_id) == ("malware", "Muniment.Test.Eicar.UNOFFICIAL")
    problem = client.get(f"/v1/jobs/{job_id}").json()["error"]
    assert problem["type"] == "urn:muniment:problem:malware-found"
    assert "Muniment.Test.Eicar.UNOFFICIAL" in problem["detail"]
    for view in ("content", "text", "pages/1/image"):
        assert undecided.get(f"/v1/files/{file_id}/{view}").status_code == 409, view
    assert undecided.post(f"/v1/jobs/{job_id}/release").status_code == 403
    assert undecided.post(f"/v1/jobs/{job_id}/reject").status_code == 403
    body = {"reason": "It is what it says."}
    assert client.post(f"/v1/jobs/{job_id}/reject", json=body).status_code == 200
    job = stack.finished_job(client, job_id)
    assert job["state"] == "failed"
    assert scan_state(client, file_id)[0] == "rejected"
    assert client.post(f"/v1/jobs/{job_id}/release").status_code == 409
    told = [act for act in acts(stack, job_id, file_id) if act[0].endswith(".reject")]
    assert told == [("job.reject", "principal", True)]
    with stack.database() as connection:
        decided = connection.execute(
            "SELECT verdict, reason, principal_id IS NOT NULL FROM decision WHERE job_id = %s",
            (job_id,),
        ).fetchall()
    assert decided == [("reject", "It is what it says.", True)]


def test_an_encrypted_archive_is_unscannable_and_a_release_lets_it_pass(
    stack: Stack, client: httpx.Client
) -> None:
    file_id, job_id = upload(client, "locked.zip", encrypted(zipped(b"Who knows?")))
    waiting(client, job_id)
    assert scan_state(client, file_id) == ("quarantined", "unscannable")
    assert finding(client, file_id) == ("encrypted", "Heuristics.Encrypted.Zip")
    answer = client.post(f"/v1/jobs/{job_id}/release", json={"reason": "From our own safe."})
    assert answer.status_code == 200, answer.text
    stack.finished_job(client, job_id)
    assert scan_state(client, file_id)[0] != "quarantined"
    told = [act for act in acts(stack, job_id, file_id) if act[0] == "job.release"]
    assert told == [("job.release", "principal", True)]


def test_content_beyond_a_limit_is_never_clean(stack: Stack, client: httpx.Client) -> None:
    """The signature stands at byte 0; a clamd left to itself says `stream: OK`."""
    file_id, job_id = upload(client, "big.txt", big(MAX_FILE_BYTES + 1_000_000))
    waiting(client, job_id)
    assert scan_state(client, file_id) == ("quarantined", "unscannable")
    assert finding(client, file_id) == ("limit", "Heuristics.Limits.Exceeded.MaxFileSize")
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200


def test_stale_signatures_call_nothing_clean(
    stack: Stack, client: httpx.Client, scanner: ClamdProcess
) -> None:
    scanner.date(datetime.now(UTC) - timedelta(days=3), 27_700)
    try:
        file_id, job_id = upload(client, "stale.txt", b"A letter in the time of old signatures.")
        waiting(client, job_id)
        assert scan_state(client, file_id) == ("quarantined", "unscannable")
        assert finding(client, file_id) == ("stale-database", None)

        def said() -> bool:
            """An answer holds for two seconds."""
            ready = {each["name"]: each for each in client.get("/readyz").json()["dependencies"]}
            return "freshclam" in (ready["scanner"].get("remedy") or "") and (
                ready["scanner"]["state"] == "degraded"
            )

        wait_for(said, timeout_seconds=30, what="/readyz to say that the signatures are stale")
    finally:
        scanner.date(datetime.now(UTC) - timedelta(hours=1), 27_801)
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    stack.finished_job(client, job_id)
    # A retry scans anew: what is clean now is free.
    retried = client.post(f"/v1/jobs/{job_id}/retry")
    assert retried.status_code == 202, retried.text
    assert stack.finished_job(client, retried.json()["id"])["state"] == "completed"
    assert scan_state(client, file_id) == ("ready", "clean")


def test_a_scanner_that_dies_in_the_middle_passes_nothing_and_is_waited_for(
    stack: Stack, client: httpx.Client, scanner: ClamdProcess
) -> None:
    scanner.hold()
    file_id, job_id = upload(client, "interrupted.txt", os.urandom(3_000_000).hex().encode())

    def scanning() -> bool:
        job = client.get(f"/v1/jobs/{job_id}").json()
        return bool(job["stage"] == "scan" and job["state"] == "running")

    wait_for(scanning, timeout_seconds=30, what="the scan")
    scanner.kill()

    def retried() -> bool:
        with stack.database() as connection:
            rows = connection.execute(
                "SELECT payload ->> 'reason' FROM job_event WHERE job_id = %s AND event = 'retry'",
                (job_id,),
            ).fetchall()
        return ("scanner-unavailable",) in rows

    wait_for(retried, timeout_seconds=30, what="the job to tell that the scanner is away")
    stages = client.get(f"/v1/jobs/{job_id}").json()["stages"]
    assert {each["name"] for each in stages if each["state"] != "pending"} <= {"scan"}
    assert client.get("/readyz").status_code == 200  # it serves, and says what is away
    scanner.start()
    wait_for(
        lambda: scan_state(client, file_id) == ("processing", "clean"),
        timeout_seconds=90,
        what="the scan to be made after all",
    )
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200


def test_what_a_message_carries_is_scanned_by_itself(stack: Stack, client: httpx.Client) -> None:
    """The archive as a whole is released; the member with the virus waits all the same."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("letter.txt", "An honest letter.")
        archive.writestr("virus.txt", EICAR)
    file_id, job_id = upload(client, "mixed.zip", out.getvalue())
    waiting(client, job_id)
    assert client.post(f"/v1/jobs/{job_id}/release").status_code == 200

    def states() -> dict[str, str]:
        listed = client.get("/v1/files", params={"parent": file_id}).json()["data"]
        return {each["name"]: each["state"] for each in listed}

    wait_for(
        lambda: states() == {"letter.txt": "ready", "virus.txt": "quarantined"},
        timeout_seconds=90,
        what="the members",
    )

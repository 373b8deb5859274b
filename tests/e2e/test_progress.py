"""Progress over server-sent events: complete, resumable, never invented."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.conftest import REPOSITORY
from tests.patience import on_a_busy_machine
from tests.stack import Stack, wait_for
from tests.workflows.documents import dense_scan

SAMPLES = REPOSITORY / "deploy" / "samples"


def scanned_sample() -> Path:
    """The sample that needs most OCR."""
    scans = [path for path in SAMPLES.glob("*.pdf") if "scan" in path.name]
    assert scans, "deploy/samples has no scanned PDF"
    return scans[0]


def events(
    client: httpx.Client, job_id: object, last_event_id: str | None = None
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """(id, event, data) until the stream ends."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=60) as response:
        assert response.status_code == 200, response.read()
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            else:
                if "data" in fields:
                    yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}


def upload_fresh_scan(stack: Stack, client: httpx.Client, folder: Path) -> dict[str, object]:
    return upload_fresh(stack, client, folder, scanned_sample().read_bytes())


def upload_fresh(
    stack: Stack, client: httpx.Client, folder: Path, scan: bytes
) -> dict[str, object]:
    """A scan that was never read before: a comment behind its end gives it a digest of its own."""
    path = folder / f"{folder.name}-scan.pdf"
    path.write_bytes(scan + f"\n% {folder.name}\n".encode())
    return stack.upload(client, path)


def test_a_stream_begins_with_a_snapshot_counts_up_and_ends(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    file = upload_fresh_scan(stack, client, tmp_path)
    seen = list(events(client, file["job"]["id"]))  # type: ignore[index] # JSON
    assert seen[0][1] == "snapshot"
    assert seen[-1][1] == "end"
    assert seen[-1][2]["state"] == "completed"
    ids = [int(id_) for id_, event, _ in seen if event != "snapshot"]
    assert ids == sorted(set(ids))
    kinds = {event for _, event, _ in seen}
    assert {"stage", "page"} <= kinds
    percents = [data["percent"] for _, event, data in seen if event in {"snapshot", "state", "end"}]
    assert percents == sorted(percents)  # type: ignore[type-var] # JSON numbers


def test_a_stream_resumes_after_the_last_event_without_loss_or_repetition(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    file = upload_fresh_scan(stack, client, tmp_path)
    job_id = file["job"]["id"]  # type: ignore[index] # JSON
    whole = [(id_, event) for id_, event, _ in events(client, job_id)]
    replayed = [(id_, event) for id_, event, _ in events(client, job_id, "1")]
    numbered = [item for item in replayed if item[1] != "snapshot"]
    assert [int(id_) for id_, _ in numbered] == list(range(2, int(whole[-1][0]) + 1))
    past_end = client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": whole[-1][0]})
    assert past_end.status_code == 204


def test_a_restart_of_the_api_in_mid_stream_loses_no_event(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    file = upload_fresh_scan(stack, client, tmp_path)
    job_id = file["job"]["id"]  # type: ignore[index] # JSON
    received: list[int] = []
    stream = events(client, job_id)
    for id_, event, _ in stream:
        if event != "snapshot":
            received.append(int(id_))
        if event == "page":
            break
    stream.close()  # type: ignore[attr-defined] # a generator
    killed = stack.kill_all("api")
    wait_for(
        lambda: _answers(client) and all(stack.has_successor(*each) for each in killed.items()),
        timeout_seconds=120,
        what="the API",
    )
    last = str(received[-1])
    for id_, event, _ in events(client, job_id, last):
        if event != "snapshot":
            received.append(int(id_))
    assert received == list(range(received[0], received[-1] + 1))


def test_the_snapshot_is_stale_while_no_worker_runs_and_true_again_after(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    import os
    import signal

    worker = stack.pid("worker-io")
    file = upload_fresh_scan(stack, client, tmp_path)
    job_id = file["job"]["id"]  # type: ignore[index] # JSON
    os.kill(worker, signal.SIGSTOP)
    try:
        shown = wait_for(
            lambda: client.get(f"/v1/jobs/{job_id}").json(), timeout_seconds=60, what="the job"
        )
        assert shown["stale"] is True
    finally:
        os.kill(worker, signal.SIGCONT)
    assert stack.finished_job(client, job_id)["state"] == "completed"
    assert client.get(f"/v1/jobs/{job_id}").json()["stale"] is False


def test_cancelling_during_ocr_frees_the_worker_long_before_its_work_is_done(
    stack: Stack, client: httpx.Client, tmp_path: Path
) -> None:
    # Without the cancellation, so many pages are read for more than a minute.
    file = upload_fresh(stack, client, tmp_path, dense_scan(30))
    job_id = file["job"]["id"]  # type: ignore[index] # JSON
    wait_for(
        lambda: client.get(f"/v1/jobs/{job_id}").json()["stage"] == "read",
        timeout_seconds=120,
        what="the read stage",
        pause_seconds=0.05,
    )
    seconds = on_a_busy_machine(3)
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    job = stack.finished_job(client, job_id, timeout_seconds=seconds)
    assert job["state"] == "cancelled"
    assert client.get(f"/v1/files/{file['id']}").json()["state"] == "cancelled"
    assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 409


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False

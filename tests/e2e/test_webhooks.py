"""A whole stack tells somebody outside what happened to a file, and a killed worker loses none of it."""

import json
import threading
from pathlib import Path

import httpx
from standardwebhooks import Webhook

from tests.receiver import Received, Reply, receiving
from tests.stack import Stack, running_stack, wait_for

EVENTS = ["file.ready", "job.completed"]


def delivered(client: httpx.Client, webhook_id: str, count: int) -> list[dict[str, object]]:
    """The webhook's deliveries once so many have come to their ends."""

    def over() -> list[dict[str, object]] | None:
        found: list[dict[str, object]] = client.get(f"/v1/webhooks/{webhook_id}/deliveries").json()[
            "data"
        ]
        states = [each["state"] for each in found]
        return found if states == ["delivered"] * count else None

    return wait_for(over, timeout_seconds=180, what=f"{count} deliveries")


def test_a_file_is_told_of_although_the_worker_dies_while_it_tells(tmp_path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def hold_the_first(request: Received) -> Reply:
        if json.loads(request.body)["type"] == "file.ready" and not held.is_set():
            held.set()
            release.wait(120)
        return Reply()

    with receiving(hold_the_first) as receiver:
        environment = {
            "MUNIMENT_WEBHOOKS__ALLOW_HTTP": "true",
            "MUNIMENT_WEBHOOKS__PORTS": json.dumps([receiver.port]),
            "MUNIMENT_WEBHOOKS__ALLOWED_NETWORKS": json.dumps(["127.0.0.0/8"]),
            "MUNIMENT_WEBHOOKS__TIMEOUT_SECONDS": "60",
        }
        try:
            with running_stack(tmp_path / "home", **environment) as stack, stack.client() as client:
                body = {"url": receiver.url, "events": EVENTS}
                made = client.post("/v1/webhooks", json=body).json()
                assert client.post(f"/v1/webhooks/{made['id']}/test").status_code == 202
                delivered(client, made["id"], 1)
                tell_of_a_file(stack, client, tmp_path, held, release)
                delivered(client, made["id"], 3)
        finally:
            release.set()
        messages = [
            Webhook(made["secret"]).verify(each.body, each.headers) for each in receiver.received
        ]
        ready = [each for each in receiver.received if b"file.ready" in each.body]
        assert len(ready) == 2, "the answer to the first never came to be known"
        assert len({each.headers["webhook-id"] for each in ready}) == 1
        assert sorted({str(each["type"]) for each in messages}) == sorted([*EVENTS, "webhook.test"])


def tell_of_a_file(
    stack: Stack,
    client: httpx.Client,
    folder: Path,
    held: threading.Event,
    release: threading.Event,
) -> None:
    """Its worker is killed while the receiver has not answered."""
    text = folder / "a.txt"
    text.write_text("The charter of the town.", encoding="utf-8")
    file = stack.upload(client, text)
    wait_for(held.is_set, timeout_seconds=120, what="the first request")
    stack.kill("worker-io")
    release.set()
    job = file["job"]
    assert isinstance(job, dict)
    assert stack.finished_job(client, job["id"])["state"] == "completed"

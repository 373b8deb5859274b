"""One of everything that has an id, and the routes that take one."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import httpx
from fastapi.routing import APIRoute

from api.application import ROUTERS

MUTATING = {"POST", "PATCH", "PUT", "DELETE"}
LAST_CENTURY = {"from": "1999-01-01T00:00:00Z", "to": "2000-01-01T00:00:00Z"}


def routes() -> Iterator[tuple[str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods):
                yield method, route


@dataclass(frozen=True)
class Things:
    """One of everything that has an id."""

    ids: dict[str, str]


async def make_things(client: httpx.AsyncClient) -> Things:
    file = (await client.post("/v1/files?name=a.txt", content=b"mine")).json()
    collection = (await client.post("/v1/collections", json={"name": "c"})).json()
    key = (await client.post("/v1/api-keys", json={"name": "k", "scopes": ["search"]})).json()
    upload = await client.post(
        "/v1/uploads",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": "4",
            "Upload-Metadata": "filename YQ==",
        },
    )
    batch = (await client.post("/v1/batches", json={"files": [file["id"]]})).json()
    share = (await client.post("/v1/shares", json={"file_id": file["id"]})).json()
    person = {"kind": "user", "name": "ada"}
    principal = (await client.post("/v1/principals", json=person)).json()
    group = (await client.post("/v1/groups", json={"name": "g"})).json()
    given = {"group_id": group["id"], "file_id": file["id"], "level": "read"}
    grant = (await client.post("/v1/grants", json=given)).json()
    annotation = (await client.post("/v1/annotations", json={"file_id": file["id"]})).json()
    comments = f"/v1/annotations/{annotation['id']}/comments"
    comment = (await client.post(comments, json={"body": "why"})).json()
    webhook = await client.post(
        "/v1/webhooks", json={"url": "https://example.com/", "events": ["file.trashed"]}
    )
    tested = await client.post(f"/v1/webhooks/{webhook.json()['id']}/test")
    rotation = (await client.post("/v1/keys/rotations")).json()
    invitation = (await client.post("/v1/invitations", json={"name": "invited"})).json()
    question = {"id": "q1", "text": "mine", "relevant": {"a.txt": 1}}
    evaluated = {"name": "evaluated", "questions": [question]}
    evaluation = (await client.post("/v1/evaluations", json=evaluated)).json()
    store_id = f"vs_{collection['id'].replace('-', '')}"
    openai_file_id = f"file-{file['id'].replace('-', '')}"
    filled_store = f"/openai/v1/vector_stores/{store_id}/file_batches"
    filling = (await client.post(filled_store, json={"file_ids": [openai_file_id]})).json()
    conversation = (await client.post("/v1/conversations", json={"title": "mine"})).json()
    asked = {"query": "mine", "conversation_id": conversation["id"]}
    answer = (await client.post("/v1/query", json=asked)).json()
    given = {"message_id": answer["message_id"], "verdict": "up"}
    feedback = (await client.post("/v1/feedback", json=given)).json()
    listed = await client.post(
        "/v1/question-lists",
        content=b"question\nmine?\n",
        headers={"Content-Type": "text/csv"},
    )
    me = (await client.get("/v1/auth/me")).json()
    matter = {"matter": "m", "items": [{"query": {"label": "held"}}]}
    custodians = {"custodians": [me["id"]]}
    hold = (await client.post("/v1/legal-holds", json={**matter, **custodians})).json()
    subject = {"kind": "access", "subject": {"identifiers": ["Ana Li"]}}
    asked_for = (await client.post("/v1/subject-requests", json=subject)).json()
    kept = {"name": "kept", "label": "kept", "days": 1}
    policy = (await client.post("/v1/retention-policies", json=kept)).json()
    sweep = (await client.post("/v1/retention-sweeps", json={"dry_run": True})).json()
    recorded = (await client.post("/v1/finding-policies", json={"act": "record"})).json()
    doomed = (await client.post("/v1/files?name=doomed.txt", content=b"doomed")).json()
    erasure = (await client.post("/v1/erasures", json={"file_id": doomed["id"]})).json()
    return Things(
        {
            "hold_id": hold["id"],
            "policy_id": policy["id"],
            "subject_request_id": asked_for["id"],
            "retention_sweep_id": sweep["id"],
            "finding_policy_id": recorded["id"],
            "erasure_id": erasure["id"],
            "conversation_id": conversation["id"],
            "message_id": answer["message_id"],
            "feedback_id": feedback["id"],
            "openai_file_id": openai_file_id,
            "vector_store_id": store_id,
            "file_batch_id": filling["id"],
            "rotation_id": rotation["id"],
            "batch_id": batch["id"],
            "delivery_id": tested.json()["id"],
            "webhook_id": webhook.json()["id"],
            "file_id": file["id"],
            "upload_id": upload.json()["id"],
            "job_id": file["job"]["id"],
            "collection_id": collection["id"],
            "key_id": key["id"],
            "share_id": share["id"],
            "annotation_id": annotation["id"],
            "comment_id": comment["id"],
            "principal_id": principal["id"],
            "tenant_id": me["tenant_id"],
            "group_id": group["id"],
            "grant_id": grant["id"],
            "invitation_id": invitation["id"],
            "evaluation_id": evaluation["id"],
            "list_id": listed.json()["id"],
            "number": "1",
            "page": "1",
        }
    )


_IDS = (
    *("file_id", "upload_id", "job_id", "batch_id", "collection_id", "key_id"),
    *("webhook_id", "delivery_id"),
    *("rotation_id", "share_id", "principal_id", "group_id", "grant_id", "tenant_id"),
    *("invitation_id", "index_version_id", "evaluation_id", "list_id"),
    *("hold_id", "erasure_id", "policy_id", "finding_id", "finding_policy_id"),
    *("subject_request_id", "retention_sweep_id", "disposition_id"),
    *("annotation_id", "comment_id"),
    *("openai_file_id", "vector_store_id", "file_batch_id"),
    *("conversation_id", "message_id", "feedback_id", "event_id"),
)


def filled(path: str, ids: dict[str, str]) -> str:
    defaults = {"number": "1", "page": "1", "seq": "1"}
    for name in (*_IDS, "number", "page", "seq"):
        value = ids.get(name) or defaults.get(name) or str(uuid4())
        path = path.replace("{" + name + "}", value)
    return path

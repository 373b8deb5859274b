"""Every route that changes something writes an audit event, in the transaction of the change."""

import json
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import audit_actions
from tests.api.things import LAST_CENTURY, MUTATING, Things, filled, make_things, routes
from tests.conftest import TenantFixture

CHANGES = [
    ("POST", "/v1/files?name=new.txt", b"new", "file.created"),
    ("POST", "/v1/files/{file_id}/versions", b"v2", "file.version_created"),
    ("PATCH", "/v1/files/{file_id}", {"name": "b.txt"}, "file.changed"),
    ("DELETE", "/v1/files/{file_id}", None, "file.trashed"),
    ("POST", "/v1/files/{file_id}/restore", None, "file.restored"),
    ("POST", "/v1/shares", {"file_id": "{file_id}"}, "share.created"),
    ("PATCH", "/v1/shares/{share_id}", {"max_downloads": 3}, "share.changed"),
    ("DELETE", "/v1/shares/{share_id}", None, "share.revoked"),
    ("POST", "/v1/annotations", {"file_id": "{file_id}"}, "annotation.created"),
    ("PATCH", "/v1/annotations/{annotation_id}", {"body": "x"}, "annotation.changed"),
    ("PATCH", "/v1/annotations/{annotation_id}", {"state": "resolved"}, "annotation.resolved"),
    ("PATCH", "/v1/annotations/{annotation_id}", {"state": "open"}, "annotation.reopened"),
    ("GET", "/v1/annotations?file_id={file_id}", None, "annotation.read"),
    ("GET", "/v1/annotations/{annotation_id}/comments", None, "annotation.read"),
    (
        "POST",
        "/v1/annotations/{annotation_id}/comments",
        {"body": "because"},
        "comment.created",
    ),
    (
        "PATCH",
        "/v1/annotations/{annotation_id}/comments/{comment_id}",
        {"body": "x"},
        "comment.changed",
    ),
    (
        "DELETE",
        "/v1/annotations/{annotation_id}/comments/{comment_id}",
        None,
        "comment.deleted",
    ),
    ("DELETE", "/v1/annotations/{annotation_id}", None, "annotation.deleted"),
    ("GET", "/v1/files/{file_id}/content", None, "file.downloaded"),
    ("POST", "/v1/files/archive", {"files": [{"id": "{file_id}"}]}, "file.downloaded"),
    ("POST", "/v1/collections", {"name": "another"}, "collection.created"),
    ("PATCH", "/v1/collections/{collection_id}", {"name": "renamed"}, "collection.changed"),
    ("POST", "/openai/v1/vector_stores", {"name": "store"}, "collection.created"),
    (
        "POST",
        "/openai/v1/vector_stores/{vector_store_id}",
        {"metadata": {"a": "b"}},
        "collection.changed",
    ),
    (
        "POST",
        "/openai/v1/vector_stores/{vector_store_id}/search",
        {"query": "x"},
        "search.performed",
    ),
    (
        "POST",
        "/openai/v1/vector_stores/{vector_store_id}/files",
        {"file_id": "{openai_file_id}"},
        "collection.files_attached",
    ),
    (
        "POST",
        "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}",
        {"attributes": {"a": 1}},
        "file.changed",
    ),
    (
        "DELETE",
        "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}",
        None,
        "collection.file_detached",
    ),
    (
        "POST",
        "/openai/v1/vector_stores/{vector_store_id}/file_batches",
        {"file_ids": ["{openai_file_id}"]},
        "collection.files_attached",
    ),
    (
        "POST",
        "/openai/v1/chat/completions",
        {"model": "muniment", "messages": [{"role": "user", "content": "x"}]},
        "query.answered",
    ),
    ("PUT", "/v1/tier-policy", {"after_days": 30}, "tier_policy.set"),
    ("PUT", "/v1/synonyms", {"rules": [{"words": ["a", "b"]}]}, "synonyms.set"),
    ("DELETE", "/v1/tier-policy", None, "tier_policy.deleted"),
    (
        "PUT",
        "/v1/collections/{collection_id}/tier-policy",
        {"after_days": None},
        "tier_policy.set",
    ),
    ("DELETE", "/v1/collections/{collection_id}/tier-policy", None, "tier_policy.deleted"),
    ("DELETE", "/v1/collections/{collection_id}", None, "collection.deleted"),
    ("POST", "/v1/api-keys", {"name": "x", "scopes": ["search"]}, "api_key.created"),
    ("DELETE", "/v1/api-keys/{key_id}", None, "api_key.revoked"),
    ("POST", "/v1/conversations", {"title": "x"}, "conversation.created"),
    ("PATCH", "/v1/conversations/{conversation_id}", {"title": "y"}, "conversation.changed"),
    (
        "POST",
        "/v1/query",
        {"query": "words", "conversation_id": "{conversation_id}"},
        "query.answered",
    ),
    (
        "POST",
        "/v1/conversations/{conversation_id}/messages/{message_id}/regenerate",
        {},
        "query.answered",
    ),
    ("GET", "/v1/conversations?query=words", None, "conversation.searched"),
    ("GET", "/v1/conversations/{conversation_id}/messages", None, "conversation.read"),
    ("GET", "/v1/conversations/{conversation_id}/export", None, "conversation.exported"),
    (
        "GET",
        "/v1/conversations/{conversation_id}/messages/{message_id}/events",
        None,
        "conversation.read",
    ),
    ("POST", "/v1/feedback", {"message_id": "{message_id}", "verdict": "up"}, "feedback.given"),
    ("GET", "/v1/feedback", None, "feedback.read"),
    ("GET", "/v1/feedback/questions", None, "feedback.exported"),
    ("DELETE", "/v1/feedback/{feedback_id}", None, "feedback.deleted"),
    ("DELETE", "/v1/conversations/{conversation_id}", None, "conversation.deleted"),
    ("POST", "/v1/search", {"query": "words", "mode": "lexical"}, "search.performed"),
    ("POST", "/v1/query", {"query": "words"}, "query.answered"),
    ("POST", "/v1/auth/stream-ticket", None, "stream_ticket.issued"),
    ("POST", "/v1/temporal/codec/decode", {"payloads": []}, "payloads.decoded"),
    ("POST", "/v1/batches", {"files": ["{file_id}"]}, "batch.created"),
    (
        "POST",
        "/v1/evaluations",
        {"name": "e", "questions": [{"id": "1", "text": "who?", "answers": ["Ada"]}]},
        "evaluation.requested",
    ),
    ("POST", "/v1/evaluations/{evaluation_id}/cancel", None, "evaluation.cancelled"),
    ("POST", "/v1/question-lists/{list_id}/pause", None, "question_list.paused"),
    ("POST", "/v1/question-lists/{list_id}/resume", None, "question_list.resumed"),
    ("POST", "/v1/question-lists/{list_id}/cancel", None, "question_list.cancelled"),
    ("GET", "/v1/analytics/queries", None, "analytics.read"),
    (
        "PUT",
        "/v1/alike-questions/policy",
        {"least_likeness": 0.97},
        "alike_questions.policy_set",
    ),
    ("PUT", "/v1/analytics/policy", {"keeps": "nothing"}, "analytics.policy_set"),
    ("DELETE", "/v1/analytics/queries", None, "analytics.forgotten"),
    ("POST", "/v1/integrity/verify", None, "integrity.verification_requested"),
    ("POST", "/v1/keys/rotations", None, "keys.rotation_requested"),
    (
        "PUT",
        "/v1/principals/{principal_id}/password",
        {"password": "correct horse"},
        "password.set",
    ),
    ("POST", "/v1/principals", {"kind": "service", "name": "new"}, "principal.created"),
    ("PATCH", "/v1/principals/{principal_id}", {"disabled": True}, "principal.changed"),
    ("POST", "/v1/invitations", {"name": "grace"}, "invitation.created"),
    ("DELETE", "/v1/invitations/{invitation_id}", None, "invitation.revoked"),
    ("POST", "/v1/groups", {"name": "new"}, "group.created"),
    ("PATCH", "/v1/groups/{group_id}", {"name": "renamed"}, "group.changed"),
    ("PUT", "/v1/groups/{group_id}/members/{principal_id}", None, "group.member_added"),
    ("DELETE", "/v1/groups/{group_id}/members/{principal_id}", None, "group.member_removed"),
    (
        "POST",
        "/v1/grants",
        {"principal_id": "{principal_id}", "file_id": "{file_id}", "level": "write"},
        "grant.created",
    ),
    ("DELETE", "/v1/grants/{grant_id}", None, "grant.deleted"),
    ("DELETE", "/v1/groups/{group_id}", None, "group.deleted"),
    ("DELETE", "/v1/principals/{principal_id}", None, "principal.deleted"),
    (
        "POST",
        "/v1/webhooks",
        {"url": "https://example.com/", "events": ["job.failed"]},
        "webhook.created",
    ),
    ("PATCH", "/v1/webhooks/{webhook_id}", {"description": "x"}, "webhook.changed"),
    ("POST", "/v1/webhooks/{webhook_id}/rotate-secret", None, "webhook.secret_rotated"),
    ("POST", "/v1/webhooks/{webhook_id}/test", None, "webhook.tested"),
    ("POST", "/v1/webhooks/{webhook_id}/replay", LAST_CENTURY, "webhook.replayed"),
    (
        "POST",
        "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
        None,
        "webhook.delivery_replayed",
    ),
    ("DELETE", "/v1/webhooks/{webhook_id}", None, "webhook.deleted"),
    ("POST", "/v1/jobs/{job_id}/cancel", None, "job.cancel"),
    ("POST", "/v1/jobs/{job_id}/retry", None, "job.retried"),
    (
        "POST",
        "/v1/files/{file_id}/reprocess",
        {"settings": {"chunk_tokens": 64}},
        "file.reprocessed",
    ),
    ("POST", "/v1/files/{file_id}/tier", {"tier": "cold"}, "file.tier_requested"),
    ("POST", "/v1/finding-policies", {"act": "mask"}, "finding_policy.created"),
    ("DELETE", "/v1/finding-policies/{finding_policy_id}", None, "finding_policy.deleted"),
    ("POST", "/v1/legal-holds", {"matter": "x"}, "legal_hold.placed"),
    (
        "POST",
        "/v1/legal-holds/{hold_id}/items",
        {"items": [{"query": {"label": "x"}}]},
        "legal_hold.item_added",
    ),
    ("POST", "/v1/legal-holds/{hold_id}/acknowledge", None, "legal_hold.acknowledged"),
    ("POST", "/v1/legal-holds/{hold_id}/confirm", None, "legal_hold.confirmed"),
    ("POST", "/v1/legal-holds/{hold_id}/release", None, "legal_hold.released"),
    ("GET", "/v1/legal-holds/{hold_id}/export", None, "legal_hold.exported"),
    (
        "POST",
        "/v1/retention-policies",
        {"name": "x", "label": "x", "days": 1},
        "retention_policy.created",
    ),
    (
        "PUT",
        "/v1/retention-policies/{policy_id}",
        {"name": "y", "label": "x", "days": 2},
        "retention_policy.changed",
    ),
    ("POST", "/v1/retention-policies/{policy_id}/end", None, "retention_policy.ended"),
    (
        "POST",
        "/v1/subject-requests",
        {"kind": "access", "subject": {"identifiers": ["Ana Li"]}},
        "subject_request.opened",
    ),
    ("DELETE", "/v1/files/{file_id}?permanent=true", None, "file.erasure_requested"),
]
"""Each route that changes something, in an order in which each is allowed. The updates of a running
workflow are in test_jobs.py and test_ingest_batch.py, where one runs."""

ELSEWHERE = {
    f"/v1/jobs/{{job_id}}/{verb}"
    for verb in ("pause", "resume", "reprioritise", "release", "reject")
} | {f"/v1/batches/{{batch_id}}/{verb}" for verb in ("pause", "resume", "cancel")}
# What is created, finished and terminated is audited: test_uploads.py.
UPLOADS = {("POST", "/v1/uploads")} | {
    (method, "/v1/uploads/{upload_id}") for method in ("PATCH", "DELETE")
}
# Whoever signs in, stays so and signs out: test_sign_ins.py.
ELSEWHERE |= {"/v1/auth/token", "/v1/auth/revoke", "/v1/auth/password"}
# Whoever accepts is no caller yet: test_invitations.py.
ELSEWHERE |= {"/v1/invitations/accept"}
# Of sessions, subjects of an issuer, and an operator's tenants: test_sessions.py, test_oidc.py,
# test_tenants.py.
NEXT_DOORS = {
    ("DELETE", "/v1/auth/session"),
    ("PUT", "/v1/principals/{principal_id}/identity"),
    ("DELETE", "/v1/principals/{principal_id}/identity"),
    ("PATCH", "/v1/tenants/{tenant_id}"),
    # Of what is sealed: test_audit_proofs.py.
    ("DELETE", "/v1/audit/{event_id}/details"),
    # Of what has ended: test_evaluations.py, test_question_lists.py.
    ("DELETE", "/v1/evaluations/{evaluation_id}"),
    ("DELETE", "/v1/question-lists/{list_id}"),
    # Taken from CSV: test_question_lists.py.
    ("POST", "/v1/question-lists"),
}
ELSEWHERE |= {"/v1/auth/session", "/v1/tenants"}
# Of what was found: test_subject_requests.py.
ELSEWHERE |= {"/v1/subject-requests/{subject_request_id}/decisions"}
# What is locked is not erased by the next: test_retention.py.
NEXT_DOORS |= {("PUT", "/v1/files/{file_id}/retention")}
# Audited as every erasure: test_legal_holds.py.
ELSEWHERE |= {"/v1/erasures"}
# One is open at a time, and the things have it; decisions are about what waits: test_dispositions.py.
ELSEWHERE |= {
    "/v1/retention-sweeps",
    "/v1/retention-sweeps/{retention_sweep_id}/decisions",
    "/v1/dispositions/{disposition_id}/decisions",
}
# Of what is erased: test_erasure_proofs.py.
ELSEWHERE |= {"/v1/erasures/{erasure_id}/proofs"}
# By the package that these routes are for: test_openai_files.py, test_openai_vector_stores.py.
ELSEWHERE |= {"/openai/v1/files"}
NEXT_DOORS |= {
    ("DELETE", "/openai/v1/files/{openai_file_id}"),
    ("DELETE", "/openai/v1/vector_stores/{vector_store_id}"),
}
# Operators alone encrypt: test_temporal_codec.py.
ELSEWHERE |= {"/v1/temporal/codec/encode"}
# Only what is published is compared: test_reading_comparisons.py makes it so.
ELSEWHERE |= {"/v1/files/{file_id}/compare"}
# Whoever gives the password is no caller: test_shared_passwords.py.
ELSEWHERE |= {"/s/{token}"}
# Of models that an operator configured: test_models.py.
ELSEWHERE |= {"/v1/models/{name}/pause", "/v1/models/{name}/resume"}

# Of what was published: test_index_versions.py.
ELSEWHERE |= {"/v1/index-versions"} | {
    f"/v1/index-versions/{{index_version_id}}/{verb}"
    for verb in ("activate", "rollback", "cancel", "pause", "resume")
}
# Of what was published: tests/workflows/test_redactions.py.
ELSEWHERE |= {"/v1/files/{file_id}/redactions"}


@pytest.fixture
async def things(client: httpx.AsyncClient) -> Things:
    return await make_things(client)


async def test_every_change_is_audited(
    things: Things, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    changing = {(method, route.path) for method, route in routes() if method in MUTATING}
    listed = {(method, path.split("?")[0]) for method, path, _, _ in CHANGES}
    assert changing - UPLOADS - NEXT_DOORS - {("POST", path) for path in ELSEWHERE} <= listed
    for method, template, body, action in CHANGES:
        if action in ("job.retried", "file.reprocessed"):
            _fail_jobs(postgres_dsn, tenant.tenant_id)
        if action == "webhook.delivery_replayed":
            _fail_deliveries(postgres_dsn, tenant.tenant_id)
        before = audit_actions(postgres_dsn, tenant.tenant_id).count(action)
        path = filled(template, things.ids)
        content = body if isinstance(body, bytes) else None
        if isinstance(body, dict):
            body = json.loads(filled(json.dumps(body), things.ids))
        answer = await client.request(
            method, path, content=content, json=body if isinstance(body, dict) else None
        )
        assert answer.is_success, (method, template, answer.text)
        after = audit_actions(postgres_dsn, tenant.tenant_id).count(action)
        assert after == before + 1, (method, template)


async def test_the_audit_trail_is_listed_with_request_ids(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/collections", json={"name": "n"}, headers={"X-Request-Id": "seen-by-me.1"}
    )
    events = (await client.get("/v1/audit", params={"object": answer.json()["id"]})).json()
    assert [each["action"] for each in events["data"]] == ["collection.created"]
    assert events["data"][0]["request_id"] == "seen-by-me.1"
    assert events["data"][0]["actor_kind"] == "principal"


def _fail_jobs(postgres_dsn: str, tenant_id: UUID) -> None:
    """As if every job of the tenant had failed."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE tenant_id = %s",
            (tenant_id,),
        )


def _fail_deliveries(postgres_dsn: str, tenant_id: UUID) -> None:
    """As if every delivery of the tenant had failed."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE webhook_delivery SET state = 'failed' WHERE tenant_id = %s", (tenant_id,)
        )

"""Every route: guarded by a scope, documented, closed to other tenants, and audited when it changes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi.routing import APIRoute

from api.application import ROUTERS, create_application
from api.authentication import (
    OWN_PATHS,
    PUBLIC_METHODS,
    PUBLIC_PATHS,
    PUBLIC_ROUTES,
    SHARE_PATHS,
    RequireCaller,
    RequireScope,
)
from api.openapi import description
from muniment.api_keys import ALL_SCOPES
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import REPOSITORY, TenantFixture, make_tenant

MUTATING = {"POST", "PATCH", "PUT", "DELETE"}


def routes() -> Iterator[tuple[str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods):
                yield method, route


def is_public(method: str, route: APIRoute) -> bool:
    if route.path in PUBLIC_PATHS | SHARE_PATHS or (method, route.path) in PUBLIC_ROUTES:
        return True
    return method in PUBLIC_METHODS


def headers_of(route: APIRoute) -> dict[str, str]:
    """Without which the route's protocol refuses every request."""
    if not route.path.startswith("/v1/uploads"):
        return {}
    return {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }


def scopes_of(route: APIRoute) -> set[str]:
    return {
        dependency.call.scope
        for dependency in route.dependant.dependencies
        if isinstance(dependency.call, RequireScope)
    }


def asks_who_calls(route: APIRoute) -> bool:
    return any(isinstance(each.call, RequireCaller) for each in route.dependant.dependencies)


def test_every_route_asks_for_a_scope_or_who_calls_or_is_public() -> None:
    seen = set()
    for method, route in routes():
        seen.add(route.path)
        assert asks_who_calls(route) != is_public(method, route), route.path
        if is_public(method, route) or route.path in OWN_PATHS:
            assert not scopes_of(route), route.path
        else:
            assert len(scopes_of(route)) == 1, (method, route.path)
            assert scopes_of(route) <= set(ALL_SCOPES)
    assert len(seen) >= 35


def test_every_route_says_what_it_does_and_how_it_fails() -> None:
    paths = create_application().openapi()["paths"]
    for method, route in routes():
        operation = paths[route.path][method.lower()]
        assert operation["summary"], route.path
        assert operation["tags"], route.path
        if not is_public(method, route):
            assert {"401", "403"} <= set(operation["responses"]), route.path
            assert operation["security"], route.path


def test_the_stored_description_has_not_drifted() -> None:
    stored = (REPOSITORY / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert stored == description(), "run `make docs`"


async def test_without_a_valid_key_every_route_is_401(api: ApiProcess) -> None:
    for header in ({}, {"Authorization": "Bearer mun_wrong"}, {"Authorization": "Basic eDp5"}):
        async with httpx.AsyncClient(
            base_url=api.url, headers=header, trust_env=False, timeout=60
        ) as client:
            for method, route in routes():
                if is_public(method, route):
                    continue
                answer = await client.request(method, _filled(route.path, {}))
                assert answer.status_code == 401, (method, route.path)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_without_the_scope_is_403_and_says_which(
    api: ApiProcess, postgres_dsn: str
) -> None:
    for missing in ALL_SCOPES:
        others = tuple(scope for scope in ALL_SCOPES if scope != missing)
        key = make_tenant(postgres_dsn, scopes=others).api_key
        async with client_of(api, key) as client:
            for method, route in routes():
                if scopes_of(route) != {missing}:
                    continue
                answer = await client.request(method, _filled(route.path, {}), json=_body(route))
                assert answer.status_code == 403, (method, route.path, answer.text)
                if method != "HEAD":
                    assert missing in answer.json()["detail"]


@dataclass(frozen=True)
class Things:
    """One of everything that has an id."""

    ids: dict[str, str]


@pytest.fixture
async def things(client: httpx.AsyncClient) -> Things:
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
    return Things(
        {
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
            "tenant_id": (await client.get("/v1/auth/me")).json()["tenant_id"],
            "group_id": group["id"],
            "grant_id": grant["id"],
            "invitation_id": invitation["id"],
            "number": "1",
            "page": "1",
        }
    )


async def test_things_of_another_tenant_are_404_on_every_route(
    things: Things, stranger: httpx.AsyncClient
) -> None:
    checked = 0
    for method, route in routes():
        if "{" not in route.path or is_public(method, route):
            continue
        path, headers = _filled(route.path, things.ids), headers_of(route)
        answer = await stranger.request(method, path, json=_body(route), headers=headers)
        assert answer.status_code == 404, (method, route.path, answer.text)
        absent = await stranger.request(
            method, _filled(route.path, {}), json=_body(route), headers=headers
        )
        assert absent.status_code == 404, (method, route.path)
        if method != "HEAD":
            assert _without_request(answer) == _without_request(absent), route.path
        checked += 1
    assert checked > 40


def _without_request(answer: httpx.Response) -> dict[str, object]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_lists_and_searches_hold_nothing_of_another_tenant(
    things: Things, stranger: httpx.AsyncClient
) -> None:
    for path in (
        "/v1/files",
        "/v1/jobs",
        "/v1/batches",
        "/v1/api-keys",
        "/v1/principals",
        "/v1/groups",
        "/v1/directory?query=a",
        "/v1/directory?query=g",
        "/v1/grants",
        "/v1/invitations",
        "/v1/audit",
        "/v1/integrity",
        "/v1/keys/rotations",
        "/v1/shares",
        "/v1/webhooks",
        "/v1/annotations",
        "/v1/activity",
    ):
        text = (await stranger.get(path)).text
        assert not any(each in text for each in things.ids.values() if len(each) > 2), path
    collections = (await stranger.get("/v1/collections")).json()["data"]
    assert [each["name"] for each in collections] == ["default"]
    found = await stranger.post("/v1/search", json={"query": "mine", "mode": "lexical"})
    assert found.json()["data"] == []


async def test_what_a_body_names_is_not_found_in_another_tenant(
    things: Things, stranger: httpx.AsyncClient
) -> None:
    own = (await stranger.post("/v1/files?name=own.txt", content=b"own")).json()
    person = (await stranger.post("/v1/principals", json={"kind": "user", "name": "p"})).json()
    named: list[tuple[str, str, dict[str, object], int]] = [
        ("POST", "/v1/files/archive", {"files": [{"id": "{file_id}"}]}, 404),
        ("POST", "/v1/batches", {"files": ["{file_id}"]}, 422),
        ("POST", "/v1/batches", {"source": {"name": "open", "collection": "{collection_id}"}}, 422),
        ("PATCH", f"/v1/files/{own['id']}", {"collection": "{collection_id}"}, 422),
        ("POST", "/v1/api-keys", {"name": "k", "scopes": ["search"], "principal_id": "{principal_id}"}, 404),
    ]  # fmt: skip
    for who in ({"principal_id": "{principal_id}"}, {"group_id": "{group_id}"}):
        given = {**who, "file_id": own["id"], "level": "read"}
        named.append(("POST", "/v1/grants", dict(given), 404))
    for what in ({"file_id": "{file_id}"}, {"collection_id": "{collection_id}"}):
        given = {**what, "principal_id": person["id"], "level": "read"}
        named.append(("POST", "/v1/grants", dict(given), 404))
    for method, path, body, status in named:
        for ids in (things.ids, {}):
            sent = json.loads(_filled(json.dumps(body), ids))
            answer = await stranger.request(method, path, json=sent)
            assert answer.status_code == status, (path, body, answer.text)
    for parameters in ({"file": "{file_id}"}, {"principal": "{principal_id}"}):
        sent = json.loads(_filled(json.dumps(parameters), things.ids))
        assert (await stranger.get("/v1/grants", params=sent)).json()["data"] == []


_LAST_CENTURY = {"from": "1999-01-01T00:00:00Z", "to": "2000-01-01T00:00:00Z"}
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
    ("PUT", "/v1/tier-policy", {"after_days": 30}, "tier_policy.set"),
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
    ("POST", "/v1/search", {"query": "words", "mode": "lexical"}, "search.performed"),
    ("POST", "/v1/query", {"query": "words"}, "query.answered"),
    ("POST", "/v1/auth/stream-ticket", None, "stream_ticket.issued"),
    ("POST", "/v1/temporal/codec/decode", {"payloads": []}, "payloads.decoded"),
    ("POST", "/v1/batches", {"files": ["{file_id}"]}, "batch.created"),
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
    ("POST", "/v1/webhooks/{webhook_id}/replay", _LAST_CENTURY, "webhook.replayed"),
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
}
ELSEWHERE |= {"/v1/auth/session", "/v1/tenants"}
# Operators alone encrypt: test_temporal_codec.py.
ELSEWHERE |= {"/v1/temporal/codec/encode"}
# Only what is published is compared: test_reading_comparisons.py makes it so.
ELSEWHERE |= {"/v1/files/{file_id}/compare"}
# Whoever gives the password is no caller: test_shared_passwords.py.
ELSEWHERE |= {"/s/{token}"}


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
        path = _filled(template, things.ids)
        content = body if isinstance(body, bytes) else None
        if isinstance(body, dict):
            body = json.loads(_filled(json.dumps(body), things.ids))
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


_IDS = (
    *("file_id", "upload_id", "job_id", "batch_id", "collection_id", "key_id"),
    *("webhook_id", "delivery_id"),
    *("rotation_id", "share_id", "principal_id", "group_id", "grant_id", "tenant_id"),
    *("invitation_id",),
    *("annotation_id", "comment_id"),
)


def _filled(path: str, ids: dict[str, str]) -> str:
    defaults = {"number": "1", "page": "1"}
    for name in (*_IDS, "number", "page"):
        value = ids.get(name) or defaults.get(name) or str(uuid4())
        path = path.replace("{" + name + "}", value)
    return path


def _body(route: APIRoute) -> dict[str, object] | None:
    """A body that passes validation, where the route takes one."""
    bodies: dict[str, dict[str, object]] = {
        "/v1/search": {"query": "x"},
        "/v1/query": {"query": "x"},
        "/v1/collections": {"name": "x"},
        "/v1/collections/{collection_id}": {"name": "x"},
        "/v1/collections/{collection_id}/tier-policy": {"after_days": 30},
        "/v1/tier-policy": {"after_days": 30},
        "/v1/api-keys": {"name": "x", "scopes": ["search"]},
        "/v1/files/{file_id}": {"name": "x"},
        "/v1/files/{file_id}/tier": {"tier": "cold"},
        "/v1/annotations": {"file_id": "00000000-0000-7000-8000-000000000000"},
        "/v1/annotations/{annotation_id}": {"body": "x"},
        "/v1/annotations/{annotation_id}/comments": {"body": "x"},
        "/v1/annotations/{annotation_id}/comments/{comment_id}": {"body": "x"},
        "/v1/shares": {"file_id": "00000000-0000-7000-8000-000000000000"},
        "/v1/shares/{share_id}": {"max_downloads": 1},
        "/v1/webhooks": {"url": "https://example.com/", "events": ["file.ready"]},
        "/v1/webhooks/{webhook_id}": {"description": "x"},
        "/v1/webhooks/{webhook_id}/replay": {**_LAST_CENTURY},
        "/v1/batches": {"files": ["00000000-0000-7000-8000-000000000000"]},
        "/v1/jobs/{job_id}/reprioritise": {"priority": 1},
        "/v1/principals/{principal_id}": {"name": "x"},
        "/v1/principals/{principal_id}/password": {"password": "correct horse"},
        "/v1/principals/{principal_id}/identity": {"subject": "x"},
        "/v1/groups/{group_id}": {"name": "x"},
        "/v1/tenants": {"name": "x"},
        "/v1/tenants/{tenant_id}": {"disabled": True},
    }
    return json.loads(json.dumps(bodies.get(route.path)))

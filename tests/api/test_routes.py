"""Every route: guarded by a scope, documented, and closed to other tenants."""

import inspect
import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.application import create_application
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
from tests.api.conftest import ApiProcess, client_of
from tests.api.things import LAST_CENTURY, Things, filled, make_things, routes
from tests.conftest import REPOSITORY, make_tenant


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


def _calls(dependant: Dependant) -> Iterator[Callable[..., object]]:
    for each in dependant.dependencies:
        assert each.call is not None
        yield each.call
        yield from _calls(each)


def test_no_request_waits_for_a_thread_to_be_looked_at() -> None:
    """FastAPI runs every dependency and endpoint that is no coroutine in a thread of a pool."""
    for method, route in routes():
        for call in (route.endpoint, *_calls(route.dependant)):
            run = call if inspect.isfunction(call) else type(call).__call__
            is_awaited = inspect.iscoroutinefunction(run) or inspect.isasyncgenfunction(run)
            assert is_awaited, (method, route.path, call)


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
                answer = await client.request(method, filled(route.path, {}))
                assert answer.status_code == 401, (method, route.path)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_no_answer_is_for_a_page_of_another_origin(
    api: ApiProcess, client: httpx.AsyncClient
) -> None:
    """Not those of share links either: they are followed, not shown within another page."""
    asked = [(method, filled(route.path, {})) for method, route in routes()]
    asked += [("GET", path) for path in ("/openapi.json", "/v1/none", "/")]
    # With a key what names no thing may be a stream without end.
    absent = [(method, filled(route.path, {})) for method, route in routes() if "{" in route.path]
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as without_key:
        for caller, requests in ((without_key, asked), (client, [*absent, ("GET", "/v1/files")])):
            for method, path in requests:
                answer = await caller.request(method, path)
                policy = answer.headers.get_list("Cross-Origin-Resource-Policy")
                assert policy == ["same-origin"], (method, path, answer.status_code)


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
                answer = await client.request(method, filled(route.path, {}), json=_body(route))
                assert answer.status_code == 403, (method, route.path, answer.text)
                if method != "HEAD":
                    assert missing in told(answer)


def told(answer: httpx.Response) -> str:
    """What an error says, in either form."""
    problem = answer.json()
    return str(problem["error"]["message"] if "error" in problem else problem["detail"])


@pytest.fixture
async def things(client: httpx.AsyncClient) -> Things:
    return await make_things(client)


async def test_things_of_another_tenant_are_404_on_every_route(
    things: Things, stranger: httpx.AsyncClient
) -> None:
    checked = 0
    for method, route in routes():
        if "{" not in route.path or is_public(method, route):
            continue
        path, headers = filled(route.path, things.ids), headers_of(route)
        answer = await stranger.request(method, path, json=_body(route), headers=headers)
        assert answer.status_code == 404, (method, route.path, answer.text)
        absent = await stranger.request(
            method, filled(route.path, {}), json=_body(route), headers=headers
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
        "/v1/conversations",
        "/v1/conversations?query=mine",
        "/v1/feedback",
        "/v1/feedback/questions",
        "/v1/evaluations",
        "/v1/question-lists",
        "/v1/integrity",
        "/v1/legal-holds",
        "/v1/subject-requests",
        "/v1/retention-policies",
        "/v1/retention-sweeps",
        "/v1/dispositions",
        "/v1/legal-holds/notices",
        "/v1/findings",
        "/v1/finding-policies",
        "/v1/erasures",
        "/v1/tasks",
        "/v1/index-versions",
        "/v1/keys/rotations",
        "/v1/shares",
        "/v1/webhooks",
        "/v1/annotations",
        "/v1/activity",
        "/openai/v1/files",
        "/openai/v1/vector_stores",
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
        ("POST", "/v1/finding-policies", {"act": "mask", "collection_id": "{collection_id}"}, 404),
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
            sent = json.loads(filled(json.dumps(body), ids))
            answer = await stranger.request(method, path, json=sent)
            assert answer.status_code == status, (path, body, answer.text)
    for parameters in ({"file": "{file_id}"}, {"principal": "{principal_id}"}):
        sent = json.loads(filled(json.dumps(parameters), things.ids))
        assert (await stranger.get("/v1/grants", params=sent)).json()["data"] == []


def _body(route: APIRoute) -> dict[str, object] | None:
    """A body that passes validation, where the route takes one."""
    bodies: dict[str, dict[str, object]] = {
        "/v1/search": {"query": "x"},
        "/v1/query": {"query": "x"},
        "/v1/collections": {"name": "x"},
        "/v1/collections/{collection_id}": {"name": "x"},
        "/v1/collections/{collection_id}/tier-policy": {"after_days": 30},
        "/v1/tier-policy": {"after_days": 30},
        "/v1/synonyms": {"rules": []},
        "/v1/legal-holds": {"matter": "x"},
        "/v1/legal-holds/{hold_id}/items": {"items": [{"query": {"label": "x"}}]},
        "/v1/retention-sweeps": {"dry_run": True},
        "/v1/retention-sweeps/{retention_sweep_id}/decisions": {"verdict": "reject", "reason": "x"},
        "/v1/dispositions/{disposition_id}/decisions": {"verdict": "reject", "reason": "x"},
        "/v1/subject-requests": {"kind": "access", "subject": {"identifiers": ["Ana Li"]}},
        "/v1/subject-requests/{subject_request_id}/decisions": {"approve": False},
        "/v1/retention-policies": {"name": "x", "days": 1},
        "/v1/retention-policies/{policy_id}": {"name": "x", "days": 1},
        "/v1/files/{file_id}/retention": {
            "mode": "governance",
            "retain_until": "2100-01-01T00:00:00Z",
        },
        "/v1/finding-policies": {"act": "mask"},
        "/v1/erasures/{erasure_id}/proofs": {"sha256": "00" * 32},
        "/v1/erasures": {"file_id": "00000000-0000-7000-8000-000000000000"},
        "/v1/api-keys": {"name": "x", "scopes": ["search"]},
        "/v1/files/{file_id}": {"name": "x"},
        "/v1/files/{file_id}/tier": {"tier": "cold"},
        "/v1/files/{file_id}/redactions": {},
        "/v1/annotations": {"file_id": "00000000-0000-7000-8000-000000000000"},
        "/v1/annotations/{annotation_id}": {"body": "x"},
        "/v1/annotations/{annotation_id}/comments": {"body": "x"},
        "/v1/annotations/{annotation_id}/comments/{comment_id}": {"body": "x"},
        "/v1/shares": {"file_id": "00000000-0000-7000-8000-000000000000"},
        "/v1/conversations": {},
        "/v1/conversations/{conversation_id}": {"title": "x"},
        "/v1/conversations/{conversation_id}/messages/{message_id}/regenerate": {},
        "/v1/feedback": {
            "message_id": "00000000-0000-7000-8000-000000000000",
            "verdict": "up",
        },
        "/v1/shares/{share_id}": {"max_downloads": 1},
        "/v1/webhooks": {"url": "https://example.com/", "events": ["file.ready"]},
        "/v1/webhooks/{webhook_id}": {"description": "x"},
        "/v1/webhooks/{webhook_id}/replay": {**LAST_CENTURY},
        "/v1/batches": {"files": ["00000000-0000-7000-8000-000000000000"]},
        "/v1/jobs/{job_id}/reprioritise": {"priority": 1},
        "/v1/principals/{principal_id}": {"name": "x"},
        "/v1/principals/{principal_id}/password": {"password": "correct horse"},
        "/v1/principals/{principal_id}/identity": {"subject": "x"},
        "/v1/groups/{group_id}": {"name": "x"},
        "/openai/v1/vector_stores": {"name": "x"},
        "/openai/v1/vector_stores/{vector_store_id}": {"name": "x"},
        "/openai/v1/vector_stores/{vector_store_id}/search": {"query": "x"},
        "/openai/v1/vector_stores/{vector_store_id}/files": {"file_id": "file-x"},
        "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}": {"attributes": {}},
        "/openai/v1/vector_stores/{vector_store_id}/file_batches": {"file_ids": ["file-x"]},
        "/openai/v1/chat/completions": {
            "model": "muniment",
            "messages": [{"role": "user", "content": "x"}],
        },
        "/v1/tenants": {"name": "x"},
        "/v1/tenants/{tenant_id}": {"disabled": True},
    }
    return json.loads(json.dumps(bodies.get(route.path)))

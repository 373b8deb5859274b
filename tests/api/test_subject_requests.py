"""`/v1/subject-requests`: who may ask, who may decide, and what is told of a request."""

import re
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture

PATH = "/v1/subject-requests"
WHO = {"identifiers": ["Ana Li", "ana.li@example.org"]}


async def opened(
    client: httpx.AsyncClient, kind: str = "access", key: str | None = None
) -> dict[str, object]:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"kind": kind, "subject": WHO, "reason": "letter of 3 March"}
    answered = await client.post(PATH, json=body, headers=headers)
    assert answered.status_code == 202, answered.text
    found: dict[str, object] = answered.json()
    return found


def changed(dsn: str, statement: str, *values: object) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement, values)


def rows(dsn: str, table: str) -> str:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f"SELECT {table}::text FROM {table}").fetchall()  # noqa: S608
        return "\n".join(row[0] for row in found)


async def found(client: httpx.AsyncClient, dsn: str, request: dict[str, object]) -> list[str]:
    """Two files that a worker would have found; it waits for a decision."""
    ids = []
    for name in ("a.txt", "b.txt"):
        made = await client.post(f"/v1/files?name={name}", content=name.encode())
        ids.append(made.json()["id"])
        changed(
            dsn,
            "INSERT INTO subject_request_item (request_id, file_id, tenant_id, sources, matches,"
            " state, created_at) SELECT id, %s, tenant_id, '{text}', 2, 'found', now()"
            " FROM subject_request WHERE id = %s",
            ids[-1],
            request["id"],
        )
    changed(dsn, "UPDATE subject_request SET state = 'waiting' WHERE id = %s", request["id"])
    return ids


async def second(
    client: httpx.AsyncClient, api: ApiProcess, scopes: list[str]
) -> httpx.AsyncClient:
    """Speaks as another administrator of the tenant."""
    made = await client.post(
        "/v1/principals", json={"kind": "user", "name": f"second {len(scopes)}", "is_admin": True}
    )
    assert made.status_code == 201, made.text
    body = {"name": "k", "scopes": scopes, "principal_id": made.json()["id"]}
    key = await client.post("/v1/api-keys", json=body)
    assert key.status_code == 201, key.text
    return client_of(api, key.json()["secret"])


async def test_who_the_person_is_stands_in_no_row_and_is_told_to_whoever_may_ask(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    request = await opened(client, key="once")
    again = await opened(client, key="once")
    assert again["id"] == request["id"]
    other = {"kind": "access", "subject": {"identifiers": ["Bo Ek"]}}
    refused = await client.post(PATH, json=other, headers={"Idempotency-Key": "once"})
    assert refused.status_code == 422
    for table in ("subject_request", "idempotency_key", "audit_event"):
        told = rows(postgres_dsn, table).lower()
        assert not re.search(r"\bana\b", told)
        assert "march" not in told
    shown = (await client.get(f"{PATH}/{request['id']}")).json()
    assert (shown["subject"], shown["reason"]) == (WHO, "letter of 3 March")
    assert (await client.get(PATH)).json()["data"][0]["id"] == request["id"]
    done = audit_actions(postgres_dsn, tenant.tenant_id)
    assert done.count("subject_request.opened") == 1
    assert "subject_request.read" in done
    changed(
        postgres_dsn,
        "UPDATE subject_request SET text_key_id = NULL, subject = NULL WHERE id = %s",
        request["id"],
    )
    forgotten = (await client.get(f"{PATH}/{request['id']}")).json()
    assert (forgotten["subject"], forgotten["reason"]) == (None, None)


@pytest.mark.parametrize(
    "identifiers", [[], ["ab"], ["a  -  "], ["x" * 201], ["Ana Li"] * 21, ["\x00\x00\x00"]]
)
async def test_what_says_nothing_of_a_person_is_refused(
    client: httpx.AsyncClient, identifiers: list[str]
) -> None:
    body = {"kind": "access", "subject": {"identifiers": identifiers}}
    assert (await client.post(PATH, json=body)).status_code == 422


async def test_an_erasure_is_confirmed_once_by_somebody_else_who_may_erase(
    client: httpx.AsyncClient, api: ApiProcess, postgres_dsn: str, tenant: TenantFixture
) -> None:
    request = await opened(client, "erasure")
    path = f"{PATH}/{request['id']}"
    early = await client.post(f"{path}/decisions", json={"approve": False})
    assert early.status_code == 409
    mine, namesakes = await found(client, postgres_dsn, request)
    own = await client.post(f"{path}/decisions", json={"approve": True})
    assert own.status_code == 403
    async with await second(client, api, ["subjects:manage"]) as weak:
        answered = await weak.post(f"{path}/decisions", json={"approve": True})
        assert answered.status_code == 403
        assert "files:delete" in answered.json()["detail"]
    scopes = ["subjects:manage", "files:delete"]
    async with await second(client, api, scopes) as approver:
        unknown = {"approve": True, "exclude": [request["id"]]}
        assert (await approver.post(f"{path}/decisions", json=unknown)).status_code == 422
        body = {"approve": True, "exclude": [namesakes]}
        decided = (await approver.post(f"{path}/decisions", json=body)).json()
        assert decided["state"] == "erasing"
        assert decided["decision"]["confirmed"] == 1
        assert (await approver.post(f"{path}/decisions", json=body)).status_code == 409
    items = (await client.get(f"{path}/items")).json()["data"]
    assert {each["file_id"]: each["state"] for each in items} == {
        mine: "found",
        namesakes: "excluded",
    }
    assert (await client.get(f"{path}/statement")).status_code == 409
    assert "subject_request.decided" in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_what_is_rejected_is_over_and_handed_out_to_nobody(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    request = await opened(client)
    path = f"{PATH}/{request['id']}"
    await found(client, postgres_dsn, request)
    assert (await client.get(f"{path}/export")).status_code == 409
    decided = (await client.post(f"{path}/decisions", json={"approve": False})).json()
    assert (decided["state"], decided["decision"]["confirmed"]) == ("rejected", 0)
    assert (await client.get(f"{path}/export")).status_code == 410
    statement = (await client.get(f"{path}/statement")).json()
    assert (statement["erased"], statement["refused"]) == ([], [])


async def test_files_are_listed_by_pages_and_without_names_once_they_are_to_be_erased(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    request = await opened(client)
    ids = await found(client, postgres_dsn, request)
    path = f"{PATH}/{request['id']}/items"
    changed(postgres_dsn, "UPDATE file SET state = 'restricted' WHERE id = %s", ids[1])
    first = (await client.get(path, params={"limit": 1})).json()
    following = {"limit": 1, "cursor": first["next_cursor"]}
    last = (await client.get(path, params=following)).json()
    listed = [(each["file_id"], each["name"]) for each in first["data"] + last["data"]]
    assert listed == [(ids[0], "a.txt"), (ids[1], None)]
    assert last["next_cursor"] is None


async def test_nobody_without_the_scope_and_no_other_tenant_comes_near_a_request(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    api: ApiProcess,
    postgres_dsn: str,
) -> None:
    request = await opened(client)
    ids = await found(client, postgres_dsn, request)
    async with await second(client, api, ["files:read", "holds:manage", "search"]) as other:
        assert (await other.get(PATH)).status_code == 403
        assert (await other.get(f"{PATH}/{request['id']}")).status_code == 403
    path = f"{PATH}/{request['id']}"
    for route in ("", "/items", "/export", "/statement"):
        assert (await stranger.get(f"{path}{route}")).status_code == 404, route
    body = {"approve": True, "exclude": ids}
    assert (await stranger.post(f"{path}/decisions", json=body)).status_code == 404
    assert UUID(str(request["id"]))
    assert (await stranger.get(PATH)).json()["data"] == []


async def test_no_more_are_looked_for_at_once_than_a_tenant_may(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(5):
        await opened(client)
    body = {"kind": "access", "subject": WHO}
    assert (await client.post(PATH, json=body)).status_code == 429

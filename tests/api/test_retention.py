"""Retention: what policies and locks keep at which door, who shortens what, and what others learn of it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.test_legal_holds import DOORS, PRESERVED, _things
from tests.conftest import TenantFixture, make_tenant

POLICIES = "/v1/retention-policies"
BYPASS = {"Muniment-Bypass-Governance": "true"}
DELETIONS = ["trash", "erase", "OpenAI's clients"]
VERSIONS = ["new version", "same name"]


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def make(client: httpx.AsyncClient, **fields: object) -> dict[str, str]:
    answer = await client.post(POLICIES, json={"name": "p", "days": 365, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def lock(
    client: httpx.AsyncClient, file_id: str, mode: str, days: float, **more: object
) -> httpx.Response:
    body = {"mode": mode, "retain_until": in_days(days), **more}
    return await client.put(f"/v1/files/{file_id}/retention", json=body)


async def without(client: httpx.AsyncClient, api: ApiProcess, scope: str) -> httpx.AsyncClient:
    """The same person, with all rights but that one."""
    scopes = (await client.get("/v1/auth/me")).json()["scopes"]
    wanted = {"name": "k", "scopes": [each for each in scopes if each != scope]}
    made = await client.post("/v1/api-keys", json=wanted)
    assert made.status_code == 201, made.text
    return client_of(api, made.json()["secret"])


@pytest.mark.parametrize("lock_mode", [None, "governance", "compliance"])
async def test_retention_stops_deletion_and_locks_stop_versions_besides(
    client: httpx.AsyncClient, postgres_dsn: str, lock_mode: str | None
) -> None:
    things = await _things(client, postgres_dsn)
    # By what none of the doors changes.
    await make(client, media_type="text/*", lock_mode=lock_mode)
    said = f"under a {lock_mode} lock" if lock_mode else "kept by a retention policy"
    stopped = [*DELETIONS, *VERSIONS] if lock_mode else DELETIONS
    for door in stopped:
        answer = await DOORS[door](client, things)
        assert (answer.status_code, said in answer.text) == (409, True), (door, answer.text)
        assert "error" in answer.json() or answer.json()["type"] == PRESERVED
    for door in ("attributes", "rename", "label", "describe", "move", "reprocess"):
        answer = await DOORS[door](client, things)
        assert answer.is_success, (door, answer.text)
    if lock_mode is None:
        assert (await DOORS["new version"](client, things)).is_success


async def test_a_hold_goes_before_locks_and_those_before_policies(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    policy = await make(client)
    assert (await lock(client, file_id, "compliance", 30)).status_code == 200
    item = {"matter": "m", "items": [{"file_id": file_id}]}
    hold = (await client.post("/v1/legal-holds", json=item)).json()
    refused = (await client.delete(f"/v1/files/{file_id}")).json()["detail"]
    assert refused == (
        "the file is under a legal hold and under a compliance lock and kept by a retention policy"
    )
    shown = (await client.get(f"/v1/files/{file_id}/retention")).json()
    claims = [(each["kind"], each["reference"]) for each in shown["claims"]]
    assert claims == [
        ("hold", hold["id"]),
        ("compliance_lock", file_id),
        ("retention", policy["id"]),
    ]


async def test_a_collection_that_a_policy_names_is_not_deleted(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    policy = await make(client, collection_id=things["empty"])
    refused = await DOORS["collection"](client, things)
    assert refused.json()["detail"] == "the collection is kept by a retention policy"
    assert (await client.post(f"{POLICIES}/{policy['id']}/end")).status_code == 200
    assert (await DOORS["collection"](client, things)).status_code == 204


async def test_an_erasure_by_law_waits_for_retention_too(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    await make(client, collection_id=things["collection"])
    asked = await client.post("/v1/erasures", json={"file_id": things["file"]})
    assert (asked.status_code, asked.json()["state"]) == (202, "held")


async def test_a_file_tells_what_keeps_it_at_any_time(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    path = f"/v1/files/{file_id}"
    await client.patch(path, json={"labels": ["contract"]})
    none = {"retain_until": None, "indefinite": False, "delete_at": None, "lock": None}
    assert (await client.get(path)).json()["retention"] == none
    event = {"trigger": "event", "event_field": "ended_on"}
    policy = await make(client, label="contract", days=3650, disposition="delete", **event)
    assert (await client.get(path)).json()["retention"] == {**none, "indefinite": True}
    assert (await client.delete(path)).status_code == 409
    await client.patch(path, json={"metadata": {"ended_on": "2030-01-01"}})
    end = "2039-12-30T00:00:00Z"
    dated = {**none, "retain_until": end, "delete_at": end}
    assert (await client.get(path)).json()["retention"] == dated
    (listed,) = (await client.get("/v1/files")).json()["data"]
    assert listed["retention"] == dated
    for moment, kept in (("2039-12-29T23:59:59Z", True), (end, False)):
        answer = await client.get(f"{path}/retention", params={"as_of": moment})
        judged = answer.json()
        assert (judged["as_of"], judged["kept"], judged["is_due"]) == (moment, kept, not kept)
        assert (judged["disposition"], judged["deciding"]) == ("delete", [policy["id"]])


async def test_a_compliance_lock_is_only_ever_made_longer(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    client.headers.update(BYPASS)
    assert (await lock(client, file_id, "compliance", 30)).status_code == 200
    for mode, days in (("compliance", 29), ("compliance", -1), ("governance", 31)):
        refused = await lock(client, file_id, mode, days, reason="because")
        assert (refused.status_code, refused.json()["type"]) == (409, PRESERVED), (mode, days)
    longer = await lock(client, file_id, "compliance", 31)
    assert longer.json()["lock"]["mode"] == "compliance"
    assert (await client.get(f"/v1/files/{file_id}")).json()["retention"]["lock"] == "compliance"
    assert (await client.delete(f"/v1/files/{file_id}")).status_code == 409


async def test_no_series_of_locks_shortens_a_compliance_lock(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    client.headers.update(BYPASS)
    chance, start = random.Random(75), datetime.now(UTC)  # noqa: S311 - a test's own
    mode, until = "governance", start
    for _ in range(40):
        wanted, days = (
            chance.choice(["governance", "governance", "compliance"]),
            chance.randrange(1, 9),
        )
        end = start + timedelta(days=days)
        body = {"mode": wanted, "retain_until": end.isoformat(), "reason": "x"}
        answer = await client.put(f"/v1/files/{file_id}/retention", json=body)
        is_weaker = mode == "compliance" and (wanted != mode or end < until)
        assert answer.status_code == (409 if is_weaker else 200), answer.text
        if not is_weaker:
            mode, until = wanted, end
    shown = (await client.get(f"/v1/files/{file_id}/retention")).json()["lock"]
    assert (shown["mode"], datetime.fromisoformat(shown["retain_until"])) == (mode, until)


async def test_a_governance_lock_is_shortened_with_a_right_a_header_and_a_reason(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    assert (await lock(client, file_id, "governance", 30)).status_code == 200
    assert (await lock(client, file_id, "governance", 10, reason="x")).status_code == 409
    async with await without(client, api, "retention:bypass") as other:
        other.headers.update(BYPASS)
        assert (await lock(other, file_id, "governance", 10, reason="x")).status_code == 403
        assert (await lock(other, file_id, "governance", 31)).status_code == 200
    client.headers.update(BYPASS)
    assert (await lock(client, file_id, "governance", 10)).status_code == 422
    assert "retention.governance_bypassed" not in audit_actions(postgres_dsn, tenant.tenant_id)
    ended = await lock(client, file_id, "governance", -1, reason="placed by mistake")
    assert (ended.status_code, ended.json()["kept"]) == (200, False)
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("retention.governance_bypassed") == 1
    assert actions.count("file.retention_locked") == 3
    assert (await client.delete(f"/v1/files/{file_id}")).status_code == 200


@pytest.mark.parametrize("mode", ["governance", "compliance"])
async def test_no_change_of_a_file_takes_it_from_under_a_lock(
    client: httpx.AsyncClient, postgres_dsn: str, mode: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"/v1/files/{things['file']}"
    await client.patch(path, json={"labels": ["contract"], "metadata": {"customer": "a"}})
    terms = {"label": "contract", "metadata": {"customer": "a"}, "lock_mode": mode}
    event = {"trigger": "event", "event_field": "ended_on"}
    await make(client, collection_id=things["collection"], **terms, **event)
    # The event's date is set once, and then only moved to later.
    for date in ("2030-01-01", "2030-01-02"):
        assert (await client.patch(path, json={"metadata": {"ended_on": date}})).is_success
    before = (await client.get(path)).json()
    dates = [{"metadata": {"ended_on": each}} for each in ("2029-12-31", None, "soon")]
    others: list[dict[str, object]] = [{"labels": []}, {"metadata": {"customer": None}}]
    for change in (*dates, *others, {"collection": "default"}):
        refused = await client.patch(path, json=change)
        assert (refused.status_code, refused.json()["type"]) == (409, PRESERVED), change
    assert (await client.get(path)).json() == before
    assert (await client.patch(path, json={"name": "b", "metadata": {"more": 1}})).is_success


async def test_an_events_date_is_given_by_who_manages_retention(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"/v1/files/{things['file']}"
    event = {"trigger": "event", "event_field": "ended_on", "lock_mode": "compliance"}
    await make(client, collection_id=things["collection"], days=0, **event)
    dated = {"metadata": {"ended_on": "2020-01-01"}}
    key = {"name": "writer", "scopes": ["files:read", "files:write", "files:delete"]}
    secret = (await client.post("/v1/api-keys", json=key)).json()["secret"]
    async with client_of(api, secret) as writer:
        refused = await writer.patch(path, json=dated)
        assert refused.status_code == 403, refused.text
        assert (await writer.patch(path, json={"metadata": {"more": 1}})).is_success
    assert (await client.delete(path)).status_code == 409
    assert (await client.patch(path, json=dated)).is_success
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("retention.event_dated") == 1
    assert (await client.delete(path)).status_code == 200


async def test_what_came_out_of_a_file_under_the_same_policy_may_be_named_anew(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    """Its policy has two ends for it, of its own and of what it came out of."""
    things = await _things(client, postgres_dsn)
    place = {"name": "out.txt", "collection": things["collection"]}
    member = (await client.post("/v1/files", params=place, content=b"another")).json()["id"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file SET parent_id = %s, created_at = created_at + interval '1 hour'"
            " WHERE id = %s",
            (things["file"], member),
        )
    await make(client, collection_id=things["collection"], lock_mode="compliance")
    for file_id in (things["file"], member):
        path = f"/v1/files/{file_id}"
        assert (await client.patch(path, json={"name": "anew"})).is_success
        moved = await client.patch(path, json={"collection": "default"})
        assert moved.status_code == 409


async def test_policies_are_changed_and_ended_as_far_as_their_locks_let(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    whole: dict[str, object] = {"name": "p", "days": 30, "label": "contract"}
    weaker: list[dict[str, object]] = [{"days": 29}, {"label": "other"}, {"metadata": {"a": 1}}]
    for mode in (None, "governance", "compliance"):
        policy = await make(client, **{**whole, "lock_mode": mode})
        path = f"{POLICIES}/{policy['id']}"
        stronger = {**whole, "lock_mode": mode, "days": 31, "disposition": "review"}
        assert (await client.put(path, json=stronger)).json()["days"] == 31
        for fields in [*weaker, {"lock_mode": None, "days": 1}]:
            answer = await client.put(path, json={**stronger, **fields})
            assert answer.status_code == (409 if mode else 200), (mode, fields)
        ended = await client.post(f"{path}/end")
        assert ended.status_code == (409 if mode else 200), mode
        bypassed = await client.post(f"{path}/end", json={"reason": "a mistake"}, headers=BYPASS)
        assert bypassed.status_code == (409 if mode == "compliance" else 200), bypassed.text
        again = await client.put(path, json=stronger)
        assert again.status_code == (200 if mode == "compliance" else 409)
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("retention.governance_bypassed") == 1


async def test_a_change_is_made_to_what_was_read(client: httpx.AsyncClient) -> None:
    policy = await make(client, label="x")
    path = f"{POLICIES}/{policy['id']}"
    tag = (await client.get(path)).headers["ETag"]
    body = {"name": "q", "days": 400, "label": "x"}
    first = await client.put(path, json=body, headers={"If-Match": tag})
    second = await client.put(path, json=body, headers={"If-Match": tag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert first.headers["ETag"] != tag


async def test_whichever_is_first_a_locked_file_is_never_trashed(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    for _ in range(5):
        made = (await client.post("/v1/files?name=r.txt", content=b"raced")).json()
        async with asyncio.TaskGroup() as group:
            trashing = group.create_task(client.delete(f"/v1/files/{made['id']}"))
            group.create_task(lock(client, made["id"], "compliance", 1))
            group.create_task(lock(client, made["id"], "compliance", 2))
        file = (await client.get(f"/v1/files/{made['id']}")).json()
        assert (file["state"] == "trashed") == (trashing.result().status_code == 200)
        assert file["retention"]["lock"] == "compliance"
        assert (await client.delete(f"/v1/files/{made['id']}?permanent=true")).status_code == 409


async def test_what_came_out_of_a_kept_file_is_kept_with_it(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    parent = (await client.post("/v1/files?name=z.zip", content=b"x")).json()["id"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file SET parent_id = %s, root_id = %s WHERE id = %s",
            (parent, parent, things["file"]),
        )
    assert (await lock(client, parent, "compliance", 30)).status_code == 200
    assert (await client.delete(f"/v1/files/{things['file']}")).status_code == 409
    shown = (await client.get(f"/v1/files/{things['file']}/retention")).json()
    assert (shown["lock"], [each["reference"] for each in shown["claims"]]) == (None, [parent])


async def test_others_learn_nothing_of_a_tenants_retention(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"{POLICIES}/{(await make(client))['id']}"
    assert (await stranger.get(POLICIES)).json()["data"] == []
    for answer in [
        await stranger.get(path),
        await stranger.put(path, json={"name": "x", "days": 1}),
        await stranger.post(f"{path}/end"),
        await stranger.get(f"/v1/files/{things['file']}/retention"),
        await lock(stranger, things["file"], "governance", 1),
    ]:
        assert answer.status_code == 404, answer.text
    body = {"name": "x", "days": 1, "collection_id": things["collection"]}
    assert (await stranger.post(POLICIES, json=body)).status_code == 422


NO_POLICIES: list[dict[str, object]] = [
    {},
    {"name": "", "days": 1},
    {"name": "x\0", "days": 1},
    {"name": "x", "days": -1},
    {"name": "x", "days": 36_601},
    {"name": "x", "days": 1, "metadata": {}},
    {"name": "x", "days": 1, "metadata": {str(number): 1 for number in range(21)}},
    {"name": "x", "days": 1, "trigger": "event"},
    {"name": "x", "days": 1, "event_field": "a"},
    *({"name": "x", "days": 1, "media_type": each} for each in ("PDF", "image", "*/*", "Image/*")),
    {"name": "x", "days": 1, "disposition": "relabel"},
    {"name": "x", "days": 1, "relabel_to": "a"},
    {"name": "x", "days": 1, "lock_mode": "strong"},
    {"name": "x", "days": 1, "collection_id": "00000000-0000-7000-8000-000000000000"},
    {"name": "x", "days": 1, "more": 1},
]


async def test_what_is_no_policy_is_refused(client: httpx.AsyncClient) -> None:
    for body in NO_POLICIES:
        assert (await client.post(POLICIES, json=body)).status_code == 422, body
    assert (await client.get(POLICIES)).json()["data"] == []


async def test_what_is_no_lock_is_refused(client: httpx.AsyncClient, postgres_dsn: str) -> None:
    path = f"/v1/files/{(await _things(client, postgres_dsn))['file']}/retention"
    times = ["2020-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]
    for until in (*times, "2030-01-01", ""):
        body = {"mode": "governance", "retain_until": until}
        refused = await client.put(path, json=body)
        assert refused.status_code == 422, until
    as_of = await client.get(path, params={"as_of": "0001-01-01T00:00:00+14:00"})
    assert as_of.status_code == 422
    assert (await client.get(path)).json()["lock"] is None


async def test_retention_needs_its_scope(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    policy = await make(client)
    async with await without(client, api, "retention:manage") as other:
        assert (await other.get(POLICIES)).status_code == 403
        assert (await other.post(POLICIES, json={"name": "x", "days": 1})).status_code == 403
        assert (await other.post(f"{POLICIES}/{policy['id']}/end")).status_code == 403
        assert (await lock(other, file_id, "governance", 1)).status_code == 403
        assert (await other.get(f"/v1/files/{file_id}/retention")).status_code == 200
    person = make_tenant(postgres_dsn, tenant.name, principal="p", is_admin=False)
    private = {"name": "private", "visibility": "private"}
    await client.post("/v1/collections", json=private)
    hidden = (await client.post("/v1/files?name=h&collection=private", content=b"h")).json()
    async with client_of(api, person.api_key) as other:
        assert (await lock(other, hidden["id"], "governance", 1)).status_code == 404


async def test_a_download_is_an_access(client: httpx.AsyncClient, postgres_dsn: str) -> None:
    file_id = (await _things(client, postgres_dsn))["file"]
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        asked = "SELECT count(*) FROM file_access WHERE file_id = %s"
        assert connection.execute(asked, (file_id,)).fetchone() == (0,)
        await client.get(f"/v1/files/{file_id}/content")
        assert connection.execute(asked, (file_id,)).fetchone() == (1,)

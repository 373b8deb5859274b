"""Sweeps that are asked for, decisions about them, and files that two people are to agree about."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psycopg

from activities.retention.activity import SweepPolicy, step
from db.models import RetentionSweep
from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.test_retention import make
from tests.conftest import TenantFixture

SWEEPS = "/v1/retention-sweeps"
DISPOSITIONS = "/v1/dispositions"
CAREFUL = SweepPolicy(0.0, 0, timedelta(days=30))
GENEROUS = SweepPolicy(1.0, 100, timedelta(days=30))
APPROVE = {"verdict": "approve", "reason": "agreed"}
REJECT = {"verdict": "reject", "reason": "not yet"}


async def add(client: httpx.AsyncClient, name: str, **fields: str) -> str:
    answer = await client.post("/v1/files", params={"name": name, **fields}, content=name.encode())
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def label(client: httpx.AsyncClient, file_id: str, *labels: str) -> None:
    changed = await client.patch(f"/v1/files/{file_id}", json={"labels": [*labels]})
    assert changed.status_code == 200, changed.text


async def sweep(client: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await client.post(SWEEPS, json=fields)


async def colleague(client: httpx.AsyncClient, api: ApiProcess) -> httpx.AsyncClient:
    """Somebody else with the same rights."""
    scopes = (await client.get("/v1/auth/me")).json()["scopes"]
    made = await client.post("/v1/principals", json={"kind": "service", "name": "colleague"})
    assert made.status_code == 201, made.text
    wanted = {"name": "k", "scopes": scopes, "principal_id": made.json()["id"]}
    key = await client.post("/v1/api-keys", json=wanted)
    assert key.status_code == 201, key.text
    return client_of(api, key.json()["secret"])


async def carried_out(
    database: Database, tenant: TenantFixture, sweep_id: str, policy: SweepPolicy = GENEROUS
) -> str:
    """By what its activities do, until it waits or is over; no worker runs beside these tests."""
    for _ in range(20):
        async with database.transaction(tenant.system) as session:
            row = await session.get_one(RetentionSweep, UUID(sweep_id), with_for_update=True)
            done = await step(session, row, policy)
            if done.is_over or done.wait_seconds:
                return row.state
    raise AssertionError("the sweep goes on and on")


async def reviewed(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> tuple[str, str]:
    """A file that is put before people, and its disposition."""
    file_id = await add(client, "deed.txt")
    await make(client, days=0, disposition="review")
    begun = (await sweep(client)).json()
    assert await carried_out(database, tenant, begun["id"]) == "completed"
    [waiting] = (await client.get(DISPOSITIONS, params={"state": "open"})).json()["data"]
    assert waiting["file_id"] == file_id
    return file_id, f"{DISPOSITIONS}/{waiting['id']}"


async def test_a_dry_run_tells_what_will_be_due_and_touches_nothing(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    file_id = await add(client, "a.txt")
    await make(client, days=3650, disposition="delete")
    in_ten_years = (datetime.now(UTC) + timedelta(days=3651)).isoformat()
    refused = await sweep(client, as_of=in_ten_years)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "as_of")
    begun = await sweep(client, dry_run=True, as_of=in_ten_years)
    assert begun.status_code == 202, begun.text
    path = begun.headers["Location"]
    assert (await sweep(client)).status_code == 409, "one is open at a time"
    assert await carried_out(database, tenant, begun.json()["id"]) == "completed"
    told = (await client.get(path)).json()
    assert (told["files"], told["due_deletions"], told["deleted"]) == (1, 1, 0)
    assert (await client.get(f"/v1/files/{file_id}")).json()["state"] == "received"
    [listed] = (await client.get(SWEEPS, params={"state": "completed"})).json()["data"]
    assert listed["id"] == told["id"]
    assert (await client.get(SWEEPS, params={"state": "waiting"})).json()["data"] == []


async def test_who_asked_for_a_sweep_does_not_approve_it(
    client: httpx.AsyncClient,
    api: ApiProcess,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    file_id = await add(client, "a.txt")
    await make(client, days=0, disposition="delete")
    begun = (await sweep(client)).json()
    path = f"{SWEEPS}/{begun['id']}/decisions"
    assert (await client.post(path, json=APPROVE)).status_code == 409, "it does not wait yet"
    assert await carried_out(database, tenant, begun["id"], CAREFUL) == "waiting"
    assert (await client.post(path, json=APPROVE)).status_code == 409
    async with await colleague(client, api) as other:
        decided = await other.post(path, json=APPROVE)
        assert decided.status_code == 200, decided.text
        assert [each["verdict"] for each in decided.json()["decisions"]] == ["approve"]
        assert (await other.post(path, json=REJECT)).status_code == 409, "it was decided"
    assert await carried_out(database, tenant, begun["id"], CAREFUL) == "completed"
    assert (await client.get(f"/v1/files/{file_id}")).json()["state"] == "erasing"
    told = audit_actions(postgres_dsn, tenant.tenant_id)
    sweeps = [each.partition(".")[2] for each in told if each.startswith("retention_sweep.")]
    assert sweeps == ["requested", "judged", "decided", "ended"]


async def test_what_waits_is_among_the_tasks_until_it_is_decided(
    client: httpx.AsyncClient, api: ApiProcess, database: Database, tenant: TenantFixture
) -> None:
    async def kinds() -> list[str]:
        return [each["kind"] for each in (await client.get("/v1/tasks")).json()["data"]]

    await add(client, "a.txt")
    policy = await make(client, days=0, disposition="delete")
    begun = (await sweep(client)).json()
    assert await kinds() == []
    assert await carried_out(database, tenant, begun["id"], CAREFUL) == "waiting"
    [task] = (await client.get("/v1/tasks")).json()["data"]
    assert (task["kind"], task["subject"]["id"]) == ("retention_sweep", begun["id"])
    [action] = task["actions"]
    assert (await client.post(action["href"], json=REJECT)).status_code == 200
    assert await kinds() == []
    assert await carried_out(database, tenant, begun["id"], CAREFUL) == "rejected"
    ended = await client.post(f"/v1/retention-policies/{policy['id']}/end")
    assert ended.status_code == 200, ended.text
    await make(client, days=0, disposition="review")
    again = (await sweep(client)).json()
    assert await carried_out(database, tenant, again["id"]) == "completed"
    [task] = (await client.get("/v1/tasks")).json()["data"]
    assert task["kind"] == "disposition"
    assert (await client.get(task["subject"]["href"])).json()["state"] == "open"
    assert (await client.post(task["actions"][0]["href"], json=REJECT)).status_code == 200
    assert await kinds() == []


async def test_two_people_have_a_file_deleted(
    client: httpx.AsyncClient,
    api: ApiProcess,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    file_id, path = await reviewed(client, database, tenant)
    first = await client.post(f"{path}/decisions", json=APPROVE)
    assert (first.status_code, first.json()["state"]) == (200, "open")
    again = await client.post(f"{path}/decisions", json=APPROVE)
    assert again.status_code == 409, "one person is one of the two"
    assert (await client.get(f"/v1/files/{file_id}")).json()["state"] == "received"
    async with await colleague(client, api) as other:
        second = await other.post(f"{path}/decisions", json=APPROVE)
        assert (second.status_code, second.json()["state"]) == (200, "approved"), second.text
        late = await other.post(f"{path}/decisions", json=REJECT)
        assert late.status_code == 409
    assert (await client.get(f"/v1/files/{file_id}")).json()["state"] in ("erasing", "erased")
    shown = (await client.get(path)).json()
    assert [each["stage"] for each in shown["decisions"]] == [1, 2]
    assert (await client.get(f"/v1/jobs/{shown['job_id']}")).json()["kind"] == "erase_file"
    told = audit_actions(postgres_dsn, tenant.tenant_id)
    assert (told.count("disposition.opened"), told.count("disposition.decided")) == (1, 2)


async def test_what_is_held_meanwhile_is_not_deleted_by_anybody(
    client: httpx.AsyncClient, api: ApiProcess, database: Database, tenant: TenantFixture
) -> None:
    file_id, path = await reviewed(client, database, tenant)
    assert (await client.post(f"{path}/decisions", json=APPROVE)).status_code == 200
    item = {"matter": "m", "items": [{"file_id": file_id}]}
    assert (await client.post("/v1/legal-holds", json=item)).status_code == 201
    async with await colleague(client, api) as other:
        refused = await other.post(f"{path}/decisions", json=APPROVE)
        assert refused.status_code == 409, refused.text
    assert (await client.get(f"/v1/files/{file_id}")).json()["state"] == "received"
    begun = (await sweep(client)).json()
    assert await carried_out(database, tenant, begun["id"]) == "completed"
    assert (await client.get(path)).json()["state"] == "withdrawn"


async def test_what_was_rejected_is_not_asked_about_until_its_time(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id, path = await reviewed(client, database, tenant)
    rejected = (await client.post(f"{path}/decisions", json={**REJECT, "keep_days": 30})).json()
    assert rejected["state"] == "rejected"
    again = (await sweep(client)).json()
    assert await carried_out(database, tenant, again["id"]) == "completed"
    assert len((await client.get(DISPOSITIONS)).json()["data"]) == 1
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE disposition SET keep_until = now() WHERE file_id = %s", [file_id]
        )
    later = (await sweep(client)).json()
    assert await carried_out(database, tenant, later["id"]) == "completed"
    states = [each["state"] for each in (await client.get(DISPOSITIONS)).json()["data"]]
    assert states == ["open", "rejected"]


async def test_another_tenant_and_who_lacks_the_scope_see_nothing_of_it(
    client: httpx.AsyncClient,
    api: ApiProcess,
    database: Database,
    tenant: TenantFixture,
    stranger: httpx.AsyncClient,
) -> None:
    _, path = await reviewed(client, database, tenant)
    [done] = (await client.get(SWEEPS)).json()["data"]
    for there in (path, f"{SWEEPS}/{done['id']}"):
        assert (await stranger.get(there)).status_code == 404
        decided = await stranger.post(f"{there}/decisions", json=APPROVE)
        assert decided.status_code == 404
    for listing in (SWEEPS, DISPOSITIONS):
        assert (await stranger.get(listing)).json()["data"] == []
    wanted = {"name": "k", "scopes": ["files:read", "files:delete"]}
    key = (await client.post("/v1/api-keys", json=wanted)).json()["secret"]
    async with client_of(api, key) as reader:
        assert (await reader.get(DISPOSITIONS)).status_code == 403
        assert (await reader.post(f"{path}/decisions", json=APPROVE)).status_code == 403

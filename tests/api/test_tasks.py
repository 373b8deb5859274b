"""What waits for people is in one list: by when it is due, for those who may see it, until it is decided."""

import json
from collections.abc import Sequence
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

PATH = "/v1/tasks"
HOLDS = "/v1/legal-holds"
MALWARE, HELD = "malware-found", "findings-held"


async def _waiting(
    client: httpx.AsyncClient, dsn: str, problem: str, days: int = 0, collection: str = "default"
) -> httpx.Response:
    """A file whose job waits for a decision since so many days, as the workflow writes it down."""
    path = f"/v1/files?name={uuid4().hex}.txt&collection={collection}"
    made = await client.post(path, content=uuid4().bytes)
    assert made.status_code == 202, made.text
    job_id = made.json()["job"]["id"]
    error = {"type": f"urn:muniment:problem:{problem}", "title": "", "detail": "", "remedy": ""}
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'waiting', started_at = now(), error = %s,"
            " created_at = now() - make_interval(days => %s) WHERE id = %s",
            (json.dumps(error), days, job_id),
        )
        connection.execute(
            "UPDATE file_version SET scanned_at = now() - make_interval(days => %s)"
            " WHERE file_id = %s",
            (days, made.json()["id"]),
        )
        connection.execute(
            "UPDATE file SET state = 'quarantined' WHERE id = %s", (made.json()["id"],)
        )
        if problem == HELD:
            connection.execute(
                "INSERT INTO finding_judgement (job_id, tenant_id, version_id, act, causes, rules,"
                " created_at) SELECT id, tenant_id, version_id, 'review', '[]', '[]',"
                " now() - make_interval(days => %s) FROM job WHERE id = %s",
                (days, job_id),
            )
    return made


async def _place(
    client: httpx.AsyncClient, *, file_id: str | None = None, custodians: Sequence[UUID] = ()
) -> str:
    item = {"file_id": file_id} if file_id else {"query": {"label": "x"}}
    body = {"matter": "Quay", "items": [item], "custodians": [str(each) for each in custodians]}
    placed = await client.post(HOLDS, json=body)
    assert placed.status_code == 201, placed.text
    return str(placed.json()["id"])


def _aged(dsn: str, hold_id: str, days: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE legal_hold SET created_at = now() - make_interval(days => %s) WHERE id = %s",
            (days, hold_id),
        )


def _decided(dsn: str, job_id: str, verdict: str, minutes_ago: int = 0) -> None:
    """As the API writes a decision down."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO decision (id, tenant_id, job_id, principal_id, verdict, created_at)"
            " SELECT gen_random_uuid(), job.tenant_id, job.id, job.requested_by, %s,"
            " now() - make_interval(mins => %s) FROM job WHERE id = %s",
            (verdict, minutes_ago, job_id),
        )


async def _ids(client: httpx.AsyncClient, **filters: object) -> list[str]:
    answer = await client.get(PATH, params={k: str(v) for k, v in filters.items()})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


async def test_all_that_waits_is_listed_by_when_it_is_due(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    malware = (await _waiting(client, postgres_dsn, MALWARE, 4)).json()
    held = (await _waiting(client, postgres_dsn, HELD, 1)).json()
    hold = await _place(client, custodians=[tenant.principal_id])
    _aged(postgres_dsn, hold, 100)
    listed = (await client.get(PATH)).json()
    quarantine, review = f"quarantine.{malware['job']['id']}", f"finding_review.{held['job']['id']}"
    confirming, knowing = (
        f"hold_review.{hold}",
        f"hold_acknowledgement.{hold}.{tenant.principal_id}",
    )
    # The custodian was not told yet: since the placing, 100 days ago.
    assert [each["id"] for each in listed["data"]] == [knowing, quarantine, review, confirming]
    by_id = {each["id"]: each for each in listed["data"]}
    assert by_id[quarantine]["overdue"]
    assert not by_id[review]["overdue"]
    assert by_id[quarantine]["subject"] == {
        "type": "job",
        "id": malware["job"]["id"],
        "href": f"/v1/jobs/{malware['job']['id']}",
        "title": malware["name"],
    }
    assert by_id[quarantine]["file_id"] == malware["id"]
    assert by_id[quarantine]["may_decide"] == "quarantine:decide"
    assert by_id[confirming]["subject"]["title"] == "Quay"
    assert [each["href"] for each in by_id[review]["actions"]] == [
        f"/v1/jobs/{held['job']['id']}/release",
        f"/v1/jobs/{held['job']['id']}/reject",
    ]
    for task in listed["data"]:
        assert (await client.get(f"{PATH}/{task['id']}")).json() == task
        # Where it is shown is a route, and so is where it is decided.
        assert (await client.get(task["subject"]["href"])).status_code == 200
    assert {each["kind"]: (each["total"], each["overdue"]) for each in listed["totals"]} == {
        "quarantine": (1, 1),
        "finding_review": (1, 0),
        "held_erasure": (0, 0),
        "hold_review": (1, 0),
        "hold_acknowledgement": (1, 1),
        "disposition": (0, 0),
        "retention_sweep": (0, 0),
        "subject_request": (0, 0),
    }


async def test_filters_and_pages_tell_each_task_once(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    for days in (5, 4, 0):
        await _waiting(client, postgres_dsn, MALWARE, days)
    hold = await _place(client, custodians=[tenant.principal_id, await _nobody(client)])
    everything = await _ids(client)
    assert len(everything) == 5
    paged: list[str] = []
    cursor: str | None = None
    while True:
        asked = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, params=asked)).json()
        paged += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == everything
    mine = f"hold_acknowledgement.{hold}.{tenant.principal_id}"
    assert await _ids(client, mine="true") == [mine]
    assert await _ids(client, assignee=tenant.principal_id) == [mine]
    assert await _ids(client, overdue="true") == everything[:2]
    assert len(await _ids(client, kind="quarantine")) == 3
    first = (await client.get(f"{PATH}/{everything[0]}")).json()
    assert await _ids(client, due_before=first["due_at"]) == []
    second = (await client.get(f"{PATH}/{everything[1]}")).json()
    assert await _ids(client, due_before=second["due_at"]) == everything[:1]
    assert (await client.get(PATH, params={"cursor": "nonsense"})).status_code == 400
    assert (await client.get(PATH, params={"kind": "nothing"})).status_code == 422


async def _nobody(client: httpx.AsyncClient) -> UUID:
    made = await client.post("/v1/principals", json={"name": uuid4().hex, "kind": "user"})
    assert made.status_code == 201, made.text
    return UUID(made.json()["id"])


@pytest.mark.parametrize(("problem", "kind"), [(MALWARE, "quarantine"), (HELD, "finding_review")])
async def test_what_was_decided_is_gone_at_once_unless_nobody_heard_of_it(
    client: httpx.AsyncClient, postgres_dsn: str, problem: str, kind: str
) -> None:
    job_id = (await _waiting(client, postgres_dsn, problem, 1)).json()["job"]["id"]
    name = f"{kind}.{job_id}"
    # What was decided before it waited is about something else.
    _decided(postgres_dsn, job_id, "release", minutes_ago=2 * 24 * 60)
    assert await _ids(client) == [name]
    # Its workflow waits still: that was never told.
    _decided(postgres_dsn, job_id, "release", minutes_ago=10)
    assert await _ids(client) == [name]
    _decided(postgres_dsn, job_id, "reject")
    assert await _ids(client) == []
    assert (await client.get(f"{PATH}/{name}")).status_code == 404


async def test_a_matter_is_asked_about_again_until_somebody_confirms_or_releases_it(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    hold = await _place(client)
    assert await _ids(client) == []
    _aged(postgres_dsn, hold, 200)
    assert await _ids(client, overdue="true") == [f"hold_review.{hold}"]
    confirmed = await client.post(f"{HOLDS}/{hold}/confirm")
    assert confirmed.json()["confirmed_by"] == str(tenant.principal_id)
    assert await _ids(client) == []
    assert "legal_hold.confirmed" in audit_actions(postgres_dsn, tenant.tenant_id)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE legal_hold SET confirmed_at = now() - interval '91 days'")
    assert await _ids(client) == [f"hold_review.{hold}"]
    await client.post(f"{HOLDS}/{hold}/release")
    assert await _ids(client) == []
    assert (await client.post(f"{HOLDS}/{hold}/confirm")).status_code == 409


async def test_a_held_erasure_waits_without_a_name_and_goes_with_its_state(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    made = (await client.post("/v1/files?name=secret.txt", content=b"mine")).json()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE job SET state = 'completed', finished_at = now()")
    await _place(client, file_id=made["id"])
    ordered = await client.post("/v1/erasures", json={"file_id": made["id"]})
    assert (ordered.status_code, ordered.json()["state"]) == (202, "held")
    erasure_id = ordered.json()["id"]
    (task,) = (await client.get(PATH, params={"kind": "held_erasure"})).json()["data"]
    assert task["id"] == f"held_erasure.{erasure_id}"
    assert (task["subject"]["title"], task["may_decide"]) == (None, "holds:manage")
    assert (await client.get(task["subject"]["href"])).json()["state"] == "held"
    assert (await client.get(task["actions"][0]["href"])).status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE erasure SET state = 'executing' WHERE id = %s", (erasure_id,))
    assert await _ids(client, kind="held_erasure") == []


async def test_nobody_sees_what_scope_file_or_tenant_keep_from_it(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    await client.post("/v1/collections", json={"name": "drawer", "visibility": "private"})
    waiting = (await _waiting(client, postgres_dsn, MALWARE, 9, "drawer")).json()
    quarantine = f"quarantine.{waiting['job']['id']}"
    clerk = make_tenant(
        postgres_dsn, tenant.name, principal="clerk", is_admin=False, scopes=("files:read",)
    )
    outsider = make_tenant(
        postgres_dsn,
        tenant.name,
        principal="outsider",
        is_admin=False,
        scopes=("files:read", "quarantine:decide"),
    )
    hold = await _place(client, custodians=[clerk.principal_id, tenant.principal_id])
    own = f"hold_acknowledgement.{hold}.{clerk.principal_id}"
    async with client_of(api, clerk.api_key) as reader:
        # Without the scope neither the kind nor how many there are; of notices one's own.
        listed = (await reader.get(PATH)).json()
        assert [each["id"] for each in listed["data"]] == [own]
        shown = await reader.get(listed["data"][0]["subject"]["href"])
        assert [each["hold_id"] for each in shown.json()["data"]] == [hold]
        assert listed["totals"] == [{"kind": "hold_acknowledgement", "total": 1, "overdue": 0}]
        assert (await reader.get(f"{PATH}/{quarantine}")).status_code == 404
        theirs = f"hold_acknowledgement.{hold}.{tenant.principal_id}"
        assert (await reader.get(f"{PATH}/{theirs}")).status_code == 404
        assert (await reader.post(f"{HOLDS}/{hold}/acknowledge")).status_code == 200
        assert await _ids(reader) == []
    for key in (outsider.api_key, other_tenant.api_key):
        # With the scope, but no right to read the file.
        async with client_of(api, key) as reader:
            listed = (await reader.get(PATH)).json()
            assert listed["data"] == []
            assert all(each["total"] == 0 for each in listed["totals"])
            assert (await reader.get(f"{PATH}/{quarantine}")).status_code == 404
            assert waiting["name"] not in (await reader.get(PATH)).text
    assert quarantine in await _ids(client)
    for wrong in ("nothing", "quarantine", f"quarantine.{hold}", f"quarantine.{uuid4()}.{uuid4()}"):
        assert (await client.get(f"{PATH}/{wrong}")).status_code == 404, wrong

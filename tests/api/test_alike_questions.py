"""`/v1/alike-questions`: set by administrators of the tenant, for it alone, and off until then."""

import asyncio

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant

POLICY = "/v1/alike-questions/policy"


async def test_none_is_alike_until_it_is_set(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    shown = await client.get(POLICY)
    assert (shown.json(), shown.headers["etag"]) == ({"least_likeness": None}, '"0"')
    done = await client.put(POLICY, json={"least_likeness": 0.97}, headers={"If-Match": '"0"'})
    assert (done.json(), done.headers["etag"]) == ({"least_likeness": 0.97}, '"1"')
    assert (await client.get(POLICY)).json() == {"least_likeness": 0.97}
    assert (await stranger.get(POLICY)).json() == {"least_likeness": None}
    late = await client.put(POLICY, json={"least_likeness": 0.8}, headers={"If-Match": '"0"'})
    assert late.status_code == 412
    off = await client.put(POLICY, json={"least_likeness": None}, headers={"If-Match": '"1"'})
    assert (off.json(), off.headers["etag"]) == ({"least_likeness": None}, '"2"')


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"least_likeness": 0.79},
        {"least_likeness": 1.01},
        {"least_likeness": "near"},
        {"least_likeness": 0.9, "tenant_id": "0190f6e0-0000-7000-8000-000000000000"},
        [],
    ],
)
async def test_what_is_no_likeness_is_refused(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.put(POLICY, json=body)).status_code == 422
    huge = b'{"least_likeness": 1e999}'
    sent = await client.put(POLICY, content=huge, headers={"Content-Type": "application/json"})
    assert sent.status_code in (400, 422)


async def test_only_administrators_see_and_set_it(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="colleague", is_admin=False)
    async with client_of(api, made.api_key) as colleague:
        assert (await colleague.get(POLICY)).status_code == 403
        refused = await colleague.put(POLICY, json={"least_likeness": 0.9})
    assert refused.status_code == 403
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT 1 FROM alike_question_policy WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert rows == []


async def test_set_by_two_at_once_it_is_what_one_of_them_set(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        sent = [
            tasks.create_task(client.put(POLICY, json={"least_likeness": wanted}))
            for wanted in (0.9, 0.95, 0.97, 0.99)
        ]
    assert [each.result().status_code for each in sent] == [200] * 4
    shown = await client.get(POLICY)
    assert shown.headers["etag"] == '"4"'
    with psycopg.connect(postgres_dsn) as connection:
        told = connection.execute(
            "SELECT payload FROM audit_event WHERE tenant_id = %s"
            " AND action = 'alike_questions.policy_set' ORDER BY at, id",
            (tenant.tenant_id,),
        ).fetchall()
    assert len(told) == 4
    assert shown.json() in [payload for (payload,) in told]

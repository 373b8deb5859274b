"""Tenants, made and disabled by those who operate the service, and by nobody else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from db.bootstrap import bootstrap
from db.models import new_id
from muniment.api_keys import ALL_SCOPES
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.test_events import opened, take
from tests.api.test_jobs import ingest
from tests.api.test_principals import make_key, make_principal
from tests.api.test_sign_ins import PASSWORD, door, no_attempts
from tests.blocked import until_blocked_by
from tests.conftest import TenantFixture, make_tenant

__all__ = ["door", "no_attempts"]


@pytest.fixture
def operating(postgres_dsn: str) -> TenantFixture:
    made = make_tenant(postgres_dsn)
    bootstrap(postgres_dsn, tenant=made.name, is_operator=True)
    return made


@pytest.fixture
async def operator(api: ApiProcess, operating: TenantFixture) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(api, operating.api_key) as operator:
        yield operator


async def make(operator: httpx.AsyncClient, name: str | None = None) -> dict[str, Any]:
    answer = await operator.post("/v1/tenants", json={"name": name or f"acme-{new_id()}"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_new_tenant_works_at_once_and_apart(
    api: ApiProcess,
    operator: httpx.AsyncClient,
    operating: TenantFixture,
    postgres_dsn: str,
) -> None:
    answer = await operator.post("/v1/tenants", json={"name": f"acme-{new_id()}"})
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/tenants/{made['id']}"
    assert (made["is_operator"], made["disabled_at"]) == (False, None)
    async with client_of(api, made["administrator"]["api_key"]) as acme:
        me = (await acme.get("/v1/auth/me")).json()
        assert (me["tenant_id"], me["is_admin"]) == (made["id"], True)
        assert me["scopes"] == sorted(ALL_SCOPES)
        file = await acme.post("/v1/files?name=a.txt", content=b"theirs")
        assert file.status_code == 202, file.text
        assert (await acme.get("/v1/audit")).json()["data"]
        assert (await operator.get(f"/v1/files/{file.json()['id']}")).status_code == 404
        assert (await acme.get("/v1/tenants")).status_code == 403
        assert (await acme.post("/v1/tenants", json={"name": "x"})).status_code == 403
        for tenant_id in (made["id"], str(operating.tenant_id), str(uuid4())):
            path = f"/v1/tenants/{tenant_id}"
            assert (await acme.get(path)).status_code == 404
            assert (await acme.patch(path, json={"disabled": True})).status_code == 404
    shown = await operator.get(f"/v1/tenants/{made['id']}")
    assert shown.json()["name"] == made["name"]
    assert "api_key" not in shown.text
    ours = audit_actions(postgres_dsn, operating.tenant_id)
    theirs = audit_actions(postgres_dsn, made["id"])
    assert ours.count("tenant.created") == theirs.count("tenant.created") == 1


async def test_only_an_administrator_who_operates_and_has_every_scope_makes_one(
    api: ApiProcess, operator: httpx.AsyncClient, operating: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, operating.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as no_administrator:
        assert (await no_administrator.get("/v1/tenants")).status_code == 403
        path = f"/v1/tenants/{operating.tenant_id}"
        assert (await no_administrator.get(path)).status_code == 404
    narrow = await make_key(operator, str(operating.principal_id), "tenants:manage")
    async with client_of(api, narrow) as narrow_one:
        assert (await narrow_one.get("/v1/tenants")).status_code == 200
        refused = await narrow_one.post("/v1/tenants", json={"name": f"acme-{new_id()}"})
        assert refused.status_code == 403
        assert "scope" in refused.json()["detail"]


async def test_names_are_taken_once_and_keys_shown_once(operator: httpx.AsyncClient) -> None:
    name = f"acme-{new_id()}"
    answers = await asyncio.gather(
        *(operator.post("/v1/tenants", json={"name": name}) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    key = {"Idempotency-Key": "once"}
    body = {"name": f"acme-{new_id()}"}
    first = await operator.post("/v1/tenants", json=body, headers=key)
    again = await operator.post("/v1/tenants", json=body, headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["administrator"]["api_key"].startswith("mun_")
    assert again.json()["administrator"]["api_key"] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": " "}, {"name": "a\x00"}, {"name": "x" * 201}, {"name": ["x"]},
     {"name": "x", "is_operator": True}],
)  # fmt: skip
async def test_what_is_no_tenant_is_refused(
    operator: httpx.AsyncClient, body: dict[str, object]
) -> None:
    assert (await operator.post("/v1/tenants", json=body)).status_code == 422


async def test_a_list_goes_page_by_page(operator: httpx.AsyncClient) -> None:
    made = [(await make(operator))["id"] for _ in range(3)]
    first = (await operator.get("/v1/tenants", params={"limit": 2})).json()
    assert [each["id"] for each in first["data"]] == made[:0:-1]
    second = await operator.get("/v1/tenants", params={"limit": 2, "cursor": first["next_cursor"]})
    assert second.json()["data"][0]["id"] == made[0]


async def test_nobody_comes_into_a_disabled_tenant_and_those_who_could_come_again_later(
    api: ApiProcess,
    operator: httpx.AsyncClient,
    door: httpx.AsyncClient,
    postgres_dsn: str,
) -> None:
    made = await make(operator)
    path = f"/v1/tenants/{made['id']}"
    key = made["administrator"]["api_key"]
    who = {"username": "ada", "password": PASSWORD, "tenant": made["name"]}
    async with client_of(api, key) as acme:
        ada = await make_principal(acme, "ada")
        await acme.put(f"/v1/principals/{ada['id']}/password", json={"password": PASSWORD})
        left = await make_principal(acme, "left")
        await acme.patch(f"/v1/principals/{left['id']}", json={"disabled": True})
        gone = await make_principal(acme, "gone")
        await acme.delete(f"/v1/principals/{gone['id']}")
        tokens = (await door.post("/v1/auth/token", json={"grant_type": "password", **who})).json()
        assert (await door.post("/v1/auth/session", json=who)).status_code == 201
        file = (await acme.post("/v1/files?name=a.txt", content=b"a")).json()
        ticket = (await acme.post("/v1/auth/stream-ticket")).json()["ticket"]

        async def statuses() -> set[int]:
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            return {
                (await acme.get("/v1/files")).status_code,
                (await door.get("/v1/auth/me", headers=bearer)).status_code,
                (await door.get("/v1/auth/me")).status_code,
                (
                    await door.post("/v1/auth/token", json={"grant_type": "password", **who})
                ).status_code,
            }

        assert await statuses() == {200}
        disabled = await operator.patch(path, json={"disabled": True})
        assert disabled.status_code == 200
        assert disabled.json()["disabled_at"]
        assert await statuses() == {401}
        stream = f"/v1/jobs/{file['job']['id']}/events?ticket={ticket}"
        assert (await door.get(stream)).status_code == 401
        refreshed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await door.post("/v1/auth/token", json=refreshed)).status_code == 401
        again = await operator.patch(path, json={"disabled": True})
        assert again.json() == disabled.json()
        late = bootstrap(postgres_dsn, tenant=made["name"], principal="late")
        async with client_of(api, late.secret) as latecomer:
            assert (await latecomer.get("/v1/files")).status_code == 401
            enabled = await operator.patch(path, json={"disabled": False})
            assert enabled.json()["disabled_at"] is None
            assert (await latecomer.get("/v1/files")).status_code == 200
        assert (await acme.get("/v1/files")).status_code == 200
        came = await door.post("/v1/auth/token", json={"grant_type": "password", **who})
        assert came.status_code == 200, came.text
        people = (await acme.get("/v1/principals")).json()["data"]
        states = {each["name"]: each["disabled_at"] is None for each in people}
        assert states == {"administrator": True, "ada": True, "late": True, "left": False}
    theirs = audit_actions(postgres_dsn, made["id"])
    assert [each for each in theirs if each.startswith("tenant.")] == [
        "tenant.created",
        "tenant.disabled",
        "tenant.enabled",
    ]


async def test_share_links_of_a_disabled_tenant_lead_nowhere(
    api: ApiProcess, operator: httpx.AsyncClient, door: httpx.AsyncClient, postgres_dsn: str
) -> None:
    made = await make(operator)
    async with client_of(api, made["administrator"]["api_key"]) as acme:
        file = (await acme.post("/v1/files?name=a.txt", content=b"a")).json()
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE file_version SET published_at = now(), scan_state = 'clean'"
                " WHERE file_id = %s",
                (file["id"],),
            )
            connection.execute("UPDATE file SET state = 'ready' WHERE id = %s", (file["id"],))
        share = (await acme.post("/v1/shares", json={"file_id": file["id"]})).json()
    link = httpx.URL(share["url"]).path
    assert (await door.get(link)).status_code == 200
    await operator.patch(f"/v1/tenants/{made['id']}", json={"disabled": True})
    assert (await door.get(link)).status_code == 404


async def test_a_stream_that_is_open_ends_with_the_tenant(
    api: ApiProcess, operator: httpx.AsyncClient
) -> None:
    made = await make(operator)
    async with client_of(api, made["administrator"]["api_key"]) as acme:
        job = await ingest(acme)
        async with opened(acme, f"/v1/jobs/{job}/events") as events:
            await take(events, 1)
            await operator.patch(f"/v1/tenants/{made['id']}", json={"disabled": True})
            async with asyncio.timeout(40):
                assert [each async for each in events] == []


async def test_the_tenant_that_operates_stays(
    operator: httpx.AsyncClient, operating: TenantFixture
) -> None:
    path = f"/v1/tenants/{operating.tenant_id}"
    assert (await operator.patch(path, json={"disabled": True})).status_code == 409
    made = await make(operator)
    path = f"/v1/tenants/{made['id']}"
    tag = (await operator.get(path)).headers["ETag"]
    first = await operator.patch(path, json={"disabled": True}, headers={"If-Match": tag})
    assert first.status_code == 200
    second = await operator.patch(path, json={"disabled": False}, headers={"If-Match": tag})
    assert second.status_code == 412
    for wrong in ({}, {"disabled": None}, {"disabled": "perhaps"}, {"name": "x"}):
        assert (await operator.patch(path, json=wrong)).status_code == 422


async def test_who_is_disabled_by_hand_while_the_tenant_is_stays_so(
    api: ApiProcess, operator: httpx.AsyncClient, operating: TenantFixture, postgres_dsn: str
) -> None:
    made = await make(operator)
    async with client_of(api, made["administrator"]["api_key"]) as acme:
        ada = f"/v1/principals/{(await make_principal(acme, 'ada'))['id']}"
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as disabling:
            await disabling.execute(
                "SELECT set_config('app.tenant', %s, true), set_tenant_disabled(%s, true)",
                (str(operating.tenant_id), made["id"]),
            )
            by_hand = asyncio.create_task(acme.patch(ada, json={"disabled": True}))
            await until_blocked_by(disabling)
            await disabling.commit()
        assert (await by_hand).status_code == 200
        enabled = await operator.patch(f"/v1/tenants/{made['id']}", json={"disabled": False})
        assert enabled.status_code == 200, enabled.text
        assert (await acme.get(ada)).json()["disabled_at"] is not None

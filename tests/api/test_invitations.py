"""Invitations: who may become a principal by a secret that is good once, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from db.session import Database
from muniment.api_keys import hash_api_key
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.test_upload_pieces import blob_store
from tests.blocked import until_blocked_by
from tests.conftest import TenantFixture, make_tenant
from worker.spent_invitations import SpentInvitations

PASSWORD = "correct horse battery"
GONE = "there is no such invitation, or it is over"


@pytest.fixture
async def door(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever comes without a key."""
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        yield door


@pytest.fixture(autouse=True)
def unhurried(postgres_dsn: str) -> None:
    """All tests come from one address, whose failed attempts count together."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM sign_in_attempt")


async def invite(client: httpx.AsyncClient, name: str, **fields: object) -> dict[str, Any]:
    answer = await client.post("/v1/invitations", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def accept(door: httpx.AsyncClient, token: str, **fields: object) -> httpx.Response:
    body = {"token": token, "password": PASSWORD, **fields}
    return await door.post("/v1/invitations/accept", json=body)


async def test_whoever_is_invited_chooses_a_password_and_comes_in(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    group = (await client.post("/v1/groups", json={"name": "accounting"})).json()
    made = await invite(client, " ada@example.org ", groups=[group["id"]])
    assert (made["name"], made["state"], made["groups"]) == (
        "ada@example.org",
        "open",
        [group["id"]],
    )
    accepted = await accept(door, made["token"])
    assert accepted.status_code == 201, accepted.text
    assert accepted.json()["name"] == "ada@example.org"
    assert accepted.json()["tenant"] == tenant.name
    tokens = await door.post(
        "/v1/auth/token",
        json={
            "grant_type": "password",
            "username": "ada@example.org",
            "password": PASSWORD,
            "tenant": tenant.name,
        },
    )
    bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    me = (await door.get("/v1/auth/me", headers=bearer)).json()
    assert (me["id"], me["is_admin"]) == (accepted.json()["principal_id"], False)
    members = (await client.get(f"/v1/groups/{group['id']}/members")).json()["data"]
    assert [each["id"] for each in members] == [me["id"]]
    shown = (await client.get(f"/v1/invitations/{made['id']}")).json()
    assert (shown["state"], shown["principal_id"]) == ("accepted", me["id"])
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    for action in ("created", "accepted"):
        assert actions.count(f"invitation.{action}") == 1
    assert {"principal.created", "password.set", "group.member_added"} <= set(actions)


async def test_a_secret_is_good_once_however_many_show_it_at_once(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await invite(client, "ada")
    answers = await asyncio.gather(*(accept(door, made["token"]) for _ in range(4)))
    assert sorted(each.status_code for each in answers)[0] == 201
    assert {each.status_code for each in answers} <= {201, 404, 429}
    assert [each.status_code for each in answers].count(201) == 1
    late = await accept(door, made["token"])
    assert (late.status_code, late.json()["detail"]) == (404, GONE)
    found = (await client.get("/v1/principals", params={"name": "ada"})).json()["data"]
    assert len(found) == 1
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("invitation.accepted") == 1


async def test_the_secret_is_kept_and_shown_nowhere(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    sent = {"json": {"name": "ada"}, "headers": {"Idempotency-Key": "once"}}
    first = await client.post("/v1/invitations", **sent)
    again = await client.post("/v1/invitations", **sent)
    token = first.json()["token"]
    assert token.startswith("munin_")
    assert (again.json()["id"], again.json()["token"]) == (first.json()["id"], None)
    shown = await client.get(f"/v1/invitations/{first.json()['id']}")
    listed = await client.get("/v1/invitations")
    assert "token" not in shown.json()
    assert token not in shown.text + listed.text
    with psycopg.connect(postgres_dsn) as connection:
        for table in ("invitation", "idempotency_key", "audit_event"):
            rows = connection.execute(
                f"SELECT to_jsonb(t)::text FROM {table} t WHERE tenant_id = %s",  # noqa: S608 - constants of this test
                (tenant.tenant_id,),
            )
            assert token not in "".join(row[0] for row in rows)


async def test_what_is_revoked_expired_or_garbage_opens_nothing(
    client: httpx.AsyncClient, door: httpx.AsyncClient, postgres_dsn: str
) -> None:
    revoked, expired = await invite(client, "ada"), await invite(client, "grace")
    assert (await client.delete(f"/v1/invitations/{revoked['id']}")).json()["state"] == "revoked"
    assert (await client.delete(f"/v1/invitations/{revoked['id']}")).status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE invitation SET expires_at = now() WHERE id = %s", (expired["id"],)
        )
    for token in (revoked["token"], expired["token"], "munin_garbage", "mun_" + "x" * 36):
        answer = await accept(door, token)
        assert (answer.status_code, answer.json()["detail"]) == (404, GONE)
    states = {
        each["name"]: each["state"] for each in (await client.get("/v1/invitations")).json()["data"]
    }
    assert states == {"ada": "revoked", "grace": "expired"}
    for name in states:
        assert (await invite(client, name))["state"] == "open", "and may be invited anew"


async def test_guessing_is_limited_by_address(
    client: httpx.AsyncClient, door: httpx.AsyncClient
) -> None:
    made = await invite(client, "ada")
    statuses = [(await accept(door, f"munin_{number}")).status_code for number in range(7)]
    assert statuses[:5] == [404] * 5
    assert statuses[-1] == 429
    assert (await accept(door, made["token"])).status_code == 429, "the right one too"


async def test_nobody_invites_who_may_do_more_than_the_inviter(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    scopes = ("principals:manage",)
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    narrow = make_tenant(postgres_dsn, tenant.name, principal="narrow", scopes=scopes)
    for key in (clerk.api_key, narrow.api_key):
        async with client_of(api, key) as caller:
            answer = await caller.post("/v1/invitations", json={"name": "x"})
            assert answer.status_code == 403, answer.text
    admin = await invite(client, "root", is_admin=True)
    async with client_of(api, clerk.api_key) as caller:
        assert (await caller.delete(f"/v1/invitations/{admin['id']}")).status_code == 403


async def test_an_invitation_is_worth_what_its_maker_may_give(
    client: httpx.AsyncClient,
    api: ApiProcess,
    door: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    other = make_tenant(postgres_dsn, tenant.name, principal="other")
    path = f"/v1/principals/{other.principal_id}"
    async with client_of(api, other.api_key) as inviter:
        first, second = await invite(inviter, "ada"), await invite(inviter, "grace")
    await client.patch(path, json={"disabled": True})
    assert (await accept(door, first["token"])).status_code == 404
    await client.patch(path, json={"disabled": False})
    assert (await accept(door, first["token"])).status_code == 201
    assert (await client.delete(path)).status_code == 204
    assert (await accept(door, second["token"])).status_code == 404
    shown = (await client.get(f"/v1/invitations/{second['id']}")).json()
    assert shown["state"] == "revoked"


async def test_a_name_is_one_persons(client: httpx.AsyncClient, door: httpx.AsyncClient) -> None:
    made = await invite(client, "ada")
    twice = await client.post("/v1/invitations", json={"name": "ada"})
    assert (twice.status_code, twice.json()["detail"]) == (409, "this name is invited already")
    await client.post("/v1/principals", json={"kind": "user", "name": "ada"})
    assert (await accept(door, made["token"])).status_code == 409
    assert (await client.get(f"/v1/invitations/{made['id']}")).json()["state"] == "open"
    taken = await client.post("/v1/invitations", json={"name": "ada"})
    assert taken.status_code == 409


async def test_what_is_wrong_is_refused(client: httpx.AsyncClient, door: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    absent = "01920000-0000-7000-8000-000000000001"
    for body, field in (
        ({"name": "a", "groups": [absent]}, "groups"),
        ({"name": "a", "expires_at": (now - timedelta(hours=1)).isoformat()}, "expires_at"),
        ({"name": "a", "expires_at": (now + timedelta(days=31)).isoformat()}, "expires_at"),
        ({"name": " "}, "name"),
    ):
        answer = await client.post("/v1/invitations", json=body)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["errors"][0]["field"]
    token = (await invite(client, "ada"))["token"]
    for given in (
        {"password": "short"},
        {"password": None},
        {"issuer_token": "a.b.c"},
        {"password": PASSWORD, "issuer_token": "a.b.c"},
    ):
        answer = await accept(door, token, **given)
        assert answer.status_code == 422, answer.text
        assert token not in answer.text
    no_issuer = await door.post(
        "/v1/invitations/accept", json={"token": token, "issuer_token": "a.b.c"}
    )
    assert no_issuer.status_code == 409
    assert (await accept(door, token)).status_code == 201, "it was good all the time"


async def test_who_is_deleted_leaves_no_invitation_behind(
    client: httpx.AsyncClient, door: httpx.AsyncClient
) -> None:
    made = await invite(client, "ada@example.org")
    accepted = (await accept(door, made["token"])).json()
    assert (await client.delete(f"/v1/invitations/{made['id']}")).status_code == 409
    await client.delete(f"/v1/principals/{accepted['principal_id']}")
    assert "ada@example.org" not in (await client.get("/v1/invitations")).text


async def test_a_group_that_was_deleted_is_left_out(
    client: httpx.AsyncClient, door: httpx.AsyncClient
) -> None:
    group = (await client.post("/v1/groups", json={"name": "g"})).json()
    made = await invite(client, "ada", groups=[group["id"]])
    await client.delete(f"/v1/groups/{group['id']}")
    assert (await client.get(f"/v1/invitations/{made['id']}")).json()["groups"] == []
    assert (await accept(door, made["token"])).status_code == 201


async def test_what_is_over_is_listed_for_thirty_days_and_forgotten_then(
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    postgres_dsn: str,
) -> None:
    """Whether anybody is invited after that or not; one that is open stays."""
    for name in ("old@example.org", "new@example.org", "open@example.org"):
        await invite(client, name)
    with psycopg.connect(postgres_dsn) as connection:
        for name, days in (("old", 31), ("new", 29)):
            connection.execute(
                "UPDATE invitation SET expires_at = now() - make_interval(days => %s)"
                " WHERE name = %s",
                (days, f"{name}@example.org"),
            )
    await invite(client, "new@example.org")
    async with blob_store(api) as blobs:
        await SpentInvitations(database, blobs).round()
    listed = (await client.get("/v1/invitations")).json()["data"]
    assert [(each["name"].partition("@")[0], each["state"]) for each in listed] == [
        ("new", "open"),
        ("open", "open"),
        ("new", "expired"),
    ]


async def test_what_a_copied_key_invited_is_found(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await invite(client, "ada")
    with psycopg.connect(postgres_dsn) as connection:
        [named] = connection.execute(
            "SELECT key.key_hash FROM audit_event event"
            " JOIN api_key key ON key.id = (event.payload ->> 'key_id')::uuid"
            " WHERE event.action = 'invitation.created' AND event.object_id = %s",
            (made["id"],),
        )
    assert named[0] == hash_api_key(tenant.api_key)


async def test_accepting_waits_for_whoever_disables_the_tenant_without_holding_its_people(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """Each would else wait for the other, and the database end one of them."""
    made = await invite(client, "ada")
    with psycopg.connect(postgres_dsn) as disabling:
        disabling.execute(
            "UPDATE tenant SET revision = revision WHERE id = %s", (tenant.tenant_id,)
        )
        accepting = asyncio.create_task(accept(door, made["token"]))
        await until_blocked_by(disabling)
        disabling.execute("SET LOCAL lock_timeout = '2s'")
        disabling.execute("UPDATE principal SET name = name WHERE id = %s", (tenant.principal_id,))
        disabling.commit()
        assert (await accepting).status_code == 201


async def test_invitations_are_listed_page_by_page(client: httpx.AsyncClient) -> None:
    made = [(await invite(client, f"p{number}"))["id"] for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/invitations", params=parameters)).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]

"""People who sign in: tokens that run out, are exchanged once, and end together."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher

from db.queries.sign_ins import MOST_FORGOTTEN
from muniment.api_keys import USER_SCOPES, Prefix, is_well_formed
from tests.api.conftest import (
    ApiProcess,
    audit_actions,
    client_of,
)
from tests.api.test_events import opened, take
from tests.api.test_jobs import ingest
from tests.api.test_principals import make_key, make_principal
from tests.conftest import TenantFixture, make_tenant

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple battery horse"


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> dict[str, str]:
    """A person with a password."""
    made = await make_principal(client, "ada@example.org")
    set_one = await client.put(f"/v1/principals/{made['id']}/password", json={"password": PASSWORD})
    assert set_one.status_code == 204, set_one.text
    return made


@pytest.fixture(autouse=True)
def no_attempts(postgres_dsn: str) -> Iterator[None]:
    """All tests come from one address, those of other files too."""
    forget_attempts(postgres_dsn)
    yield
    forget_attempts(postgres_dsn)


def forget_attempts(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM sign_in_attempt")


@pytest.fixture
async def door(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Comes with nothing."""
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        yield door


async def sign_in(
    door: httpx.AsyncClient, tenant: TenantFixture, password: str = PASSWORD, **fields: str
) -> httpx.Response:
    body = {
        "grant_type": "password",
        "username": "ada@example.org",
        "password": password,
        "tenant": tenant.name,
        **fields,
    }
    return await door.post("/v1/auth/token", json=body)


async def refresh(door: httpx.AsyncClient, token: str) -> httpx.Response:
    body = {"grant_type": "refresh_token", "refresh_token": token}
    return await door.post("/v1/auth/token", json=body)


def bearer(tokens: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.json()['access_token']}"}


async def status_of(door: httpx.AsyncClient, tokens: httpx.Response) -> int:
    return (await door.get("/v1/files", headers=bearer(tokens))).status_code


async def test_a_person_signs_in_and_works_as_with_a_key(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens = await sign_in(door, tenant)
    assert tokens.status_code == 200, tokens.text
    assert tokens.headers["Cache-Control"] == "no-store"
    shown = tokens.json()
    assert (shown["token_type"], shown["expires_in"]) == ("Bearer", 900)
    assert shown["scope"].split() == sorted(USER_SCOPES)
    assert is_well_formed(shown["access_token"], Prefix.ACCESS_TOKEN)
    assert is_well_formed(shown["refresh_token"], Prefix.REFRESH_TOKEN)
    me = (await door.get("/v1/auth/me", headers=bearer(tokens))).json()
    assert (me["id"], me["came_with"], me["tenant"]) == (ada["id"], "sign_in", tenant.name)
    file = await door.post("/v1/files?name=a.txt", content=b"mine", headers=bearer(tokens))
    assert file.status_code == 202
    own = f"/v1/files/{file.json()['id']}"
    assert (await door.patch(own, json={"name": "b"}, headers=bearer(tokens))).is_success
    refused = await door.get("/v1/principals", headers=bearer(tokens))
    assert refused.status_code == 403
    assert "the token lacks the scope" in refused.json()["detail"]


async def test_oauth_clients_send_forms(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    usual = {"client_id": "cli", "client_secret": "", "scope": "search"}
    form = {"username": ada["name"], "password": PASSWORD, "tenant": tenant.name, **usual}
    tokens = await door.post("/v1/auth/token", data={"grant_type": "password", **form})
    assert tokens.status_code == 200, tokens.text
    token = tokens.json()["refresh_token"]
    again = await door.post(
        "/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token, **usual}
    )
    assert again.status_code == 200
    revoked = await door.post(
        "/v1/auth/revoke", data={"token": again.json()["access_token"], **usual}
    )
    assert revoked.status_code == 200
    assert await status_of(door, again) == 401


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"{}", "application/json", 422),
        (b'{"grant_type": "magic"}', "application/json", 422),
        (b"[]", "application/json", 422),
        (b"grant_type=password&grant_type=password", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 422),
        (b'{"grant_type": "password", "username": "a", "password": "\\ud800"}',
         "application/json", 400),
        (b"<a/>", "text/xml", 415),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused(
    door: httpx.AsyncClient, content: bytes, media_type: str, status: int
) -> None:
    for path in ("/v1/auth/token", "/v1/auth/revoke"):
        answer = await door.post(path, content=content, headers={"Content-Type": media_type})
        assert answer.status_code == status, (path, answer.text)


async def test_a_refresh_token_is_good_once_and_used_again_ends_everything(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    first = await sign_in(door, tenant)
    bystander = await sign_in(door, tenant)
    second = await refresh(door, first.json()["refresh_token"])
    assert second.status_code == 200, second.text
    third = await refresh(door, second.json()["refresh_token"])
    for tokens in (first, second, third):
        assert await status_of(door, tokens) == 200
    stolen = await refresh(door, first.json()["refresh_token"])
    assert stolen.status_code == 401
    for tokens in (first, second, third):
        assert await status_of(door, tokens) == 401
    assert (await refresh(door, third.json()["refresh_token"])).status_code == 401
    assert await status_of(door, bystander) == 200, "another sign-in goes on"
    assert "sign_in.token_reused" in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_a_used_refresh_token_tells_of_a_copy_after_its_own_time_too(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    first = await sign_in(door, tenant)
    second = await refresh(door, first.json()["refresh_token"])
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE bearer_token SET expires_at = now() WHERE used_at IS NOT NULL")
    assert (await refresh(door, first.json()["refresh_token"])).status_code == 401
    assert await status_of(door, second) == 401
    assert "sign_in.token_reused" in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_of_many_who_refresh_at_once_one_wins_and_all_lose(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens = await sign_in(door, tenant)
    answers = await asyncio.gather(
        *(refresh(door, tokens.json()["refresh_token"]) for _ in range(6))
    )
    assert sorted(each.status_code for each in answers) == [200] + [401] * 5
    won = next(each for each in answers if each.status_code == 200)
    assert await status_of(door, won) == 401


async def test_each_kind_of_token_is_good_for_its_own_alone(
    door: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    shown = (await sign_in(door, tenant)).json()
    async with client_of(api, shown["refresh_token"]) as wrong:
        assert (await wrong.get("/v1/files")).status_code == 401
    assert (await refresh(door, shown["access_token"])).status_code == 401
    assert (await refresh(door, tenant.api_key)).status_code == 401
    assert (await refresh(door, shown["refresh_token"])).status_code == 200


async def test_tokens_run_out(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    tokens = await sign_in(door, tenant)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE bearer_token SET expires_at = now() WHERE kind = 'access'")
    assert await status_of(door, tokens) == 401
    new = await refresh(door, tokens.json()["refresh_token"])
    assert await status_of(door, new) == 200
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM bearer_token WHERE tenant_id = %s AND kind = 'access'",
            (tenant.tenant_id,),
        ).fetchone()
        assert left == (1,), "those that ran out are forgotten"
        connection.execute("UPDATE sign_in SET expires_at = now()")
    assert await status_of(door, new) == 401
    assert (await refresh(door, new.json()["refresh_token"])).status_code == 401
    assert (await sign_in(door, tenant)).status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM sign_in WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert left == (1,), "those that are over are forgotten"


async def test_who_signs_in_clears_away_a_part_and_waits_for_nobody(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    held = (await sign_in(door, tenant)).json()
    assert held
    with psycopg.connect(postgres_dsn) as other, psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE sign_in SET expires_at = now() - interval '2 days'")
        connection.execute(
            "INSERT INTO sign_in (id, tenant_id, principal_id, created_at, expires_at)"
            " SELECT gen_random_uuid(), %s, %s, now(), now() - interval '1 day'"
            " FROM generate_series(1, %s)",
            (tenant.tenant_id, ada["id"], MOST_FORGOTTEN + 7),
        )
        connection.commit()
        other.execute("SELECT FROM sign_in WHERE expires_at < now() - interval '36 h' FOR UPDATE")
        assert (await sign_in(door, tenant)).status_code == 200
        left = connection.execute(
            "SELECT count(*) FROM sign_in WHERE tenant_id = %s AND expires_at < now()",
            (tenant.tenant_id,),
        ).fetchone()
    assert left == (8,), "seven too many, and the one that somebody else holds"


async def test_signing_out_ends_all_tokens_and_tells_nothing_of_others(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    for kind in ("access_token", "refresh_token"):
        tokens = await sign_in(door, tenant)
        for _ in range(2):
            out = await door.post("/v1/auth/revoke", json={"token": tokens.json()[kind]})
            assert (out.status_code, out.text) == (200, "")
        assert await status_of(door, tokens) == 401
        assert (await refresh(door, tokens.json()["refresh_token"])).status_code == 401
    for unknown in ("x", tenant.api_key, "munat_" + "0" * 36):
        out = await door.post("/v1/auth/revoke", json={"token": unknown})
        assert (out.status_code, out.text) == (200, "")


async def test_who_is_disabled_is_out_at_once_and_signs_in_anew_when_enabled(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens = await sign_in(door, tenant)
    path = f"/v1/principals/{ada['id']}"
    await client.patch(path, json={"disabled": True})
    assert await status_of(door, tokens) == 401
    assert (await refresh(door, tokens.json()["refresh_token"])).status_code == 401
    refused = await sign_in(door, tenant)
    assert refused.status_code == 401
    await client.patch(path, json={"disabled": False})
    assert await status_of(door, tokens) == 401
    assert (await sign_in(door, tenant)).status_code == 200


async def test_what_a_token_allows_follows_what_its_person_is(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens = await sign_in(door, tenant)
    path = f"/v1/principals/{ada['id']}"
    assert (await door.get(path, headers=bearer(tokens))).status_code == 403
    await client.patch(path, json={"is_admin": True})
    assert (await door.get(path, headers=bearer(tokens))).status_code == 200
    made = await door.post(
        "/v1/api-keys", json={"name": "k", "scopes": ["search"]}, headers=bearer(tokens)
    )
    assert made.status_code == 201
    assert made.json()["expires_at"] is None, "it does not end with a token of minutes"
    await client.patch(path, json={"is_admin": False})
    assert (await door.get(path, headers=bearer(tokens))).status_code == 403


async def test_a_ticket_of_a_sign_in_opens_a_stream_until_it_ends(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    path = f"/v1/jobs/{await ingest(client)}/events"
    tokens = await sign_in(door, tenant)
    tickets = [
        (await door.post("/v1/auth/stream-ticket", headers=bearer(tokens))).json()["ticket"]
        for _ in range(2)
    ]
    async with opened(door, path, ticket=tickets[0]) as events:
        assert (await take(events, 1))[0].event == "snapshot"
    await door.post("/v1/auth/revoke", json={"token": tokens.json()["access_token"]})
    assert (await door.get(path, params={"ticket": tickets[1]})).status_code == 401


# ── passwords ───────────────────────────────────────────────────────────────────────────────────


async def test_ones_own_password_is_changed_with_the_present_one(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens, elsewhere = await sign_in(door, tenant), await sign_in(door, tenant)
    change = {"current_password": OTHER_PASSWORD, "new_password": OTHER_PASSWORD}
    wrong = await door.post("/v1/auth/password", json=change, headers=bearer(tokens))
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "current_password"
    change["current_password"] = PASSWORD
    done = await door.post("/v1/auth/password", json=change, headers=bearer(tokens))
    assert done.status_code == 204, done.text
    assert await status_of(door, tokens) == 200
    assert await status_of(door, elsewhere) == 401
    assert (await sign_in(door, tenant)).status_code == 401
    assert (await sign_in(door, tenant, OTHER_PASSWORD)).status_code == 200


async def test_a_password_typed_on_another_keyboard_is_the_same(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    change = {"current_password": PASSWORD, "new_password": "caf\u00e9 au lait, s'il"}
    tokens = await sign_in(door, tenant)
    done = await door.post("/v1/auth/password", json=change, headers=bearer(tokens))
    assert done.status_code == 204, done.text
    for accent in ("e\u0301", "\u00e9"):
        assert (await sign_in(door, tenant, f"caf{accent} au lait, s'il")).status_code == 200
    assert (await sign_in(door, tenant, "cafe au lait, s'il")).status_code == 401


async def test_a_password_is_set_by_an_administrator_with_every_scope_it_gives(
    api: ApiProcess,
    client: httpx.AsyncClient,
    door: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
    postgres_dsn: str,
) -> None:
    path = f"/v1/principals/{ada['id']}/password"
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    narrow = await make_key(client, str(tenant.principal_id), "principals:manage")
    for key in (clerk.api_key, narrow):
        async with client_of(api, key) as other:
            refused = await other.put(path, json={"password": OTHER_PASSWORD})
            assert refused.status_code == 403, refused.text
    tokens = await sign_in(door, tenant)
    assert (await client.put(path, json={"password": OTHER_PASSWORD})).status_code == 204
    assert await status_of(door, tokens) == 401
    for wrong in ("short", "x" * 257, "", "\ud800" * 12):
        refused = await client.put(
            path,
            content=json.dumps({"password": wrong}),
            headers={"Content-Type": "application/json"},
        )
        assert refused.status_code == 422, refused.text
        assert wrong == "" or wrong not in refused.text
    robot = await make_principal(client, "robot", kind="service")
    machine = await client.put(
        f"/v1/principals/{robot['id']}/password", json={"password": PASSWORD}
    )
    assert machine.status_code == 409


async def test_an_administrators_token_sets_no_password_of_its_own(
    client: httpx.AsyncClient, door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    path = f"/v1/principals/{ada['id']}"
    assert (await client.patch(path, json={"is_admin": True})).status_code == 200
    tokens = await sign_in(door, tenant)
    body = {"password": OTHER_PASSWORD}
    refused = await door.put(f"{path}/password", json=body, headers=bearer(tokens))
    assert refused.status_code == 409
    assert "/v1/auth/password" in refused.json()["remedy"]
    assert (await sign_in(door, tenant)).status_code == 200
    other = await make_principal(client, "bob@example.org")
    given = f"/v1/principals/{other['id']}/password"
    assert (await door.put(given, json=body, headers=bearer(tokens))).status_code == 204


async def test_a_key_made_with_a_sign_in_is_found_by_it_and_outlives_the_password(
    api: ApiProcess,
    client: httpx.AsyncClient,
    door: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
    postgres_dsn: str,
) -> None:
    await client.patch(f"/v1/principals/{ada['id']}", json={"is_admin": True})
    tokens = await sign_in(door, tenant)
    body = {"name": "k", "scopes": ["files:read"]}
    made = (await door.post("/v1/api-keys", json=body, headers=bearer(tokens))).json()
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT sign_in.principal_id FROM audit_event JOIN sign_in"
            " ON sign_in.id::text = audit_event.payload->>'sign_in_id'"
            " WHERE action = 'api_key.created' AND object_id = %s",
            (made["id"],),
        ).fetchone()
    assert found == (UUID(ada["id"]),)
    path = f"/v1/principals/{ada['id']}/password"
    assert (await client.put(path, json={"password": OTHER_PASSWORD})).status_code == 204
    async with client_of(api, made["secret"]) as robot:
        assert (await robot.get("/v1/files")).status_code == 200


async def test_a_password_under_other_parameters_is_hashed_anew(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    weaker = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE principal_password SET password_hash = %s WHERE principal_id = %s",
            (weaker, ada["id"]),
        )
    answers = await asyncio.gather(*(sign_in(door, tenant) for _ in range(3)))
    assert [each.status_code for each in answers] == [200] * 3
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT password_hash FROM principal_password WHERE principal_id = %s", (ada["id"],)
        ).fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$")

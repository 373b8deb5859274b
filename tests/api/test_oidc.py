"""Access tokens of an OpenID Connect provider: which are taken, and whom they mean."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from muniment.api_keys import USER_SCOPES
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.api.issuing import AUDIENCE, Issuer, issuing
from tests.api.test_events import opened, take
from tests.api.test_jobs import ingest
from tests.api.test_principals import make_key, make_principal
from tests.conftest import TenantFixture

ORGANISATION = "org"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def environment_of(issuer: Issuer) -> dict[str, str]:
    return {
        "MUNIMENT_OIDC__ISSUER": issuer.url,
        "MUNIMENT_OIDC__AUDIENCE": AUDIENCE,
        "MUNIMENT_OIDC__TENANT_CLAIM": ORGANISATION,
    }


@pytest.fixture(scope="module")
def api(
    api_environment: dict[str, str], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """Makes principals of whoever comes."""
    own = {"MUNIMENT_OIDC__CREATE_PRINCIPALS": "true", "MUNIMENT_OIDC__GROUPS_CLAIM": "groups"}
    api = start_api(
        tmp_path_factory.mktemp("oidc"), {**api_environment, **environment_of(issuer), **own}
    )
    yield api
    assert stop_api(api) == 0


@pytest.fixture(scope="module")
def strict_api(
    api_environment: dict[str, str], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """Knows those who were bound, and lets them do what their tokens say."""
    own = {"MUNIMENT_OIDC__SCOPES": "token"}
    api = start_api(
        tmp_path_factory.mktemp("strict"), {**api_environment, **environment_of(issuer), **own}
    )
    yield api
    assert stop_api(api) == 0


@pytest.fixture
async def door(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        yield door


@pytest.fixture
async def strict(strict_api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=strict_api.url, trust_env=False, timeout=60) as door:
        yield door


async def me(door: httpx.AsyncClient, token: str) -> httpx.Response:
    return await door.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("key", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "JWT"])
async def test_whoever_the_issuer_vouches_for_comes_in_and_works(
    door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture, key: str, kind: str
) -> None:
    token = issuer.token(
        key=key, header={"typ": kind}, org=tenant.name, preferred_username="ada@example.org"
    )
    shown = (await me(door, token)).json()
    assert (shown["name"], shown["tenant"]) == ("ada@example.org", tenant.name)
    assert (shown["kind"], shown["is_admin"], shown["came_with"]) == ("user", False, "issuer")
    assert shown["scopes"] == sorted(USER_SCOPES)
    bearer = {"Authorization": f"Bearer {token}"}
    file = await door.post("/v1/files?name=a.txt", content=b"mine", headers=bearer)
    assert file.status_code == 202, file.text
    assert (await door.get("/v1/principals", headers=bearer)).status_code == 403
    assert (await me(door, token)).json()["id"] == shown["id"], "the same at the second time"


WRONG: list[dict[str, Any]] = [
    {"key": "foreign"},
    {"header": {"alg": "none"}},
    {"header": {"alg": "None", "kid": None}},
    {"header": {"alg": "HS256"}},
    {"header": {"alg": "HS256", "kid": "HS256"}},
    {"header": {"alg": "RS512"}},
    {"header": {"alg": "ES256"}},
    {"header": {"typ": None}},
    {"header": {"typ": "logout+jwt"}},
    {"header": {"typ": "secevent+jwt"}},
    {"header": {"typ": 7}},
    {"header": {"kid": "../../etc/passwd"}},
    {"header": {"kid": "x' OR 1=1"}},
    {"header": {"kid": ["RS256-1"]}},
    {"header": {"crit": ["exp"], "exp": 1}},
    {"header": {"b64": False, "crit": ["b64"]}},
    {"iss": "https://other.example"},
    {"iss": None},
    {"aud": "https://other.example"},
    {"aud": []},
    {"aud": {}},
    {"aud": None},
    {"exp": None},
    {"exp": "tomorrow"},
    {"exp": True},
    {"iat": None},
    {"iat": 10**12},
    {"nbf": 10**12},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "a\x00b"},
    {"sub": "\ud800"},
    {"sub": "x" * 256},
    {"nonce": "n"},
    {"at_hash": "h"},
    {"typ": "ID"},
    {"typ": "Refresh"},
    {"token_use": "id"},
    {"events": {}},
    {"org": None},
    {"org": "no such tenant"},
    {"org": ["default"]},
    {"org": "a\x00b"},
    {"payload": "[]"},
    {"payload": "no JSON"},
    {"payload": "[" * 10_000},
    {"payload": '{"a":' * 2_000},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: str(each)[:60])
async def test_no_other_token_is_taken(
    api: ApiProcess,
    door: httpx.AsyncClient,
    issuer: Issuer,
    tenant: TenantFixture,
    wrong: dict[str, Any],
) -> None:
    refused = await me(door, issuer.token(**{"subject": "eve", "org": tenant.name, **wrong}))
    assert refused.status_code == 401, refused.text
    assert refused.json()["detail"] == "the access token is not accepted here"
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    last = [line for line in api.log_lines if "token of the issuer" in str(line["event"])][-1]
    assert last["reason"]
    assert last["request_id"] == refused.json()["request_id"]


async def test_what_is_no_token_is_refused(door: httpx.AsyncClient, issuer: Issuer) -> None:
    good = issuer.token(org="default")
    head, claims, signed = good.split(".")
    for broken in (
        "..",
        "a.b.c",
        f"{head}.{claims}.",
        f"{head}.{claims}.{signed[:-8]}AAAAAAAA",
        f".{claims}.{signed}",
        f"{head}.{claims}.{signed}=",
        f"W10.{claims}.{signed}",
        f"bnVsbA.{claims}.{signed}",
        f"{'W1tb' * 3000}.{claims}.{signed}",
        f"{head}.{'A' * 20_000}.{signed}",
    ):
        assert (await me(door, broken)).status_code == 401, broken[:40]
    enormous = await me(door, f"{head}.{'A' * 200_000}.{signed}")
    assert enormous.status_code == 431
    odd = await door.get("/v1/auth/me", headers={"Authorization": "Bearer é.b.c".encode()})
    assert odd.status_code == 401


async def test_a_minute_of_difference_between_clocks_is_let_pass(
    door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    now, org = int(time.time()), {"org": tenant.name}
    assert (await me(door, issuer.token(exp=now - 30, **org))).status_code == 200
    assert (await me(door, issuer.token(nbf=now + 30, iat=now + 30, **org))).status_code == 200
    assert (await me(door, issuer.token(exp=10**400, iat=-(10**30), **org))).status_code == 200
    assert (await me(door, issuer.token(aud=["x", AUDIENCE], **org))).status_code == 200
    expired = await me(door, issuer.token(exp=now - 90, **org))
    assert expired.status_code == 401
    assert expired.json()["detail"] == "the access token has expired"


async def test_no_principal_is_made_unless_the_operator_wants_it(
    strict_api: ApiProcess,
    strict: httpx.AsyncClient,
    issuer: Issuer,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    token = issuer.token("known", org=tenant.name, scope="openid files:read audit:read")
    refused = await me(strict, token)
    assert refused.status_code == 401
    assert "identity" not in refused.text
    assert any("/identity binds one" in str(line.get("reason")) for line in strict_api.log_lines)
    async with client_of(strict_api, tenant.api_key) as client:
        ada = await make_principal(client, "ada")
        path = f"/v1/principals/{ada['id']}/identity"
        assert (await client.get(path)).status_code == 404
        bound = await client.put(path, json={"subject": "known"})
        assert bound.status_code == 200, bound.text
        assert (await client.get(path)).json() == bound.json()
        assert (bound.json()["issuer"], bound.json()["subject"]) == (issuer.url, "known")
        shown = (await me(strict, token)).json()
        assert (shown["id"], shown["scopes"]) == (ada["id"], ["files:read"])
        listed = issuer.token("known", org=tenant.name, scp=["search", "files:read"])
        assert (await me(strict, listed)).json()["scopes"] == ["files:read", "search"]
        without = await me(strict, issuer.token("known", org=tenant.name))
        assert without.json()["scopes"] == []
        other = await make_principal(client, "other")
        taken = await client.put(
            f"/v1/principals/{other['id']}/identity", json={"subject": "known"}
        )
        assert taken.status_code == 409
        assert (await client.put(path, json={"subject": "newer"})).status_code == 200
        assert (await me(strict, token)).status_code == 401
        newer = issuer.token("newer", org=tenant.name)
        assert (await me(strict, newer)).status_code == 200
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == 404
        assert (await me(strict, newer)).status_code == 401
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("principal.identity_bound") == 2
    assert actions.count("principal.identity_unbound") == 1


async def test_of_two_who_bind_a_subject_the_second_finds_out(
    strict_api: ApiProcess, tenant: TenantFixture
) -> None:
    async with client_of(strict_api, tenant.api_key) as client:
        ada = f"/v1/principals/{(await make_principal(client, 'ada'))['id']}"
        path = f"{ada}/identity"

        async def read() -> dict[str, str]:
            return {"If-Match": (await client.get(ada)).headers["ETag"]}

        first = await read()
        bound = await client.put(path, json={"subject": "first"}, headers=first)
        assert bound.status_code == 200, bound.text
        late = await client.put(path, json={"subject": "second"}, headers=first)
        assert late.status_code == 412
        assert (await client.get(path)).json()["subject"] == "first"
        assert (await client.delete(path, headers=first)).status_code == 412
        now = await read()
        assert (await client.delete(path, headers=now)).status_code == 204
        assert (await client.put(path, json={"subject": "x"}, headers=now)).status_code == 412


async def test_whoever_is_invited_comes_in_with_the_issuers_token(
    strict_api: ApiProcess,
    strict: httpx.AsyncClient,
    issuer: Issuer,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM sign_in_attempt")  # other tests' of this address
    async with client_of(strict_api, tenant.api_key) as client:
        made = [(await client.post("/v1/invitations", json={"name": n})).json() for n in "ab"]

    async def accept(number: int, issued: str) -> httpx.Response:
        body = {"token": made[number]["token"], "issuer_token": issued}
        return await strict.post("/v1/invitations/accept", json=body)

    token = issuer.token("invited", org=tenant.name, scope="files:read")
    for wrong in (
        issuer.token("invited", org=tenant.name, key="foreign"),
        issuer.token("invited", org="another tenant"),
        "a.b.c",
    ):
        assert (await accept(0, wrong)).status_code == 401
    assert (await me(strict, token)).status_code == 401
    accepted = await accept(0, token)
    assert accepted.status_code == 201, accepted.text
    assert (await me(strict, token)).json()["id"] == accepted.json()["principal_id"]
    assert (await accept(1, token)).status_code == 409, "the subject means somebody already"
    assert "principal.identity_bound" in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_nobody_binds_an_administrator_who_may_not_make_one(
    strict_api: ApiProcess, issuer: Issuer, tenant: TenantFixture
) -> None:
    path = f"/v1/principals/{tenant.principal_id}/identity"
    async with client_of(strict_api, tenant.api_key) as client:
        narrow = await make_key(client, str(tenant.principal_id), "principals:manage")
        async with client_of(strict_api, narrow) as managing:
            assert (await managing.put(path, json={"subject": "me"})).status_code == 403
        assert (await client.put(path, json={"subject": "root"})).status_code == 200
        async with client_of(strict_api, narrow) as managing:
            assert (await managing.delete(path)).status_code == 403
        for wrong in ({"subject": ""}, {"subject": "x" * 256}, {"subject": "a\x00"}, {}):
            assert (await client.put(path, json=wrong)).status_code == 422
    everything = issuer.token("root", org=tenant.name, scope="audit:read files:read nonsense")
    async with client_of(strict_api, everything) as root:
        assert (await root.get("/v1/auth/me")).json()["scopes"] == ["audit:read", "files:read"]


async def test_a_subject_means_somebody_else_in_another_tenant(
    door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    ours = (await me(door, issuer.token(org=tenant.name))).json()
    theirs = (await me(door, issuer.token(org=other_tenant.name))).json()
    assert ours["id"] != theirs["id"]
    assert (ours["tenant"], theirs["tenant"]) == (tenant.name, other_tenant.name)


async def test_many_first_requests_at_once_make_one_principal(
    api: ApiProcess,
    door: httpx.AsyncClient,
    issuer: Issuer,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    token = issuer.token("many", org=tenant.name)
    answers = await asyncio.gather(*(me(door, token) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("principal.created") == 1


async def test_a_name_that_somebody_has_is_not_taken_for_the_same_person(
    api: ApiProcess, door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    token = issuer.token("second", org=tenant.name, preferred_username="administrator")
    refused = await me(door, token)
    assert refused.status_code == 401
    assert "no subject" in str(api.log_lines[-2:])
    unusable = issuer.token("second", org=tenant.name, preferred_username="\n")
    assert (await me(door, unusable)).json()["name"] == "second"


async def test_who_is_disabled_or_deleted_stays_outside(
    api: ApiProcess, door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    token = issuer.token("leaver", org=tenant.name)
    path = f"/v1/principals/{(await me(door, token)).json()['id']}"
    async with client_of(api, tenant.api_key) as client:
        await client.patch(path, json={"disabled": True})
        assert (await me(door, token)).status_code == 401
        await client.patch(path, json={"disabled": False})
        assert (await me(door, token)).status_code == 200
        assert (await client.delete(path)).status_code == 204
        assert (await me(door, token)).status_code == 401, "and is not made anew"
        back = await make_principal(client, "back")
        bound = await client.put(
            f"/v1/principals/{back['id']}/identity", json={"subject": "leaver"}
        )
        assert bound.status_code == 200, bound.text
    assert (await me(door, token)).json()["id"] == back["id"]


async def test_an_administrator_by_token_is_one_as_long_as_it_is_one(
    api: ApiProcess, door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    token = issuer.token("chief", org=tenant.name)
    path = f"/v1/principals/{(await me(door, token)).json()['id']}"
    async with client_of(api, tenant.api_key) as client, client_of(api, token) as chief:
        assert (await chief.get("/v1/audit")).status_code == 403
        await client.patch(path, json={"is_admin": True})
        assert (await chief.get("/v1/audit")).status_code == 200
        key = await chief.post("/v1/api-keys", json={"name": "k", "scopes": ["search"]})
        assert key.status_code == 201
        await client.patch(path, json={"is_admin": False})
        assert (await chief.get("/v1/audit")).status_code == 403


async def test_groups_are_those_of_the_token_that_was_issued_last(
    api: ApiProcess, door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    issued = int(time.time()) - 100
    async with client_of(api, tenant.api_key) as client:
        groups = {
            name: (await client.post("/v1/groups", json={"name": name})).json()["id"]
            for name in ("staff", "board", "by hand", "both")
        }

        async def groups_after(later: int, claim: object) -> set[str]:
            token = issuer.token("member", org=tenant.name, iat=issued + later, groups=claim)
            principal = (await me(door, token)).json()["id"]
            members = {
                name: (await client.get(f"/v1/groups/{group}/members")).json()["data"]
                for name, group in groups.items()
            }
            return {
                name
                for name, found in members.items()
                if principal in [each["id"] for each in found]
            }

        assert await groups_after(0, ["staff", "unknown", 7]) == {"staff"}
        principal = (await me(door, issuer.token("member", org=tenant.name, iat=issued))).json()
        await client.put(f"/v1/groups/{groups['by hand']}/members/{principal['id']}")
        both = f"/v1/groups/{groups['both']}/members/{principal['id']}"
        assert await groups_after(1, ["staff", "board", "both"]) == {*groups}
        assert (await client.put(both)).status_code == 204, "who is one by the issuer's word"
        assert await groups_after(0, ["staff"]) == {*groups}, "an older token"
        assert await groups_after(2, "board") == {"board", "by hand", "both"}
        assert await groups_after(3, None) == {"by hand", "both"}


async def test_streams_and_tickets_end_with_the_token(
    api: ApiProcess, door: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    now = int(time.time())
    async with client_of(api, issuer.token("viewer", org=tenant.name)) as viewer:
        job = await ingest(viewer)
        ticket = (await viewer.post("/v1/auth/stream-ticket")).json()["ticket"]
    async with opened(door, f"/v1/jobs/{job}/events?ticket={ticket}") as lines:
        assert (await take(lines, 1))[0].event == "snapshot"
    again = await door.get(f"/v1/jobs/{job}/events?ticket={ticket}")
    assert again.status_code == 401
    # Within the leeway of clocks, but over: what it opens does not outlive it.
    async with client_of(api, issuer.token("viewer", org=tenant.name, exp=now - 1)) as late:
        ticket = (await late.post("/v1/auth/stream-ticket")).json()["ticket"]
    assert (await door.get(f"/v1/jobs/{job}/events?ticket={ticket}")).status_code == 401


async def test_streams_and_tickets_end_with_the_binding(
    api: ApiProcess, issuer: Issuer, tenant: TenantFixture
) -> None:
    async with (
        client_of(api, tenant.api_key) as client,
        client_of(api, issuer.token("wrong", org=tenant.name)) as viewer,
    ):
        principal = (await viewer.get("/v1/auth/me")).json()["id"]
        job = await ingest(viewer)
        stream = f"/v1/jobs/{job}/events"
        ticket = (await viewer.post("/v1/auth/stream-ticket")).json()["ticket"]
        async with opened(viewer, stream) as events:
            await take(events, 1)
            path = f"/v1/principals/{principal}/identity"
            assert (await client.put(path, json={"subject": "right"})).status_code == 200
            late = await client.get(stream, params={"ticket": ticket})
            assert late.status_code == 401, "the principal is another's now"
            async with asyncio.timeout(40):
                assert [each async for each in events] == []

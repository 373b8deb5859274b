"""How often a name, or an address, may be tried, and what that tells of either."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import (
    ApiProcess,
    start_api,
    stop_api,
)
from tests.api.test_principals import make_principal
from tests.api.test_sign_ins import OTHER_PASSWORD, PASSWORD, bearer, refresh, sign_in
from tests.conftest import TenantFixture


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> dict[str, str]:
    """A person with a password."""
    made = await make_principal(client, "ada@example.org")
    set_one = await client.put(f"/v1/principals/{made['id']}/password", json={"password": PASSWORD})
    assert set_one.status_code == 204, set_one.text
    return made


@pytest.fixture(autouse=True)
def no_attempts(postgres_dsn: str) -> Iterator[None]:
    """All tests come from one address."""
    yield
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM sign_in_attempt")


@pytest.fixture
async def door(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Comes with nothing."""
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        yield door


async def test_neither_passwords_nor_names_nor_tokens_are_logged(
    api: ApiProcess, door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    tokens = (await sign_in(door, tenant)).json()
    await sign_in(door, tenant, OTHER_PASSWORD)
    await refresh(door, tokens["refresh_token"])
    log = (api.home / "api.jsonl").read_text(encoding="utf-8")
    assert "somebody did not sign in" in log
    for secret in (PASSWORD, OTHER_PASSWORD, ada["name"], "munat_", "munrt_", "argon2id"):
        assert secret not in log


# ── attempts ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("username", ["ada@example.org", "nobody@example.org"])
async def test_after_five_failures_a_name_waits_whether_there_is_one_or_not(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], username: str
) -> None:
    answers = [await sign_in(door, tenant, OTHER_PASSWORD, username=username) for _ in range(6)]
    assert [each.status_code for each in answers] == [401] * 5 + [429]
    assert {each.json()["detail"] for each in answers[:5]} == {"the name or the password is wrong"}
    assert 0 < int(answers[5].headers["Retry-After"]) <= 900
    assert (await sign_in(door, tenant, username=username)).status_code == 429


async def test_many_attempts_at_once_are_no_more_than_one_by_one(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    answers = await asyncio.gather(
        *(sign_in(door, tenant, f"wrong password {number}") for number in range(15))
    )
    assert sorted(each.status_code for each in answers) == [401] * 5 + [429] * 10


async def test_attempts_under_way_keep_others_waiting_for_moments_unless_they_are_lost(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    assert (await sign_in(door, tenant, OTHER_PASSWORD, username="guess")).status_code == 401
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        # Of the address, whose hash the failure left; later than now, so that they stay fresh.
        connection.execute(
            "UPDATE sign_in_attempt SET failed = false, at = now() + interval '1 minute'"
        )
        connection.execute(
            "INSERT INTO sign_in_attempt (id, subject, at, failed)"
            " SELECT gen_random_uuid(), subject, at, false"
            " FROM sign_in_attempt, generate_series(1, 4)"
        )
        early = await sign_in(door, tenant)
        assert early.status_code == 429
        assert int(early.headers["Retry-After"]) <= 2
        connection.execute("UPDATE sign_in_attempt SET at = now() - interval '6 seconds'")
        late = await sign_in(door, tenant)
        assert late.status_code == 429
        assert int(late.headers["Retry-After"]) > 600
        connection.execute(
            "DELETE FROM sign_in_attempt WHERE id IN (SELECT id"
            " FROM sign_in_attempt GROUP BY id HAVING count(*) = 1)"
        )
    assert (await sign_in(door, tenant)).status_code == 200


async def test_an_address_waits_after_failures_at_many_names(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    for number in range(5):
        await sign_in(door, tenant, username=f"guess{number}")
    refused = await sign_in(door, tenant)
    assert refused.status_code == 429
    spoofed = await door.post(
        "/v1/auth/token",
        json={
            "grant_type": "password",
            "username": "ada@example.org",
            "password": PASSWORD,
            "tenant": tenant.name,
        },
        headers={"X-Forwarded-For": "203.0.113.7"},
    )
    assert spoofed.status_code == 429, "nobody names an address of its own"


async def test_a_success_takes_back_failures_at_its_name_and_none_of_the_address(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    for _ in range(4):
        await sign_in(door, tenant, OTHER_PASSWORD)
    for _ in range(3):
        assert (await sign_in(door, tenant)).status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        counted = connection.execute("SELECT count(*) FROM sign_in_attempt").fetchone()
        assert counted == (4,), "of the address"
        connection.execute("UPDATE sign_in_attempt SET at = at - interval '15 minutes'")
    for _ in range(5):
        assert (await sign_in(door, tenant, OTHER_PASSWORD)).status_code == 401
    assert (await sign_in(door, tenant)).status_code == 429


async def test_a_trusted_proxy_says_who_comes(
    api_environment: dict[str, str],
    tenant: TenantFixture,
    ada: dict[str, str],
    tmp_path: Path,
) -> None:
    proxied = {**api_environment, "MUNIMENT_API__TRUSTED_PROXIES": "127.0.0.0/8"}
    api = start_api(tmp_path / "proxied", proxied)
    try:
        async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
            statuses = []
            for number in range(7):
                door.headers["X-Forwarded-For"] = f"198.51.100.9, 2001:db8::{number}"
                answer = await sign_in(door, tenant, username=f"guess{number}")
                statuses.append(answer.status_code)
            assert statuses == [401] * 5 + [429] * 2, "of IPv6 a network is one address"
            door.headers["X-Forwarded-For"] = "203.0.113.7"
            assert (await sign_in(door, tenant)).status_code == 200
    finally:
        assert stop_api(api) == 0


async def test_how_long_a_refusal_takes_does_not_tell_whether_there_is_such_a_name(
    door: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    took: dict[str, list[float]] = {"ada@example.org": [], "nobody@example.org": []}
    for _ in range(8):
        for username, seconds in took.items():
            with psycopg.connect(postgres_dsn) as connection:
                connection.execute("DELETE FROM sign_in_attempt")
            began = time.perf_counter()
            answer = await sign_in(door, tenant, OTHER_PASSWORD, username=username)
            seconds.append(time.perf_counter() - began)
            assert answer.status_code == 401
    known, unknown = [statistics.median(each) for each in took.values()]
    # Without the work on nobody's password the quotient is twenty and more.
    assert 1 / 3 < known / unknown < 3, (known, unknown)


async def test_the_tenants_name_is_part_of_who_one_is(
    door: httpx.AsyncClient,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    ada: dict[str, str],
) -> None:
    assert (await sign_in(door, other_tenant)).status_code == 401
    assert (await sign_in(door, replace(tenant, name="no such tenant"))).status_code == 401
    tokens = await sign_in(door, tenant)
    me = (await door.get("/v1/auth/me", headers=bearer(tokens))).json()
    assert UUID(me["tenant_id"]) == tenant.tenant_id

"""Which tenants operate, and that the database gives the others nothing, whatever the code above it
forgets."""

import asyncio

import psycopg
import pytest
from sqlalchemy import text

from db.bootstrap import bootstrap
from db.migrate import migrate
from db.models import new_id
from db.queries import tenants
from db.session import Database
from muniment.api_keys import ALL_SCOPES
from tests.blocked import until_blocked_by
from tests.conftest import TenantFixture
from tests.db.test_downgrades import dsn_of, revision_of

BEFORE = "0018"


def operators(owner_dsn: str) -> set[str]:
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        rows = connection.execute("SELECT name FROM tenant WHERE is_operator").fetchall()
    return {row[0] for row in rows}


def test_the_default_tenant_operates_and_others_when_it_is_said(owner_dsn: str) -> None:
    bootstrap(owner_dsn, tenant="first")
    assert operators(owner_dsn) == set()
    bootstrap(owner_dsn)
    bootstrap(owner_dsn, tenant="second", is_operator=True)
    bootstrap(owner_dsn, tenant="second")
    assert operators(owner_dsn) == {"default", "second"}


@pytest.mark.parametrize(("others", "expected"), [(0, {"default"}), (1, set())])
def test_the_default_tenant_operates_after_the_upgrade_if_it_was_the_only_one(
    owner_dsn: str, others: int, expected: set[str]
) -> None:
    bootstrap(owner_dsn)
    for number in range(others):
        bootstrap(owner_dsn, tenant=f"other-{number}")
    while revision_of(owner_dsn) != BEFORE:
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    assert operators(owner_dsn) == expected


def test_only_administrators_keys_of_every_scope_get_the_new_one(owner_dsn: str) -> None:
    former = tuple(scope for scope in ALL_SCOPES if scope != "tenants:manage")
    keys = {
        "every": bootstrap(owner_dsn, scopes=former),
        "fewer": bootstrap(owner_dsn, scopes=former[1:]),
        "clerk": bootstrap(owner_dsn, principal="clerk", is_admin=False, scopes=former),
    }
    while revision_of(owner_dsn) != BEFORE:
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        rows = connection.execute(
            "SELECT key_hash FROM api_key WHERE 'tenants:manage' = ANY(scopes)"
        ).fetchall()
    assert rows == [(keys["every"].hash,)]


async def test_a_tenant_that_does_not_operate_gets_nothing_from_the_functions_of_operators(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with database.transaction(tenant.access) as session:
        assert not await tenants.operates(session)
        assert await tenants.list_tenants(session, limit=10) == []
        for tenant_id in (tenant.tenant_id, other_tenant.tenant_id):
            assert await tenants.lock_tenant(session, tenant_id) is None
            assert await tenants.find_tenant(session, tenant_id) is None
            await tenants.set_disabled(session, tenant_id, disabled=True)
        assert await tenants.add_tenant(session, new_id(), f"made-{new_id()}") is None
    async with database.across_tenants() as session:
        assert await tenants.list_tenants(session, limit=10) == []
        assert (await session.execute(text("SELECT name FROM tenant"))).all() == []
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM tenant WHERE disabled_at IS NOT NULL AND id = ANY(%s)",
            ([tenant.tenant_id, other_tenant.tenant_id],),
        ).fetchone()
    assert row == (0,)


async def test_an_operators_queries_see_no_other_tenant(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, postgres_dsn: str
) -> None:
    bootstrap(postgres_dsn, tenant=tenant.name, is_operator=True)
    async with database.transaction(tenant.access) as session:
        seen = (await session.execute(text("SELECT id FROM tenant"))).scalars().all()
        listed = await tenants.list_tenants(session, limit=1_000)
    assert seen == [tenant.tenant_id]
    assert {tenant.tenant_id, other_tenant.tenant_id} <= {each.id for each in listed}


DISABLE = "SELECT set_config('app.tenant', %s, true), set_tenant_disabled(%s, true)"
ENABLE_PRINCIPAL = "UPDATE principal SET disabled_at = NULL WHERE id = %s"
ADD_PRINCIPAL = (
    "INSERT INTO principal"
    " (id, tenant_id, kind, name, is_admin, revision, disabled_with_tenant, created_at)"
    " VALUES (%s, %s, 'user', 'newcomer', false, 1, false, now())"
)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
async def test_who_comes_while_the_tenant_is_disabled_is_disabled_with_it(
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    postgres_dsn: str,
    is_new: bool,
    is_first: bool,
) -> None:
    bootstrap(postgres_dsn, tenant=tenant.name, is_operator=True)
    comer = new_id() if is_new else other_tenant.principal_id
    coming = (ADD_PRINCIPAL, (comer, other_tenant.tenant_id)) if is_new else (
        ENABLE_PRINCIPAL, (comer,)
    )  # fmt: skip
    disabling = (DISABLE, (str(tenant.tenant_id), other_tenant.tenant_id))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE principal SET disabled_at = now() WHERE id = %s", (other_tenant.principal_id,)
        )
    one, other = (coming, disabling) if is_first else (disabling, coming)
    async with (
        await psycopg.AsyncConnection.connect(postgres_dsn) as first,
        await psycopg.AsyncConnection.connect(postgres_dsn) as second,
    ):
        await first.execute(*one)
        waiting = asyncio.create_task(second.execute(*other))
        await until_blocked_by(first)
        await first.commit()
        await waiting
        await second.commit()
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT disabled_at IS NOT NULL, disabled_with_tenant FROM principal WHERE id = %s",
            (comer,),
        ).fetchone()
    assert row == (True, True)


def test_memberships_by_an_issuers_word_do_not_become_made_by_hand(owner_dsn: str) -> None:
    bootstrap(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        for name, from_issuer in (("staff", True), ("by hand", False)):
            connection.execute(
                "WITH made AS (INSERT INTO principal_group (id, tenant_id, name, revision, created_at)"
                " SELECT gen_random_uuid(), id, %s, 1, now() FROM tenant RETURNING id, tenant_id)"
                " INSERT INTO group_member (tenant_id, group_id, principal_id, from_issuer)"
                " SELECT made.tenant_id, made.id, principal.id, %s FROM made, principal",
                (name, from_issuer),
            )
    while revision_of(owner_dsn) != BEFORE:
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        left = connection.execute(
            "SELECT name FROM group_member JOIN principal_group ON id = group_id"
        ).fetchall()
    assert left == [("by hand",)]

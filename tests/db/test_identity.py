"""What the migration of identity makes of what was there, and what the database itself refuses."""

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege

from db.bootstrap import bootstrap
from db.migrate import migrate
from db.models import new_id
from muniment.api_keys import ALL_SCOPES, hash_api_key
from tests.conftest import TenantFixture
from tests.db.test_downgrades import dsn_of, revision_of

BEFORE = "0012"
FORMER = ALL_SCOPES[: ALL_SCOPES.index("webhooks:manage")]


def test_an_administrators_key_of_every_scope_gets_the_new_ones_and_no_other(
    owner_dsn: str,
) -> None:
    keys = {
        "every": bootstrap(owner_dsn, scopes=FORMER),
        "fewer": bootstrap(owner_dsn, scopes=FORMER[1:]),
        "no administrator's": bootstrap(
            owner_dsn, principal="clerk", is_admin=False, scopes=FORMER
        ),
    }
    while revision_of(owner_dsn) != BEFORE:
        migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        found = {
            name: connection.execute(
                "SELECT scopes FROM api_key WHERE key_hash = %s", (hash_api_key(key.secret),)
            ).fetchone()
            for name, key in keys.items()
        }
    assert {name: set(row[0]) for name, row in found.items() if row} == {
        "every": set(ALL_SCOPES),
        "fewer": set(FORMER[1:]),
        "no administrator's": set(FORMER),
    }


def test_of_several_grants_for_one_pair_the_highest_stays(owner_dsn: str) -> None:
    bootstrap(owner_dsn)
    while revision_of(owner_dsn) != BEFORE:
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        for level in ("read", "manage", "write"):
            connection.execute(
                "INSERT INTO access_grant"
                " (id, tenant_id, principal_id, collection_id, level, created_at)"
                " SELECT %s, principal.tenant_id, principal.id, collection.id, %s, now()"
                " FROM principal JOIN collection USING (tenant_id)",
                (new_id(), level),
            )
    migrate(owner_dsn)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        assert connection.execute("SELECT level FROM access_grant").fetchall() == [("manage",)]


@pytest.mark.parametrize("named", ["principal_id", "collection_id"])
def test_a_grant_names_one_of_each(postgres_dsn: str, tenant: TenantFixture, named: str) -> None:
    ids = {"principal_id": tenant.principal_id, "collection_id": tenant.collection_id}
    with psycopg.connect(postgres_dsn) as connection, pytest.raises(CheckViolation):
        connection.execute(
            f"INSERT INTO access_grant (id, tenant_id, level, created_at, {named})"  # noqa: S608 - constants
            " VALUES (%s, %s, 'read', now(), %s)",
            (new_id(), tenant.tenant_id, ids[named]),
        )


def test_the_application_reads_no_attempts(application_dsn: str) -> None:
    with (
        psycopg.connect(application_dsn) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute("SELECT count(*) FROM sign_in_attempt")

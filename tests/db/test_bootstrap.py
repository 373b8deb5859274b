"""An owner who is no superuser makes tenants, and sees no more of them than it must."""

import psycopg

from db.bootstrap import bootstrap
from db.queries.access import authenticate
from db.session import Database
from muniment.api_keys import hash_api_key
from tests.db.test_downgrades import dsn_of


async def test_an_owner_without_privileges_makes_a_tenant_and_later_another_key_of_it(
    owner_dsn: str,
) -> None:
    keys = [bootstrap(owner_dsn, tenant="first").secret for _ in range(2)]
    database = Database(dsn_of("muniment_app", owner_dsn))
    for key in keys:
        async with database.across_tenants() as session:
            assert await authenticate(session, hash_api_key(key)) is not None
    await database.close()
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        made = connection.execute("SELECT name, visibility FROM collection").fetchall()
    assert made == [("default", "tenant")]


def test_the_owner_sees_collections_of_the_tenant_only_that_it_acts_for(owner_dsn: str) -> None:
    for name in ("first", "second"):
        bootstrap(owner_dsn, tenant=name)
    with psycopg.connect(owner_dsn) as connection:
        count = "SELECT count(*) FROM collection"
        assert connection.execute(count).fetchone() == (0,)
        connection.execute(
            "SELECT set_config('app.tenant', id::text, true) FROM tenant WHERE name = 'second'"
        )
        assert connection.execute(count).fetchone() == (1,)

"""What a transaction is: its statements together or none, for one tenant, and nothing of it afterwards."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Collection
from db.session import Access, Database
from tests.conftest import TenantFixture


@pytest.fixture
async def alone(application_dsn: str) -> AsyncIterator[Database]:
    """A pool of one connection, which all transactions have one after the other."""
    database = Database(application_dsn, pool_size=1)
    yield database
    await database.close()


async def _acting(database: Database, access: Access) -> tuple[str, str, int]:
    """For whom a transaction runs, and how many collections it sees."""
    async with database.transaction(access) as session:
        found = await session.execute(
            text(
                "SELECT current_setting('app.tenant'), current_setting('app.principal'),"
                " (SELECT count(*) FROM collection WHERE name = 'marked')"
            )
        )
        tenant, principal, count = found.one()
        return tenant, principal, count


async def _left_behind(database: Database) -> tuple[str, bool]:
    """The tenant that a connection of the pool still knows, and whether it is in a transaction."""
    async with database.one_statement() as session:
        found = await session.execute(
            text(
                "SELECT coalesce(current_setting('app.tenant', true), ''), now() = statement_timestamp()"
            )
        )
        tenant, is_by_itself = found.one()
        return tenant, not is_by_itself


def _mark(tenant: TenantFixture) -> Collection:
    return Collection(tenant_id=tenant.tenant_id, name="marked")


class Stopped(Exception):
    """Of the caller's, not of the database's."""


async def test_a_transaction_that_fails_leaves_nothing_and_no_tenant(
    alone: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    async def fail() -> None:
        async with alone.transaction(tenant.access) as session:
            session.add(_mark(tenant))
            await session.flush()
            await session.execute(text("SELECT 1"))
            raise Stopped

    with pytest.raises(Stopped):
        await fail()
    assert await _left_behind(alone) == ("", False)
    assert await _acting(alone, tenant.system) == (str(tenant.tenant_id), "", 0)
    expected = (str(other_tenant.tenant_id), str(other_tenant.access.principal_id), 0)
    assert await _acting(alone, other_tenant.access) == expected


async def test_statements_are_kept_together_and_seen_by_their_tenant_alone(
    alone: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    async with alone.transaction(tenant.access) as session:
        session.add(_mark(tenant))
    assert (await _acting(alone, tenant.system))[2] == 1
    assert (await _acting(alone, other_tenant.system))[2] == 0
    assert await _left_behind(alone) == ("", False)


@pytest.mark.parametrize("has_asked", [False, True])
async def test_a_transaction_that_is_cancelled_leaves_nothing_and_no_tenant(
    alone: Database, tenant: TenantFixture, other_tenant: TenantFixture, has_asked: bool
) -> None:
    begun = asyncio.Event()

    async def hold() -> None:
        async with alone.transaction(tenant.access) as session:
            if has_asked:
                session.add(_mark(tenant))
                await session.flush()
            begun.set()
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    await begun.wait()
    holding.cancel()
    await asyncio.wait({holding})
    assert holding.cancelled()
    assert await _left_behind(alone) == ("", False)
    assert (await _acting(alone, tenant.system))[2] == 0
    assert (await _acting(alone, other_tenant.system))[0] == str(other_tenant.tenant_id)


async def _shown(session: AsyncSession, setting: str) -> str:
    return str((await session.execute(text(f"SHOW {setting}"))).scalar_one())


async def test_a_snapshot_is_repeatable_and_reads_only(
    database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.system, is_snapshot=True) as session:
        assert await _shown(session, "transaction_isolation") == "repeatable read"
        assert await _shown(session, "transaction_read_only") == "on"
    async with database.transaction(tenant.system) as session:
        assert await _shown(session, "transaction_isolation") == "read committed"
        assert await _shown(session, "transaction_read_only") == "off"


async def test_what_is_no_id_begins_nothing(database: Database, tenant: TenantFixture) -> None:
    ending: UUID = "', true); DROP TABLE file; --"  # type: ignore[assignment] # as of a row or payload
    for access in (Access(ending), Access(tenant.tenant_id, ending)):
        with pytest.raises(ValueError, match="UUID"):
            await _acting(database, access)


async def test_all_connections_are_open_before_the_first_request_and_each_knows_what_is_asked(
    application_dsn: str,
) -> None:
    database = Database(f"{application_dsn}&application_name=warm", pool_size=3)
    counting = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'warm'")
    asked = list[int]()

    async def ask(session: AsyncSession) -> None:
        found = await session.execute(text("SELECT pg_backend_pid(), count(*) FROM file"))
        process_id, seen = found.one()
        assert seen == 0
        asked.append(process_id)

    try:
        await database.warm_up(ask)
        assert len(set(asked)) == 3
        async with database.one_statement() as session:
            assert (await session.execute(counting)).scalar_one() == 3
        assert await _left_behind(database) == ("", False)
    finally:
        await database.close()


async def test_a_database_that_is_away_or_without_tables_keeps_no_process_from_its_start(
    application_dsn: str,
) -> None:
    async def ask(session: AsyncSession) -> None:
        await session.execute(text("SELECT FROM there_is_none"))

    away = "postgresql://muniment_app@/none?host=/nonexistent"
    for dsn in (application_dsn, away):
        database = Database(dsn, pool_size=2)
        try:
            await database.warm_up(ask)
        finally:
            await database.close()


async def test_a_transaction_alone_has_its_statements_planned_once(
    alone: Database, tenant: TenantFixture
) -> None:
    async def mode(*, plans_once: bool) -> str:
        async with alone.transaction(tenant.access, plans_once=plans_once) as session:
            found = await session.execute(text("SELECT current_setting('plan_cache_mode')"))
            return str(found.scalar_one())

    assert await mode(plans_once=True) == "force_generic_plan"
    assert await mode(plans_once=False) == "auto"


async def test_a_connection_remembers_more_statements_than_an_api_has(
    database: Database, tenant: TenantFixture
) -> None:
    count = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%of_many_%'")
    async with database.transaction(tenant.system) as session:
        for number in range(150):
            for _ in range(2):
                await session.execute(text(f"SELECT {number} AS of_many_{number}"))
        # This very text is one of them only at its second use.
        assert await session.scalar(count) == 150

"""Which rule sends content to the cold tier: a collection's, its tenant's, or the installation's; of several
the hottest."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text, update
from sqlmodel import col

from db.models import Collection, FileVersion, Job, TierPolicy, new_id
from db.queries.tier_policies import ColdPolicy
from db.queries.tiers import plan_moves
from db.session import Database
from tests.conftest import TenantFixture, make_tenant
from tests.worker.jobs import commit_job

DAY = timedelta(days=1)
AFTER_A_MONTH = ColdPolicy(30 * DAY, 0, ())


async def aged(database: Database, tenant: TenantFixture, days: int) -> Job:
    """A file whose content nobody asked for in so many days."""
    job = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        await session.execute(
            text(
                "UPDATE blob SET created_at = now() - :age WHERE id ="
                " (SELECT blob_id FROM file_version WHERE file_id = :file_id)"
            ),
            {"age": days * DAY, "file_id": job.file_id},
        )
    return job


async def rule(
    database: Database, tenant: TenantFixture, collection_id: UUID | None, days: float | None
) -> None:
    async with database.transaction(tenant.system) as session:
        session.add(
            TierPolicy(tenant_id=tenant.tenant_id, collection_id=collection_id, after_days=days)
        )


async def another_collection(database: Database, tenant: TenantFixture, job: Job) -> UUID:
    """One whose file has the content of that job's, too."""
    made = Collection(id=new_id(), tenant_id=tenant.tenant_id, name=f"another {new_id()}")
    async with database.transaction(tenant.system) as session:
        session.add(made)
    second = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        await session.execute(
            text("UPDATE file SET collection_id = :id WHERE id = :file_id"),
            {"id": made.id, "file_id": second.file_id},
        )
        first = await session.get_one(FileVersion, job.version_id)
        await session.execute(
            update(FileVersion)
            .where(col(FileVersion.id) == second.version_id)
            .values(blob_id=first.blob_id)
        )
    return made.id


async def planned(
    database: Database, tenant: TenantFixture, installation: ColdPolicy | None = None
) -> set[UUID]:
    """The files whose content goes now; that is forgotten again."""
    async with database.transaction(tenant.system) as session:
        await plan_moves(session, installation, 100)
        rows = await session.execute(
            text("SELECT file_id FROM tier_move JOIN file_version USING (blob_id)")
        )
        found = {row.file_id for row in rows}
        await session.execute(text("DELETE FROM tier_move"))
    return found


def files(jobs: Sequence[Job]) -> set[UUID]:
    return {job.file_id for job in jobs}


async def test_without_a_rule_nothing_goes(database: Database, tenant: TenantFixture) -> None:
    await aged(database, tenant, 40_000)
    assert await planned(database, tenant) == set()


async def test_a_collections_rule_goes_before_its_tenants_and_that_before_the_installations(
    database: Database, tenant: TenantFixture
) -> None:
    week, month, year = [await aged(database, tenant, days) for days in (8, 31, 366)]
    assert await planned(database, tenant, AFTER_A_MONTH) == files([month, year])
    elsewhere = ColdPolicy(30 * DAY, 0, ("elsewhere",))
    assert await planned(database, tenant, elsewhere) == set()
    await rule(database, tenant, None, 365)
    assert await planned(database, tenant, AFTER_A_MONTH) == files([year])
    assert await planned(database, tenant) == files([year])
    await rule(database, tenant, tenant.collection_id, 7)
    assert await planned(database, tenant) == files([week, month, year])
    async with database.transaction(tenant.system) as session:
        await session.execute(text("UPDATE tier_policy SET min_bytes = 2"))
    assert await planned(database, tenant) == set(), "they are smaller"


async def test_a_collection_may_keep_what_its_tenant_sends_away(
    database: Database, tenant: TenantFixture
) -> None:
    await aged(database, tenant, 1_000)
    await rule(database, tenant, None, 1)
    await rule(database, tenant, tenant.collection_id, None)
    assert await planned(database, tenant, AFTER_A_MONTH) == set()


async def test_content_that_two_collections_have_goes_when_both_let_it(
    database: Database, tenant: TenantFixture
) -> None:
    job = await aged(database, tenant, 100)
    other_id = await another_collection(database, tenant, job)
    await rule(database, tenant, tenant.collection_id, 7)
    await rule(database, tenant, other_id, 365)
    assert await planned(database, tenant) == set()
    async with database.transaction(tenant.system) as session:
        await session.execute(
            text("UPDATE tier_policy SET after_days = 99 WHERE collection_id = :id"),
            {"id": other_id},
        )
    assert job.file_id in await planned(database, tenant)


async def test_another_tenants_rule_decides_nothing_here(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await aged(database, tenant, 1_000)
    await rule(database, make_tenant(postgres_dsn), None, 1)
    assert await planned(database, tenant) == set()

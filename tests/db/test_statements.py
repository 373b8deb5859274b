"""What is sent to PostgreSQL, and how it goes about it."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.listing import file_views
from api.jobs.view import WorkflowLinks
from db.models import Job, new_id
from db.queries import batches, events, files, jobs
from db.queries.events import TenantCursor
from db.queries.files import FileFilter, FileOrder
from db.session import Database
from muniment.contracts.move_tier import Tier
from tests.conftest import TenantFixture
from tests.db.statements import statements_of
from tests.db.test_quotas import keep
from tests.worker.jobs import commit_job


async def test_one_statement_is_a_transaction_by_itself_and_what_follows_is_as_ever(
    application_dsn: str, tenant: TenantFixture
) -> None:
    database = Database(application_dsn, pool_size=1)
    current = text("SELECT pg_current_xact_id()::text")
    try:
        async with database.one_statement() as session:
            first, second = [(await session.scalars(current)).one() for _ in range(2)]
            assert first != second
        async with database.transaction(tenant.access) as session:
            first, second = [(await session.scalars(current)).one() for _ in range(2)]
            assert first == second
        async with database.one_statement() as session:
            seen = await session.execute(text("SELECT count(*) FROM collection"))
            assert seen.scalar_one() == 0  # the tenant was that of the transaction alone
    finally:
        await database.close()


async def test_a_list_costs_as_many_statements_whatever_its_length(
    database: Database, tenant: TenantFixture
) -> None:
    counts = []
    for _ in range(2):
        await commit_job(database, tenant, startable=True)
        async with database.transaction(tenant.access) as session:
            with statements_of(await session.connection()) as sent:
                found = await files.list_files(session, FileFilter(), FileOrder(), limit=10)
        assert {detail.tier for detail in found} == {Tier.HOT}
        counts.append((len(found), len(sent)))
    (one, first), (two, second) = counts
    assert (one, two, first) == (1, 2, second)


async def _ask_for_jobs(session: AsyncSession) -> None:
    """Everything that asks of a job or file by its id whether it may be seen."""
    await jobs.get_job(session, new_id())
    await jobs.get_job(session, new_id(), "write")
    await jobs.list_jobs(session, file_id=new_id())
    await events.tenant_events_after(session, TenantCursor(0, 0))
    await batches.writable_files(session, [new_id()])


async def test_who_asks_for_a_job_has_not_all_visible_files_listed(
    database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.access) as session:
        connection = await session.connection()
        with statements_of(connection) as sent:
            await _ask_for_jobs(session)
        for statement, parameters in list(sent):
            found = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(found.scalars())
            assert "visible_files" not in plan, statement
            assert "ProjectSet" not in plan, statement
    assert len(sent) == 5


def caller_of(tenant: TenantFixture) -> Caller:
    return Caller(tenant.tenant_id, tenant.principal_id, None, frozenset({"files:read"}), True)


async def test_a_page_of_files_takes_two_statements_whatever_its_length(
    database: Database, tenant: TenantFixture
) -> None:
    """With collections, versions and newest jobs, whose versions are known by then, and what holds them."""
    kept = [await keep(database, tenant, size) for size in (1, 2, 3)]
    async with database.transaction(tenant.system) as session:
        session.add_all(
            Job(
                tenant_id=tenant.tenant_id,
                kind="ingest_file",
                file_id=version.file_id,
                version_id=version.id,
                workflow_id=str(new_id()),
                state="queued",
            )
            for version in kept
        )
    async with database.transaction(tenant.access) as session:
        with statements_of(await session.connection()) as sent:
            found = await files.list_files(session, FileFilter(), FileOrder(), limit=10)
            shown = await file_views(
                session, caller_of(tenant), WorkflowLinks(None, "default"), found
            )
    assert len(sent) == 2
    assert {(each.id, each.size, each.collection) for each in shown} == {
        (version.file_id, version.size, "default") for version in kept
    }
    assert [each.job.version for each in shown if each.job] == [1, 1, 1]


async def test_that_a_tenant_has_no_pace_yet_is_asked_once_in_some_seconds(
    database: Database, tenant: TenantFixture
) -> None:
    """Each list of a tenant's first files shows jobs that run."""
    version = await keep(database, tenant, 1)
    async with database.transaction(tenant.system) as session:
        session.add(
            Job(
                tenant_id=tenant.tenant_id,
                kind="ingest_file",
                file_id=version.file_id,
                version_id=version.id,
                workflow_id=str(new_id()),
                state="running",
            )
        )
    taken = []
    for _ in range(2):
        async with database.transaction(tenant.access) as session:
            with statements_of(await session.connection()) as sent:
                found = await files.list_files(session, FileFilter(), FileOrder(), limit=10)
                await file_views(session, caller_of(tenant), WorkflowLinks(None, "default"), found)
        taken.append(len(sent))
    assert taken == [3, 2]

"""Which changes of rows are events, written by triggers in the transaction of the change."""

from uuid import UUID

import pytest
from sqlalchemy import text

from db.models import Webhook, new_id
from db.queries import webhook_deliveries
from db.session import Database
from muniment.contracts.deliver_webhook import EventType
from muniment.contracts.jobs import FileState, JobState
from tests.conftest import TenantFixture
from tests.worker.jobs import commit_job


@pytest.fixture
async def subscribed(database: Database, tenant: TenantFixture) -> None:
    """The tenant has an endpoint for every type of event."""
    async with database.transaction(tenant.system) as session:
        session.add(
            Webhook(
                tenant_id=tenant.tenant_id,
                principal_id=tenant.principal_id,
                url="https://example.com/",
                description="",
                events=[*EventType],
            )
        )


async def change(
    database: Database, tenant: TenantFixture, statement: str, **values: object
) -> list[str]:
    """Types of the events that the statement brings about."""
    async with database.transaction(tenant.system) as session:
        await session.execute(text("DELETE FROM webhook_event"))
        await session.execute(text(statement), values)
    async with database.transaction(tenant.system) as session:
        rows = await session.execute(text("SELECT type FROM webhook_event ORDER BY id"))
        return list(rows.scalars())


def expected_of_file(before: FileState, after: FileState) -> list[str]:
    if before == after:
        return []
    leaving = (FileState.ERASING, FileState.ERASED, FileState.RESTRICTED)
    if before is FileState.TRASHED and after not in leaving:
        return ["file.restored"]
    told = EventType.__members__.get(f"FILE_{after.name}")
    return [told.value] if told else []


async def test_every_change_of_a_files_state_is_the_event_that_it_should_be(
    database: Database, tenant: TenantFixture, subscribed: None
) -> None:
    await commit_job(database, tenant, startable=True)
    seen: set[str] = set()
    for before in FileState:
        for after in FileState:
            await change(database, tenant, "UPDATE file SET state = :state", state=before.value)
            told = await change(
                database, tenant, "UPDATE file SET state = :state", state=after.value
            )
            assert told == expected_of_file(before, after), (before, after)
            seen |= set(told)
    assert seen == {each.value for each in EventType if each.value.startswith("file.")}
    assert await change(database, tenant, "UPDATE file SET name = 'another'") == []


async def test_a_job_tells_of_its_ends_and_of_waiting_and_of_no_progress(
    database: Database, tenant: TenantFixture, subscribed: None
) -> None:
    await commit_job(database, tenant, startable=True)
    told = {}
    for state in JobState:
        await change(database, tenant, "UPDATE job SET state = 'neither'")
        told[state] = await change(
            database, tenant, "UPDATE job SET state = :state, pages_done = 1", state=state.value
        )
        assert await change(database, tenant, "UPDATE job SET pages_done = pages_done + 1") == []
    assert {each for types in told.values() for each in types} == {
        each.value for each in EventType if each.value.startswith("job.")
    }
    assert told[JobState.RUNNING] == told[JobState.PAUSED] == told[JobState.QUEUED] == []


async def test_events_have_ids_that_sort_by_time(
    database: Database, tenant: TenantFixture, subscribed: None
) -> None:
    await commit_job(database, tenant, startable=True)
    ids: list[UUID] = []
    for state in ("ready", "trashed", "ready"):
        await change(database, tenant, "UPDATE file SET state = :state", state=state)
        async with database.transaction(tenant.system) as session:
            found = await session.execute(text("SELECT id FROM webhook_event"))
            ids.append(found.scalar_one())
    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}
    assert ids[0].int >> 80 <= new_id().int >> 80
    assert {each.variant for each in ids} == {"specified in RFC 4122"}


@pytest.mark.parametrize(
    "off", ["enabled = false", "deleted_at = now()", "events = '{job.failed}'"]
)
async def test_nobody_asks_nothing_is_written(
    database: Database, tenant: TenantFixture, subscribed: None, off: str
) -> None:
    await commit_job(database, tenant, startable=True)
    await change(database, tenant, f"UPDATE webhook SET {off}")  # noqa: S608 - of this test
    assert await change(database, tenant, "UPDATE file SET state = 'ready'") == []


async def test_another_tenants_change_is_none_of_mine(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, subscribed: None
) -> None:
    await commit_job(database, other_tenant, startable=True)
    async with database.transaction(other_tenant.system) as session:
        await session.execute(text("UPDATE file SET state = 'ready'"))
        assert (await session.execute(text("SELECT count(*) FROM webhook_event"))).scalar() == 0
    async with database.transaction(tenant.system) as session:
        assert (await session.execute(text("SELECT count(*) FROM webhook_event"))).scalar() == 0


async def test_whether_an_event_is_visible_is_asked_of_its_file_alone(
    database: Database, tenant: TenantFixture
) -> None:
    """Else the function lists every file that the principal may see, for each event."""
    async with database.transaction(tenant.access) as session:
        explain = text(f"EXPLAIN {webhook_deliveries.VISIBILITY}")
        found = await session.execute(explain, {"event_id": new_id()})
        plan = "\n".join(found.scalars())
    assert "visible_files" not in plan
    assert "ProjectSet" not in plan
    assert "file" in plan


@pytest.mark.parametrize("about_a_file", [True, False])
async def test_whoever_is_disabled_is_told_nothing(
    database: Database, tenant: TenantFixture, subscribed: None, about_a_file: bool
) -> None:
    await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        await session.execute(text("UPDATE file SET state = 'ready'"))
        found = await session.execute(text("SELECT id FROM webhook_event"))
        event_id = found.scalar_one()
        if not about_a_file:
            await session.execute(text("UPDATE webhook_event SET file_id = NULL"))
    told = []
    for disabled in ("NULL", "now()", "NULL"):
        async with database.transaction(tenant.access) as session:
            await session.execute(text(f"UPDATE principal SET disabled_at = {disabled}"))  # noqa: S608 - of this test
            visible = text(webhook_deliveries.VISIBILITY)
            told.append((await session.execute(visible, {"event_id": event_id})).scalar_one())
    assert told == [True, False, True]

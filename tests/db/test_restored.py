"""What a dump brings into another cluster is told there, in its order, and so is what comes after it."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import sqlalchemy

from db import restored
from db.audit import Act, record
from db.migrate import migrate
from db.models import new_id
from db.queries import events
from db.queries.events import Event, NewEvent, TenantCursor
from db.restored import SEQ_GAP, take_in_restored_events
from db.session import Database, sqlalchemy_url
from muniment.contracts.jobs import JobEventKind
from muniment.errors import Conflict
from tests.chaos.postgres_process import PostgresProcess, own_postgres
from tests.conftest import REPOSITORY, TenantFixture, make_database, make_tenant
from tests.db.test_downgrades import dsn_of
from tests.db.test_members import until_waiting
from tests.patience import on_a_busy_machine
from tests.worker.jobs import commit_job

EVENT = NewEvent(JobEventKind.STATE, {})
EARLIER = 5
LOST = 2
"""Events after the dump, which whoever watched has seen."""
MANY = 40
NUMBERED_FAR_AHEAD = "x::text::bigint + 1000000000"


@pytest.fixture
def older_cluster() -> Iterator[PostgresProcess]:
    """One that has made more transactions than a new one will make in years."""
    with own_postgres() as process:
        process.begin_another_age()
        yield process


async def tell(database: Database, tenant: TenantFixture, job_id: UUID, count: int = 1) -> None:
    """So many events, each in a transaction of its own, and an audit event with each."""
    for _ in range(count):
        async with database.transaction(tenant.system) as session:
            await events.append_events(session, job_id, [EVENT])
            record(session, Act("tested", "job", job_id, tenant.tenant_id))


async def told(database: Database, tenant: TenantFixture) -> list[Event]:
    """All that a stream tells that begins at the beginning."""
    async with database.transaction(tenant.system) as session:
        return await events.tenant_events_after(session, TenantCursor())


async def told_after(
    database: Database, tenant: TenantFixture, cursor: TenantCursor
) -> list[Event]:
    async with database.transaction(tenant.system) as session:
        return await events.tenant_events_after(session, cursor)


def numbered_ahead(dsn: str, table: str) -> int:
    """How many rows have the number of a transaction that this cluster has not made."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM {table} WHERE x >= pg_snapshot_xmax(pg_current_snapshot())"  # type: ignore[arg-type] # noqa: S608 - a constant
        ).fetchone()
    assert row is not None
    return int(row[0])


def take_in(dsn: str, before_commit: Callable[..., None] | None = None) -> int:
    engine = sqlalchemy.create_engine(sqlalchemy_url(dsn))
    if before_commit is not None:
        sqlalchemy.event.listen(engine, "commit", before_commit)
    try:
        with engine.connect() as connection:
            return take_in_restored_events(connection)
    finally:
        engine.dispose()


async def test_a_dump_that_is_restored_into_a_new_cluster_is_told_there(
    older_cluster: PostgresProcess, postgres_server: str, postgres_dsn: str, tmp_path: Path
) -> None:
    former_dsn = make_database(older_cluster.dsn)
    tenant = make_tenant(former_dsn)
    former = Database(dsn_of("muniment_app", former_dsn))
    job, erased, unheard = [await commit_job(former, tenant, startable=True) for _ in range(3)]
    await tell(former, tenant, erased.id)
    await tell(former, tenant, job.id, EARLIER)
    async with former.transaction(tenant.system) as session:
        await session.execute(
            sqlalchemy.text("DELETE FROM job_event WHERE job_id = :id"), {"id": erased.id}
        )
    expected = await told(former, tenant)
    async with former.transaction(tenant.system) as session:
        end_before = await events.tenant_stream_end(session)
    dump, name = tmp_path / "dump", f"restored_{new_id().hex}"
    run(older_cluster.program("pg_dump"), "--format=custom", f"--file={dump}", former_dsn)
    await tell(former, tenant, job.id, LOST)
    await tell(former, tenant, unheard.id, LOST)
    await former.close()
    dsn = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    run(older_cluster.program("pg_restore"), "--exit-on-error", f"--dbname={dsn}", str(dump))

    database = Database(dsn_of("muniment_app", dsn))
    assert await told(database, tenant) == [], "or there is nothing to mend"
    migrate(dsn)
    restored_events = await told(database, tenant)
    assert [event.id for event in restored_events] == [event.id for event in expected]
    await tell(database, tenant, job.id)
    await tell(database, tenant, unheard.id, LOST + 1)
    behind = EARLIER + SEQ_GAP + 1
    of_job = [event.seq for event in await told(database, tenant) if event.job_id == job.id]
    assert of_job == [*range(1, EARLIER + 1), behind]
    async with database.transaction(tenant.system) as session:
        given_out = [seq for seq in range(10) if await events.was_given_out(session, job.id, seq)]
        assert given_out == [*range(EARLIER + 1)], "what came after the dump is of another time"
        assert await events.was_given_out(session, job.id, behind - 1)
        assert not await events.was_given_out(session, unheard.id, LOST)
        for cursor in (replace(end_before, x=1, id=1), end_before, TenantCursor(1, 1)):
            with pytest.raises(Conflict, match="before the database was restored"):
                await events.require_events_kept(session, cursor)
    async with database.transaction(tenant.system) as session:
        end = await events.tenant_stream_end(session)
        await events.require_events_kept(session, end, end)
    assert numbered_ahead(dsn, "job_event") == numbered_ahead(dsn, "audit_event") == 0
    before = await told(database, tenant)
    migrate(dsn)
    assert await told(database, tenant) == before, "twice changes nothing"
    await database.close()


async def test_a_dump_that_goes_back_to_where_it_came_from_is_seen_too(
    older_cluster: PostgresProcess, tmp_path: Path
) -> None:
    """No row of it is of the future there. Of each tenant, however little it had to do with it."""
    former_dsn = make_database(older_cluster.dsn)
    tenants = [make_tenant(former_dsn) for _ in range(2)]
    former = Database(dsn_of("muniment_app", former_dsn))
    open_jobs = [(each, (await commit_job(former, each, startable=True)).id) for each in tenants]
    for tenant, job_id in open_jobs:
        await tell(former, tenant, job_id, EARLIER)
    dump, name = tmp_path / "dump", f"restored_{new_id().hex}"
    run(older_cluster.program("pg_dump"), "--format=custom", f"--file={dump}", former_dsn)
    await former.close()
    with psycopg.connect(older_cluster.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    dsn = older_cluster.dsn.replace("/postgres?", f"/{name}?")
    run(older_cluster.program("pg_restore"), "--exit-on-error", f"--dbname={dsn}", str(dump))

    assert numbered_ahead(dsn, "job_event") == numbered_ahead(dsn, "audit_event") == 0
    migrate(dsn)
    database = Database(dsn_of("muniment_app", dsn))
    for tenant, job_id in open_jobs:
        await tell(database, tenant, job_id, LOST)
        migrate(dsn)
        await tell(database, tenant, job_id)
        behind = EARLIER + SEQ_GAP + 1
        assert [event.seq for event in await told(database, tenant)] == [
            *range(1, EARLIER + 1),
            *range(behind, behind + LOST + 1),
        ], "no second gap by an upgrade of the same database"
        async with database.transaction(tenant.system) as session:
            assert await events.was_given_out(session, job_id, EARLIER)
            assert not await events.was_given_out(session, job_id, EARLIER + LOST)
    await database.close()


def run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


async def test_an_owner_who_is_no_superuser_takes_them_in(
    owner_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    job = await commit_job(database, tenant, startable=True)
    await tell(database, tenant, job.id, EARLIER)
    number_far_ahead(dsn_of("postgres", owner_dsn))
    assert await told(database, tenant) == []
    with caplog.at_level(logging.INFO, logger="db.restored"):
        assert take_in(owner_dsn) > EARLIER
    assert "events of another cluster" in caplog.text
    assert [event.seq for event in await told(database, tenant)] == [*range(1, EARLIER + 1)]
    assert numbered_ahead(dsn_of("postgres", owner_dsn), "audit_event") == 0
    assert take_in(owner_dsn) == 0
    await database.close()


def number_far_ahead(superuser_dsn: str) -> None:
    with psycopg.connect(superuser_dsn) as connection:
        for table in ("job_event", "audit_event", "job_event_horizon"):
            connection.execute(
                f"UPDATE {table} SET x = ({NUMBERED_FAR_AHEAD})::text::xid8"  # type: ignore[arg-type] # noqa: S608 - constants
            )


async def test_two_that_take_them_in_take_turns(
    postgres_server: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side they would share out a tenant's rows in no order, or write some of them twice."""
    monkeypatch.setattr(restored, "ROWS_AT_ONCE", 2)
    dsn = make_database(postgres_server)
    tenant = make_tenant(dsn)
    database = Database(dsn_of("muniment_app", dsn))
    job = await commit_job(database, tenant, startable=True)
    await tell(database, tenant, job.id, EARLIER)
    expected = [event.id for event in await told(database, tenant)]
    number_far_ahead(dsn)
    numbers, has_some, may_commit = count(1), threading.Event(), threading.Event()

    def wait_before_the_second(_: object) -> None:
        """The first one is of the horizons."""
        if next(numbers) == 2:
            has_some.set()
            assert may_commit.wait(on_a_busy_machine(30))

    first = asyncio.create_task(asyncio.to_thread(take_in, dsn, wait_before_the_second))
    assert await asyncio.to_thread(has_some.wait, on_a_busy_machine(30))
    second = asyncio.create_task(asyncio.to_thread(take_in, dsn))
    try:
        await until_waiting(dsn)
        assert not first.done()
        assert not second.done()
    finally:
        may_commit.set()
    taken_in = await first + await second
    assert [event.id for event in await told(database, tenant)] == expected
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT (SELECT count(*) FROM job_event) + (SELECT count(*) FROM audit_event)"
        ).fetchone()
    assert rows == (taken_in,), "each once"
    await database.close()


async def test_who_brings_the_schema_up_to_date_is_told_how_far_it_is(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    job = await commit_job(database, tenant, startable=True)
    await tell(database, tenant, job.id, EARLIER)
    await database.close()
    number_far_ahead(dsn_of("postgres", owner_dsn))
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "db.migrate"],
        cwd=REPOSITORY,
        env={"MUNIMENT_DATABASE__OWNER_URL": owner_dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    told_of = {(line["table"], line["events"]) for line in lines if "table" in line}
    assert ("job_event", EARLIER) in told_of
    assert {table for table, _ in told_of} == {"job_event", "audit_event"}


async def test_who_reads_while_they_are_taken_in_misses_none_and_gets_none_twice(
    postgres_server: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few rows at a time, by two at once, while others write, and one of the rows is erased."""
    monkeypatch.setattr(restored, "ROWS_AT_ONCE", 3)
    dsn = make_database(postgres_server)
    tenant = make_tenant(dsn)
    database = Database(dsn_of("muniment_app", dsn))
    job, other, erased = [await commit_job(database, tenant, startable=True) for _ in range(3)]
    await tell(database, tenant, erased.id)
    await tell(database, tenant, job.id, MANY)
    number_far_ahead(dsn)
    read: list[Event] = []

    async def follow() -> None:
        cursor = TenantCursor()
        while len(read) < 2 * MANY:
            found = await told_after(database, tenant, cursor)
            read.extend(found)
            if found:
                cursor = TenantCursor(found[-1].x, found[-1].id)
            await asyncio.sleep(0.005)

    with psycopg.connect(dsn) as eraser:
        eraser.execute("DELETE FROM job_event WHERE job_id = %s", (erased.id,))
        async with asyncio.timeout(on_a_busy_machine(30)), asyncio.TaskGroup() as group:
            group.create_task(follow())
            group.create_task(tell(database, tenant, other.id, MANY))
            for _ in range(2):
                group.create_task(asyncio.to_thread(take_in, dsn))
            await asyncio.sleep(0.2)
            # An open transaction keeps streams from telling what came after it.
            eraser.commit()
    assert [event.seq for event in read if event.job_id == job.id] == [*range(1, MANY + 1)]
    of_other = [event.seq for event in read if event.job_id == other.id]
    assert of_other == [*range(1, MANY + 1)]
    assert len(read) == 2 * MANY
    for table in ("job_event", "audit_event", "job_event_horizon"):
        assert numbered_ahead(dsn, table) == 0, table
    async with database.transaction(tenant.system) as session:
        end = await events.tenant_stream_end(session)
        await events.require_events_kept(session, end, end)
    await database.close()

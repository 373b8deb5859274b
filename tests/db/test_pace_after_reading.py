"""What a tenant's last documents took after they were read."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from api.jobs.estimate import (
    LONG_DOCUMENT_CHARACTERS,
    SECONDS_PER_CHARACTER,
    SECONDS_PER_DOCUMENT,
    usual_seconds_per_character,
)
from api.jobs.facts import facts_of
from api.jobs.view import WorkflowLinks
from db.models import Job, new_id
from db.queries.jobs import last_after_reading
from db.session import Database
from tests.conftest import TenantFixture
from tests.db.statements import statements_of

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)

AddJob = Callable[..., None]


def _job(tenant: TenantFixture, state: str) -> Job:
    """Never written: only its tenant and state are looked at."""
    job_id = new_id()
    return Job(
        id=job_id,
        tenant_id=tenant.tenant_id,
        file_id=new_id(),
        workflow_id=f"ingest-{job_id}",
        kind="ingest_file",
        state=state,
    )


@pytest.fixture
def add_job(postgres_dsn: str, tenant: TenantFixture) -> AddJob:
    """Adds an ended ingestion of so many characters whose embedding and publishing took those seconds
    together, with a pause between the two."""

    def add(
        characters: int,
        seconds: float,
        *,
        state: str = "completed",
        read: str = "completed",
        embed: str = "completed",
        attempts: int = 1,
        paused_seconds: float = 0.0,
        of: TenantFixture = tenant,
    ) -> None:
        file_id, job_id = new_id(), new_id()
        stages = [
            {
                "name": "read",
                "state": read,
                "finished_at": READ_AT.isoformat(),
                "counts": {"characters": characters},
            },
            {
                "name": "embed",
                "state": embed,
                "attempts": attempts,
                "started_at": READ_AT.isoformat(),
                "finished_at": (READ_AT + timedelta(seconds=seconds - 1)).isoformat(),
            },
            {
                "name": "publish",
                "started_at": (published := READ_AT + timedelta(seconds=seconds + paused_seconds))
                and published.isoformat(),
                "finished_at": (published + timedelta(seconds=1)).isoformat(),
            },
            {"name": "classify", "started_at": READ_AT.isoformat(), "finished_at": None},
        ]
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version,"
                " media_type, degraded, revision, created_at, updated_at)"
                " VALUES (%s, %s, %s, 'a', 'ready', 1, 'text/plain', false, 1, now(), now())",
                (file_id, of.tenant_id, of.collection_id),
            )
            connection.execute(
                "INSERT INTO job (id, tenant_id, kind, file_id, workflow_id, state, stages,"
                " pages_total, pages_done, pages_failed, pages_reused, percent, degraded, priority,"
                " event_seq, created_at, finished_at) VALUES (%s, %s, 'ingest_file', %s, %s, %s,"
                " %s::jsonb, 9, 9, 0, 0, 100, false, 3, 0, now(), %s)",
                (job_id, of.tenant_id, file_id, str(job_id), state, json.dumps(stages),
                 READ_AT + timedelta(seconds=seconds)),
            )  # fmt: skip

    return add


async def _pace(database: Database, tenant: TenantFixture) -> float | None:
    async with database.transaction(tenant.access) as session:
        last = await last_after_reading(session, LONG_DOCUMENT_CHARACTERS)
        return usual_seconds_per_character(last)


async def test_it_is_that_of_the_last_long_documents(
    database: Database, tenant: TenantFixture, add_job: AddJob
) -> None:
    assert await _pace(database, tenant) is None
    add_job(100_000, 1_000)
    assert await _pace(database, tenant) == pytest.approx(1_000 / 100_000)
    for _ in range(3):
        add_job(100_000, 20, paused_seconds=40_000)
    add_job(100_000, 90)
    add_job(200_000, 20)
    assert await _pace(database, tenant) == pytest.approx(20 / 100_000)


async def test_short_documents_tell_until_a_long_one_does(
    database: Database, tenant: TenantFixture, add_job: AddJob
) -> None:
    usual = SECONDS_PER_DOCUMENT + 3_000 * SECONDS_PER_CHARACTER
    for slower in (2, 3, 40):
        add_job(3_000, usual * slower)
    assert await _pace(database, tenant) == pytest.approx(3 * SECONDS_PER_CHARACTER)
    add_job(100_000, 20)
    assert await _pace(database, tenant) == pytest.approx(20 / 100_000)


async def test_what_was_interrupted_or_not_computed_says_nothing(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, add_job: AddJob
) -> None:
    add_job(0, 9)
    add_job(100_000, 90, state="failed")
    add_job(100_000, 90, read="reused")
    add_job(100_000, 90, embed="reused")
    add_job(100_000, 90, attempts=2)
    add_job(100_000, 90, of=other_tenant)
    assert await _pace(database, tenant) is None


@pytest.mark.parametrize("state", ["running", "queued"])
async def test_it_is_looked_for_once_in_a_while_and_only_where_a_job_is_at_work(
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    add_job: AddJob,
    state: str,
) -> None:
    add_job(100_000, 20)
    add_job(100_000, 20, of=other_tenant)
    asked = []
    for each in (tenant, tenant, other_tenant):
        job = _job(each, state)
        async with database.transaction(each.access) as session:
            with statements_of(await session.connection()) as sent:
                await facts_of(session, WorkflowLinks(None, "default"), [job])
        asked.append(sum("last_job" in statement for statement, _ in sent))
    assert asked == ([1, 0, 1] if state == "running" else [0, 0, 0])


async def test_a_pace_that_was_missing_is_found_soon(
    database: Database, tenant: TenantFixture, add_job: AddJob
) -> None:
    """Else a tenant's second document would be told of as if there had been no first."""
    job = _job(tenant, "running")

    async def shown_pace() -> float | None:
        async with database.transaction(tenant.access) as session:
            (facts,) = await facts_of(session, WorkflowLinks(None, "default"), [job])
            return facts.seconds_per_character

    assert await shown_pace() is None
    add_job(100_000, 20)
    await asyncio.sleep(1.5)
    assert await shown_pace() == pytest.approx(20 / 100_000)

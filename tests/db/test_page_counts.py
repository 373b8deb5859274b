"""Pages are counted from outputs: the same whatever was retried, and soon whatever their number."""

import time
from uuid import UUID

import psycopg
import pytest

from db.models import new_id
from db.queries.stages import count_pages
from db.session import Database
from muniment.contracts.jobs import PageCounts, ReadingCounts
from tests.conftest import TenantFixture


@pytest.fixture
def job_id(postgres_dsn: str, tenant: TenantFixture) -> UUID:
    return _job(postgres_dsn, tenant)


def _job(dsn: str, tenant: TenantFixture) -> UUID:
    """A job of a file of the tenant, without outputs."""
    file_id, job_id = new_id(), new_id()
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version,"
            " media_type, degraded, revision, created_at, updated_at)"
            " VALUES (%s, %s, %s, 'a', 'processing', 1, 'text/plain', false, 1, now(), now())",
            (file_id, tenant.tenant_id, tenant.collection_id),
        )
        connection.execute(
            "INSERT INTO job (id, tenant_id, kind, file_id, workflow_id, state, pages_total,"
            " pages_done, pages_failed, pages_reused, percent, degraded, priority, event_seq,"
            " created_at) VALUES (%s, %s, 'ingest_file', %s, %s, 'running', 0, 0, 0, 0, 0, false,"
            " 3, 0, now())",
            (job_id, tenant.tenant_id, file_id, str(job_id)),
        )
    return job_id


def _put_out(dsn: str, tenant: TenantFixture, job_id: UUID, rows: str) -> None:
    """Outputs (stage, part, summary), all of one blob."""
    blob_id = new_id()
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
            " VALUES (%s, %s, 'artifact', 1, '', now())",
            (blob_id, tenant.tenant_id),
        )
        connection.execute(
            "INSERT INTO stage_output (tenant_id, job_id, stage, part, fingerprint, blob_id,"  # noqa: S608 - rows of this test's own
            f" summary) SELECT %s, %s, stage, part, '', %s, summary::jsonb FROM ({rows})"
            " AS output(stage, part, summary)",
            (tenant.tenant_id, job_id, blob_id),
        )


async def test_a_page_counts_until_its_batch_counts_for_it(
    database: Database, tenant: TenantFixture, job_id: UUID, postgres_dsn: str
) -> None:
    _put_out(
        postgres_dsn,
        tenant,
        job_id,
        """
        VALUES ('read', 1, '{"last_page": 4, "done": 3, "failed": 1, "reused": 2,
                             "ocr_settled": 2, "ocr_reused": 1, "characters": 300}'),
               ('read', 9, '{"last_page": 12, "done": 4, "failed": 0, "reused": 0}'),
               ('read_page', 1, '{"source": "ocr"}'), ('read_page', 4, '{}'),
               ('read_page', 5, '{"source": "ocr", "characters": 20}'),
               ('read_page', 8, '{}'), ('read_page', 9, '{}'), ('read_page', 13, '{}')
        """,
    )
    async with database.transaction(tenant.system) as session:
        pages, counts = await count_pages(session, job_id, total=20, ocr_total=6)
    assert pages == PageCounts(total=20, done=10, failed=1, reused=2)
    assert counts == ReadingCounts(ocr_total=6, ocr_settled=3, ocr_reused=1, characters=320)


async def test_a_job_without_outputs_has_read_nothing(
    database: Database, tenant: TenantFixture, job_id: UUID
) -> None:
    async with database.transaction(tenant.system) as session:
        counted = await count_pages(session, job_id, total=3, ocr_total=1)
    assert counted == (PageCounts(total=3), ReadingCounts(ocr_total=1))


async def test_ten_times_the_pages_are_counted_in_nothing_like_a_hundred_times_the_time(
    database: Database, tenant: TenantFixture, job_id: UUID, postgres_dsn: str
) -> None:
    smaller = _job(postgres_dsn, tenant)
    _put_out(postgres_dsn, tenant, smaller, _every_page_twice(1_000))
    _put_out(postgres_dsn, tenant, job_id, _every_page_twice(10_000))
    few = await _shortest_count(database, tenant, smaller, 1_000)
    many = await _shortest_count(database, tenant, job_id, 10_000)
    assert many < 40 * few


def _every_page_twice(pages: int) -> str:
    """By itself, and by its batch of eight."""
    return f"""
        SELECT 'read', part, format('{{"last_page": %%s, "done": 8, "failed": 0, "reused": 0}}',
                                    part + 7)
        FROM generate_series(1, {pages - 7}, 8) AS part
        UNION ALL SELECT 'read_page', part, '{{}}' FROM generate_series(1, {pages}) AS part
        """  # noqa: S608 - rows of this test's own


async def _shortest_count(
    database: Database, tenant: TenantFixture, job_id: UUID, pages: int
) -> float:
    """The seconds of the quickest of five: what others do to the machine is in none of it."""
    seconds = []
    async with database.transaction(tenant.system) as session:
        for _ in range(5):
            began = time.perf_counter()
            counted, _ = await count_pages(session, job_id, total=pages, ocr_total=0)
            seconds.append(time.perf_counter() - began)
            assert counted.done == pages
    return min(seconds)

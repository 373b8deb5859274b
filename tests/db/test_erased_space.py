"""An erasure says when PostgreSQL had removed its rows, and not before."""

import struct
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from activities.erasure.stores import COVERED_BY_KEY_DESTRUCTION, STORES
from db.models import Erasure, File, Job, new_id
from db.queries import erased_space
from db.queries.erasure import blank_file, finish_erasure
from db.session import Database
from muniment.contracts.erase_file import EraseFileInput
from tests.conftest import TenantFixture
from tests.worker.jobs import commit_job
from worker.erased_space import ErasedSpace

CANARY = "the vermilion almanac"
PAGE_BYTES, HEADER_BYTES = 8192, 24


@pytest.fixture
def connect(application_dsn: str) -> Callable[[], Database]:
    return lambda: Database(application_dsn, pool_size=1, statement_timeout_seconds=600)


async def erase(database: Database, tenant: TenantFixture) -> UUID:
    """A file that had a name and has none any more, as a finished erasure leaves it; the erasure's id."""
    file_id = (await commit_job(database, tenant, startable=False)).file_id
    request = EraseFileInput(tenant_id=tenant.tenant_id, file_id=file_id, job_id=new_id())
    async with database.transaction(tenant.system) as session:
        (await session.get_one(File, file_id)).name = CANARY
        session.add(
            Job(
                id=request.job_id,
                tenant_id=tenant.tenant_id,
                kind="erase_file",
                file_id=file_id,
                workflow_id=f"erase-{file_id}",
                state="running",
            )
        )
        await session.flush()
        made = Erasure(
            tenant_id=tenant.tenant_id, file_id=file_id, job_id=request.job_id, state="executing"
        )
        session.add(made)
    async with database.transaction(tenant.system) as session:
        await blank_file(session, file_id)
        await finish_erasure(session, request)
    return made.id


def is_in_a_page(dsn: str) -> bool:
    """Whether a row of the table of files has the words, one that was deleted included."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        found = connection.execute(
            "SELECT pg_read_binary_file(pg_relation_filepath('file'))"
        ).fetchone()
    assert found is not None
    pages = bytes(found[0])
    return any(
        CANARY.encode() in item
        for start in range(0, len(pages), PAGE_BYTES)
        for item in items(pages[start : start + PAGE_BYTES])
    )


def items(page: bytes) -> Iterator[bytes]:
    """The rows that a page has, deleted ones until they are vacuumed: what its line pointers name, as
    PostgreSQL's storage/bufpage.h and storage/itemid.h have it."""
    [end_of_pointers] = struct.unpack_from("<H", page, 12)
    for place in range(HEADER_BYTES, end_of_pointers, 4):
        [pointer] = struct.unpack_from("<I", page, place)
        offset, length = pointer & 0x7FFF, pointer >> 17
        yield page[offset : offset + length]


async def vacuumed_at(database: Database, tenant: TenantFixture, erasure_id: UUID) -> object:
    async with database.transaction(tenant.system) as session:
        return (await session.get_one(Erasure, erasure_id)).vacuumed_at


async def test_an_erasure_is_vacuumed_once_its_rows_are_in_no_page(
    database: Database, tenant: TenantFixture, postgres_dsn: str, connect: Callable[[], Database]
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("ALTER TABLE file SET (autovacuum_enabled = false)")
    erasure_id = await erase(database, tenant)
    assert is_in_a_page(postgres_dsn), "else what follows could not fail"
    assert await vacuumed_at(database, tenant, erasure_id) is None
    space = ErasedSpace(database, connect, 1)
    assert await space.round() >= 1
    assert not is_in_a_page(postgres_dsn)
    assert await vacuumed_at(database, tenant, erasure_id) is not None
    assert await space.round() == 0
    async with database.transaction(tenant.system) as session:
        told = await session.scalar(
            text(
                "SELECT count(*) FROM audit_event WHERE action = 'file.erasure_vacuumed'"
                " AND payload ->> 'erasure_id' = :id"
            ),
            {"id": str(erasure_id)},
        )
    assert told == 1


async def test_nothing_is_noted_while_somebody_may_still_see_the_rows(
    database: Database, tenant: TenantFixture, postgres_dsn: str, connect: Callable[[], Database]
) -> None:
    space = ErasedSpace(database, connect, 1)
    with psycopg.connect(postgres_dsn) as reading:
        reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        reading.execute("SELECT count(*) FROM file")
        erasure_id = await erase(database, tenant)
        await space.round()
        assert await vacuumed_at(database, tenant, erasure_id) is None
    assert await space.round() >= 1
    assert await vacuumed_at(database, tenant, erasure_id) is not None


async def test_one_worker_vacuums_at_a_time(
    database: Database, tenant: TenantFixture, connect: Callable[[], Database]
) -> None:
    erasure_id = await erase(database, tenant)
    other = connect()
    async with other.one_statement() as session:
        assert await erased_space.take_turn(session)
        assert await ErasedSpace(database, connect, 1).round() == 0
    await other.close()
    assert await vacuumed_at(database, tenant, erasure_id) is None
    assert await ErasedSpace(database, connect, 1).round() >= 1


async def test_what_another_cluster_numbered_is_noted(
    database: Database, tenant: TenantFixture, postgres_dsn: str, connect: Callable[[], Database]
) -> None:
    erasure_id = await erase(database, tenant)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE erasure SET finished_x = (finished_x::text::bigint + 1000000000)::text::xid8"
            " WHERE id = %s",
            (erasure_id,),
        )
    assert await ErasedSpace(database, connect, 1).round() >= 1
    assert await vacuumed_at(database, tenant, erasure_id) is not None


def test_all_that_erasures_take_rows_from_is_vacuumed() -> None:
    registered = {table for store in STORES for table in store.tables}
    assert set(erased_space.TABLES) == registered | COVERED_BY_KEY_DESTRUCTION

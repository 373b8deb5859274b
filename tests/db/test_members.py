"""What came out of a file is found whole, though members are added while their rows are waited for."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from db.ingestions import Origin, new_comparison, new_ingestion
from db.models import FileVersion, Job, new_id
from db.queries.members import find_member, lock_descendants, lock_file
from db.session import Database
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import ReadingCandidate
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine

_FILE = (
    "INSERT INTO file (id, tenant_id, collection_id, parent_id, root_id, name, state,"
    " current_version, media_type, degraded, revision, created_at, updated_at)"
    " VALUES (%s, %s, %s, %s, %s, 'a', 'ready', 1, 'text/plain', false, 1, now(), now())"
)


def add_file(
    connection: psycopg.Connection, tenant: TenantFixture, parent: UUID | None, root: UUID | None
) -> UUID:
    file_id = new_id()
    connection.execute(_FILE, (file_id, tenant.tenant_id, tenant.collection_id, parent, root))
    return file_id


async def until_waiting(dsn: str) -> None:
    """Returns once a connection of this database waits for a lock."""
    async with (
        asyncio.timeout(on_a_busy_machine(10)),
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
    ):
        waiting = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while (await (await connection.execute(waiting)).fetchone()) == (0,):  # noqa: ASYNC110 - the database is asked
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("depth", [1, 2])
async def test_members_added_while_their_container_is_waited_for_are_found(
    database: Database, tenant: TenantFixture, postgres_dsn: str, depth: int
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        root = parent = add_file(connection, tenant, None, None)
        above = [parent := add_file(connection, tenant, parent, root) for _ in range(depth)]

    async def locked() -> list[UUID]:
        async with database.transaction(tenant.access) as session:
            await lock_file(session, root)
            return [file.id for file in await lock_descendants(session, root, "write")]

    with psycopg.connect(postgres_dsn) as unpacking:
        unpacking.execute("SELECT 1 FROM file WHERE id = %s FOR UPDATE", (parent,))
        locking = asyncio.create_task(locked())
        await until_waiting(postgres_dsn)
        late = add_file(unpacking, tenant, parent, root)
    assert await locking == sorted([*above, late])


def add_version(
    connection: psycopg.Connection, tenant: TenantFixture, file_id: UUID, number: int = 1
) -> UUID:
    version_id, blob_id = new_id(), new_id()
    connection.execute(
        "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
        " VALUES (%s, %s, 'content', 1, '', now())",
        (blob_id, tenant.tenant_id),
    )
    connection.execute(
        "INSERT INTO file_version (id, tenant_id, file_id, number, blob_id, name, size, sha256,"
        " declared_media_type, created_at) VALUES (%s, %s, %s, %s, %s, 'a', 1, '', 'text/plain', now())",
        (version_id, tenant.tenant_id, file_id, number, blob_id),
    )
    return version_id


async def test_a_comparison_of_a_member_is_not_taken_for_its_ingestion(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        container = add_file(connection, tenant, None, None)
        container_version = add_version(connection, tenant, container)
        member = add_file(connection, tenant, container, container)
        member_version = add_version(connection, tenant, member)
        connection.execute(
            "UPDATE file SET parent_version_id = %s, member_ordinal = 0 WHERE id = %s",
            (container_version, member),
        )
    origin = Origin(tenant.tenant_id, None)
    async with database.transaction(tenant.access) as session:
        ingestion = new_ingestion(origin, await session.get_one(FileVersion, member_version))
        session.add(ingestion)
        await session.flush()
        session.add(new_comparison(origin, _reference(ingestion), ReadingCandidate(), first=True))
        await session.flush()
        found = await find_member(session, container_version, 0)
        assert found is not None
        assert found.job is not None
        assert found.job.id == ingestion.id


def _reference(job: Job) -> VersionReference:
    assert job.version_id is not None
    return VersionReference(
        tenant_id=job.tenant_id, file_id=job.file_id, version_id=job.version_id, job_id=job.id
    )

"""Two versions of one file that are published at once: the later one is what readers see."""

import asyncio

import psycopg

from db.models import new_id
from db.queries.publish import PublishTarget, lock_target
from db.session import Database
from muniment.contracts.base import VersionReference
from tests.conftest import TenantFixture
from tests.db.test_members import add_file, add_version, until_waiting


async def test_a_version_that_waited_for_a_later_one_to_be_published_is_not_the_newest(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        file_id = add_file(connection, tenant, None, None)
        first, second = [
            add_version(connection, tenant, file_id, number=number) for number in (1, 2)
        ]
    reference = VersionReference(
        tenant_id=tenant.tenant_id, file_id=file_id, version_id=first, job_id=new_id()
    )

    async def locked() -> PublishTarget | None:
        async with database.transaction(tenant.system) as session:
            return await lock_target(session, reference)

    with psycopg.connect(postgres_dsn) as publishing:
        publishing.execute("SELECT 1 FROM file WHERE id = %s FOR UPDATE", (file_id,))
        locking = asyncio.create_task(locked())
        await until_waiting(postgres_dsn)
        publishing.execute("UPDATE file_version SET published_at = now() WHERE id = %s", (second,))
        publishing.execute("UPDATE file SET current_version = 2 WHERE id = %s", (file_id,))
    target = await locking
    assert target is not None
    assert not target.is_newest

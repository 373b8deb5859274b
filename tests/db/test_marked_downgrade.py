"""A release that knows no marked copies hands out nothing by links that were made for them."""

from datetime import timedelta

import psycopg

from db.migrate import migrate
from db.models import ShareLink, new_id, now
from db.session import Database
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of
from tests.worker.jobs import commit_job


async def test_links_to_marked_copies_are_revoked_by_a_downgrade_and_no_others(
    owner_dsn: str,
) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    job = await commit_job(database, tenant, startable=True)
    marked, plain = [
        ShareLink(
            tenant_id=tenant.tenant_id,
            file_id=job.file_id,
            created_by=tenant.principal_id,
            token_hash=new_id().bytes,
            session_key=b"key",
            watermark=watermark,
            expires_at=now() + timedelta(days=1),
        )
        for watermark in (True, False)
    ]
    only = marked.id
    async with database.transaction(tenant.system) as session:
        session.add_all([marked, plain])
    await database.close()
    while revision_of(owner_dsn) != "0055":
        migrate(owner_dsn, "-1")
    migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        revoked = connection.execute(
            "SELECT id FROM share_link WHERE revoked_at IS NOT NULL"
        ).fetchall()
    assert revoked == [(only,)]

"""Quotas where no request is refused: members of archives, imported objects, pages to be read."""

from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from temporalio.client import WorkflowFailureError

from db.models import Job
from db.queries.quotas import Amounts, Quota, standing_of
from db.quotas import set_quota
from db.session import Access
from muniment.contracts.jobs import JobState
from muniment.errors import DatabaseUnavailable
from muniment.objects.importing import FolderImportSource
from tests.workflows.documents import TEXT, text_pdf
from tests.workflows.test_import_batch import Importing, write
from tests.workflows.test_members import ingested, members, zipped
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


def allow(postgres_dsn: str, owner: TenantIds, quota: Quota) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT name FROM tenant WHERE id = %s", (owner.tenant_id,)
        ).fetchone()
    assert row is not None
    set_quota(postgres_dsn, row[0], quota)


async def used(workshop: Workshop, owner: TenantIds) -> Amounts:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        return (await standing_of(session, Quota())).used


async def finished(workshop: Workshop, job: Job) -> Job:
    async with workshop.working():
        handle = await workshop.start(job)
        with suppress(WorkflowFailureError):
            await handle.result()
    return await workshop.job(job)


async def test_members_without_room_are_left_out_and_a_retry_brings_them(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    allow(postgres_dsn, owner, Quota(max_files=3))
    content = zipped({f"{number}.txt": TEXT + bytes([number + 65]) for number in range(4)})
    job = await ingested(workshop, owner, content, "four.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, True)
    assert len(await members(workshop, job)) == 2
    assert (await used(workshop, owner)).files == 3
    with psycopg.connect(postgres_dsn) as connection:
        named = connection.execute(
            "SELECT count(*) FROM blob WHERE tenant_id = %s AND kind = 'content'",
            (owner.tenant_id,),
        ).fetchone()
    assert named == (3,), "nothing stays of what was refused"
    allow(postgres_dsn, owner, Quota())
    again = await finished(workshop, await workshop.retry(job))
    assert (again.state, again.degraded) == (JobState.COMPLETED, False)
    assert len(await members(workshop, job)) == 4


async def test_a_document_of_more_pages_than_are_left_is_not_read(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    allow(postgres_dsn, owner, Quota(max_pages=4))
    first = await ingested(workshop, owner, text_pdf(["one", "two", "three"]), "three.pdf")
    assert first.state == JobState.COMPLETED
    assert (await used(workshop, owner)).pages == 3
    upload = await workshop.upload(owner, text_pdf(["a", "b"]), "two.pdf", "application/pdf")
    refused = await finished(workshop, upload)
    assert refused.state == JobState.FAILED
    assert refused.error is not None
    assert refused.error["type"] == "urn:muniment:problem:quota-exceeded"
    assert refused.error["detail"] == "the tenant keeps 3 of 4 pages, and this needs 2 more"
    assert (await used(workshop, owner)).pages == 3
    allow(postgres_dsn, owner, Quota(max_pages=5))
    healed = await finished(workshop, await workshop.retry(refused))
    assert healed.state == JobState.COMPLETED
    # What was counted counts once, however often it is read.
    again = await finished(workshop, await workshop.retry(healed))
    assert again.state == JobState.COMPLETED
    assert (await used(workshop, owner)).pages == 5


async def test_objects_without_room_are_left_out_and_named(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    allow(postgres_dsn, owner, Quota(max_bytes=40))
    root = write(tmp_path, "a.txt", "b.txt")  # 15 bytes each
    (root / "large.txt").write_bytes(b"x" * 41)
    importing = Importing(workshop, owner, FolderImportSource(root))
    batch = await importing.run()
    assert await importing.left_out(batch) == {"large.txt": "quota-exceeded"}
    assert (await used(workshop, owner)).bytes == 30
    # What is there already needs no room, and another batch brings what has room by then.
    allow(postgres_dsn, owner, Quota(max_bytes=30, max_files=2))
    again = await importing.run()
    assert await importing.left_out(again) == {"large.txt": "quota-exceeded"}
    assert (await importing.counts(again)).done == 2
    allow(postgres_dsn, owner, Quota())
    assert await importing.left_out(await importing.run()) == {}
    assert (await used(workshop, owner)).bytes == 71


async def test_content_stays_when_a_commit_fails(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    """Whoever gets no answer to a COMMIT does not know whether it happened."""
    refuse = f"""
        CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused at the commit' USING ERRCODE = '57P01'; END $$;
        CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON file DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.tenant_id = '{owner.tenant_id}')
            EXECUTE FUNCTION refuse_commit();
    """
    importing = Importing(workshop, owner, FolderImportSource(write(tmp_path, "a.txt")))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(refuse)
        try:
            batch = await importing.add()
            await importing.activities._list(batch)
            with pytest.raises(DatabaseUnavailable):
                await importing.activities._take_in(batch, 1)
        finally:
            connection.execute("DROP TRIGGER refused ON file; DROP FUNCTION refuse_commit()")
    stored = (workshop.settings.objects.root / str(owner.tenant_id)).rglob("*")
    assert len([path for path in stored if path.is_file()]) == 1

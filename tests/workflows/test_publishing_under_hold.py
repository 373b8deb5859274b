"""Jobs that somebody asked for before a hold, and that come to publish after it: what readers see of a held
file stays as it is, and the job says why."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from db.models import Job
from db.queries.preservation import lock_holds
from db.session import Access
from muniment.contracts.jobs import JobSettings
from muniment.contracts.publish import PublishInput, PublishResult
from tests.patience import on_a_busy_machine
from tests.workflows.documents import TEXT
from tests.workflows.test_legal_holds import place, release
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANEW = JobSettings(chunk_tokens=64)
"""With these the text is cut otherwise."""
_SEEN = {
    "file": "SELECT * FROM file WHERE id = :file_id",
    # When it was scanned last is about the scanner.
    "version": "SELECT to_jsonb(file_version) - 'scanned_at' AS version FROM file_version"
    " WHERE file_id = :file_id AND published_at IS NOT NULL",
    "chunk": "SELECT * FROM chunk WHERE file_id = :file_id ORDER BY ordinal",
    "page": "SELECT page.* FROM page JOIN file_version ON file_version.id = version_id"
    " WHERE file_id = :file_id ORDER BY version_id, page",
    "page_layer": "SELECT page_layer.* FROM page_layer JOIN file_version"
    " ON file_version.id = version_id WHERE file_id = :file_id ORDER BY version_id, page",
    "finding": "SELECT finding.* FROM finding JOIN file_version ON file_version.id = version_id"
    " WHERE file_id = :file_id ORDER BY finding.id",
}


async def test_what_was_queued_before_a_hold_changes_nothing_after_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    first = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working():
        await (await workshop.start(first)).result()
        anew = await workshop.retry(first, ANEW)
        following = await workshop.new_version(owner, first, TEXT + b"\nAnd more of it.")
        before = await _seen(workshop, first)
        assert before["chunk"]
        hold = await place(workshop, owner, first.file_id)
        for job in (anew, following):
            await _require_refused(workshop, job)
            assert await _seen(workshop, first) == before
        await release(workshop, hold)
        await (await workshop.start(await workshop.retry(following))).result()
    assert (await workshop.file(first)).current_version == 2


async def test_a_hold_that_is_being_placed_is_waited_for(
    workshop: Workshop, owner: TenantIds
) -> None:
    first = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working():
        await (await workshop.start(first)).result()
        before = await _seen(workshop, first)
        anew = await workshop.retry(first, ANEW)
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await lock_holds(session)
            refused = asyncio.create_task(_require_refused(workshop, anew))
            await _until_it_asks(workshop, owner)
            collection = {"id": owner.collection_id, "owner": owner.principal_id}
            for statement in _HOLD_THE_COLLECTION:
                await session.execute(text(statement), collection)
        await refused
        assert await _seen(workshop, first) == before


async def test_what_nobody_read_yet_is_read_under_a_hold(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    await place(workshop, owner, job.file_id)
    async with workshop.working():
        await (await workshop.start(job)).result()
    assert (await workshop.file(job)).state == "ready"


async def test_of_several_versions_that_nobody_read_the_first_to_publish_stays(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    following = await workshop.new_version(owner, job, TEXT + b"\nAnd more of it.")
    await place(workshop, owner, job.file_id)
    async with workshop.working():
        await (await workshop.start(following)).result()
        before = await _seen(workshop, job)
        await _require_refused(workshop, job)
    assert await _seen(workshop, job) == before
    file = await workshop.file(job)
    assert (file.state, file.current_version) == ("ready", 2)


async def test_a_first_publication_whose_end_was_lost_is_no_second_one(
    workshop: Workshop, owner: TenantIds
) -> None:
    """As by a worker that is killed behind its commit: ids, times and revision are those of its first end."""
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    await place(workshop, owner, job.file_id)
    published = next(
        each for each in workshop.parts.io_activities() if each.__name__ == "publish_version"
    )

    after = list[dict[str, list[dict[str, object]]]]()

    @activity.defn(name="publish_version")
    async def lost(request: PublishInput) -> PublishResult:
        result: PublishResult = await published(request)
        after.append(await _seen(workshop, job))
        if activity.info().attempt == 1:
            raise ApplicationError("lost", type="lost")
        return result

    async with workshop.working(replacing=[lost]):
        await (await workshop.start(job)).result()
    assert (await workshop.job(job)).state == "completed"
    first, second = after
    assert first["chunk"]
    assert second == first


_HOLD_THE_COLLECTION = (
    "INSERT INTO legal_hold (id, tenant_id, matter, placed_by, cooling_off_days, reminder_days,"
    " review_days, created_at, reviewed_at)"
    " VALUES (:id, current_tenant(), 'Harbour v. Quay', :owner, 0, 7, 1, now(), now())",
    "INSERT INTO legal_hold_item (id, tenant_id, hold_id, kind, collection_id, added_by, created_at)"
    " VALUES (:id, current_tenant(), :id, 'collection', :id, :owner, now())",
)


async def _require_refused(workshop: Workshop, job: Job) -> None:
    """It ends as failed, and says why and what to do."""
    with pytest.raises(WorkflowFailureError):
        await (await workshop.start(job)).result()
    ended = await workshop.job(job)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["type"] == "urn:muniment:problem:preserved"
    assert "Retry the job" in str(ended.error["remedy"])


async def _seen(workshop: Workshop, job: Job) -> dict[str, list[dict[str, object]]]:
    """All that readers see of the job's file."""
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = {}
        for name, statement in _SEEN.items():
            rows = await session.execute(text(statement), {"file_id": job.file_id})
            found[name] = [dict(row) for row in rows.mappings()]
    return found


async def _until_it_asks(workshop: Workshop, owner: TenantIds) -> None:
    """Until somebody waits for the tenant's lock of holds."""
    async with asyncio.timeout(on_a_busy_machine(60)):
        while True:
            if await _waiting(workshop, owner.tenant_id):
                return
            await asyncio.sleep(0.05)


async def _waiting(workshop: Workshop, tenant_id: UUID) -> bool:
    async with workshop.database.transaction(Access(tenant_id)) as session:
        found = await session.execute(
            text(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND mode = 'ShareLock' AND (classid::bigint << 32) | objid::bigint"
                " = hashtextextended('legal_hold:' || current_tenant()::text, 0))"
            )
        )
        return bool(found.scalar_one())

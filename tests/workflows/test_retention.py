"""Retention beside erasures: a lock that comes before the point of no return is waited for."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.erasure.activity import Erasure as ErasureActivities
from activities.erasure.ledger import ErasureLedger
from activities.erasure.stores import STORES
from db.models import FileAccess, RetentionLock, now
from db.queries.preservation import lock_holds
from db.session import Access
from muniment.contracts.erase_file import ErasureStep
from muniment.contracts.failures import FILE_HELD
from muniment.contracts.retention import LockMode
from tests.workflows.documents import TEXT
from tests.workflows.test_legal_holds import _uncommitted_erasure
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_erasure_waits_for_a_lock_and_then_forgets_who_asked_for_the_file(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    ordered = await _uncommitted_erasure(workshop, job)
    ledger = ErasureLedger(workshop.stores.erasure_ledger)
    erasure = ErasureActivities(workshop.database, workshop.stores.blobs, ledger)
    run = ActivityEnvironment().run
    await run(erasure.plan_erasure, ordered)
    ids = {"file_id": job.file_id, "tenant_id": owner.tenant_id}
    lock = RetentionLock(
        **ids,
        mode=LockMode.GOVERNANCE,
        retain_until=now() + timedelta(days=1),
        placed_by=owner.principal_id,
    )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await lock_holds(session)
        session.add_all([lock, FileAccess(**ids)])
    step = ErasureStep(request=ordered, store=STORES[0].name)
    with pytest.raises(ApplicationError) as failed:
        await run(erasure.erase_from_store, step)
    assert failed.value.type == FILE_HELD
    assert (await run(erasure.hold_erasure, ordered)).is_held
    assert (await workshop.file(job)).state == "restricted"
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE retention_lock SET retain_until = now() WHERE file_id = :file_id"), ids
        )
    assert not (await run(erasure.hold_erasure, ordered)).is_held
    for store in STORES:
        await run(erasure.erase_from_store, ErasureStep(request=ordered, store=store.name))
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        assert await session.get(FileAccess, job.file_id) is None
        assert await session.get(RetentionLock, job.file_id) is not None

"""Holds beside erasures: whichever comes first, what is held is there; and a matter from its placing to
the end of its cooling-off."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.erasure.activity import Erasure as ErasureActivities
from activities.erasure.ledger import ErasureLedger
from activities.erasure.stores import STORES
from activities.legal_holds.activity import REVIEW_AGAIN, attend
from db.models import Job, LegalHold, LegalHoldCustodian, LegalHoldItem, now
from db.queries import legal_holds
from db.queries.preservation import lock_holds, standing_preservations
from db.queries.preservation_kinds import GuardedAct
from db.session import Access
from muniment.contracts.attend_hold import LegalHoldInput, workflow_id
from muniment.contracts.erase_file import EraseFileInput, ErasureStep
from muniment.contracts.failures import FILE_HELD
from tests.workflows.documents import TEXT
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.workshop import TenantIds, Workshop
from workflows.starting import start_hold

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY = timedelta(days=1)


async def place(
    workshop: Workshop,
    owner: TenantIds,
    file_id: UUID | None,
    terms: dict[str, object] | None = None,
) -> LegalHold:
    """As the API does. Its custodian is the owner."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await lock_holds(session)
        hold = LegalHold(
            tenant_id=owner.tenant_id,
            matter="Harbour v. Quay",
            placed_by=owner.principal_id,
            cooling_off_days=0,
            reminder_days=7,
            review_days=1,
        )
        session.add(hold)
        await session.flush()
        item = LegalHoldItem(
            tenant_id=owner.tenant_id,
            hold_id=hold.id,
            kind="file" if file_id else "query",
            file_id=file_id,
            terms=terms,
            added_by=owner.principal_id,
        )
        custodian = LegalHoldCustodian(
            hold_id=hold.id, principal_id=owner.principal_id, tenant_id=owner.tenant_id
        )
        session.add_all([item, custodian])
        await session.flush()
        await legal_holds.write_down_files(session, item)
    return hold


async def release(workshop: Workshop, hold: LegalHold) -> None:
    async with workshop.database.transaction(Access(hold.tenant_id)) as session:
        await lock_holds(session)
        row = await session.get_one(LegalHold, hold.id)
        row.released_at = row.cooling_ends_at = now()
        row.released_by = hold.placed_by


async def attended(workshop: Workshop, hold: LegalHold) -> WorkflowHandle[object, object]:
    """Told to look; its workflow."""
    request = LegalHoldInput(tenant_id=hold.tenant_id, hold_id=hold.id)
    await start_hold(workshop.client, request)
    return workshop.client.get_workflow_handle(workflow_id(hold.id))


async def _state_of_erasure(workshop: Workshop, job: Job) -> str:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.execute(
            text("SELECT state FROM erasure WHERE file_id = :id"), {"id": job.file_id}
        )
        return str(found.scalar_one())


async def held_and_released(
    workshop: Workshop, owner: TenantIds
) -> tuple[WorkflowHandle[object, object], WorkflowHandle[object, object]]:
    """An erasure that waited for a hold's end, and the hold; both workflows are over."""
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working():
        await (await workshop.start(job)).result()
        hold = await place(workshop, owner, job.file_id)
        erasure = await order_erasure(workshop, job)
        await workshop.until(erasure, "waiting")
        assert (await workshop.file(job)).state == "restricted"
        assert await _state_of_erasure(workshop, job) == "held"
        await _require_whole(workshop, owner, job)
        await attended(workshop, hold)
        await release(workshop, hold)
        matter = await attended(workshop, hold)
        erasing = workshop.client.get_workflow_handle(erasure.workflow_id)
        await erasing.result()
        await matter.result()
    assert (await workshop.file(job)).state == "erased"
    assert await _state_of_erasure(workshop, job) == "completed"
    return erasing, matter


async def _require_whole(workshop: Workshop, owner: TenantIds, job: Job) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        blob_id = (
            await session.execute(
                text("SELECT blob_id FROM file_version WHERE file_id = :id"), {"id": job.file_id}
            )
        ).scalar_one()
    assert await workshop.stores.blobs.read_all(owner.tenant_id, blob_id) == TEXT


async def test_an_erasure_waits_for_the_end_of_a_hold_and_then_goes_on(
    workshop: Workshop, owner: TenantIds
) -> None:
    await held_and_released(workshop, owner)


async def test_a_hold_stops_an_erasure_until_the_keys_are_destroyed_and_no_longer(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    async with workshop.working():
        await (await workshop.start(job)).result()
    ordered = await _uncommitted_erasure(workshop, job)
    ledger = ErasureLedger(workshop.stores.erasure_ledger)
    erasure = ErasureActivities(workshop.database, workshop.stores.blobs, ledger)
    run = ActivityEnvironment().run
    await run(erasure.plan_erasure, ordered)
    await run(erasure.erase_from_store, ErasureStep(request=ordered, store=STORES[0].name))
    hold = await place(workshop, owner, job.file_id)
    for stopped in (
        run(erasure.erase_from_store, ErasureStep(request=ordered, store=STORES[1].name)),
        run(erasure.destroy_unreferenced_keys, ordered),
        run(erasure.plan_erasure, ordered),
    ):
        with pytest.raises(ApplicationError) as failed:
            await stopped
        assert failed.value.type == FILE_HELD
    assert (await run(erasure.hold_erasure, ordered)).is_held
    assert (await run(erasure.hold_erasure, ordered)).is_held
    assert (await workshop.file(job)).state == "restricted"
    await _require_whole(workshop, owner, job)
    await release(workshop, hold)
    assert not (await run(erasure.hold_erasure, ordered)).is_held
    await run(erasure.plan_erasure, ordered)
    final = next(n for n, store in enumerate(STORES) if not store.can_be_rebuilt)
    for store in STORES[: final + 1]:
        assert await _state_of_erasure(workshop, job) == "executing"
        assert (await workshop.file(job)).name == "letter to the mayor.txt"
        await run(erasure.erase_from_store, ErasureStep(request=ordered, store=store.name))
    # Too late: what is destroyed is not half kept.
    await place(workshop, owner, job.file_id)
    for store in STORES[final + 1 :]:
        assert not store.can_be_rebuilt
        await run(erasure.erase_from_store, ErasureStep(request=ordered, store=store.name))
    await run(erasure.destroy_unreferenced_keys, ordered)
    await run(erasure.finish_erasure, ordered)
    assert (await workshop.file(job)).state == "erased"


async def _uncommitted_erasure(workshop: Workshop, job: Job) -> EraseFileInput:
    """Its job is there, and no workflow was started."""
    erasure_job = Job(
        tenant_id=job.tenant_id,
        kind="erase_file",
        file_id=job.file_id,
        workflow_id=f"erase-{job.file_id}",
        state="queued",
    )
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        session.add(erasure_job)
    return EraseFileInput(tenant_id=job.tenant_id, file_id=job.file_id, job_id=erasure_job.id)


async def test_custodians_are_told_and_reminded_and_what_fits_later_is_written_down(
    workshop: Workshop, owner: TenantIds
) -> None:
    hold = await place(workshop, owner, None, {"name_contains": "LETTER"})
    job = await workshop.upload(owner, TEXT, "letter to the mayor.txt")
    access = Access(owner.tenant_id)
    start = now()
    told: list[tuple[bool, int, int]] = []
    for days in (0, 0, 1, 7, 8, 14):
        async with workshop.database.transaction(access) as session:
            due = await attend(session, hold.id, start + days * DAY)
            (custodian,) = await legal_holds.custodians_of(session, [hold.id])
            counts = await legal_holds.count_files(session, [hold.id])
            assert 0 < due.wait_seconds <= DAY.total_seconds()
            told.append(
                (custodian.notified_at is not None, custodian.reminders, counts.get(hold.id, 0))
            )
    assert told == [
        (True, 0, 0), (True, 0, 0), (True, 0, 1), (True, 1, 1), (True, 1, 1), (True, 2, 1)
    ]  # fmt: skip
    async with workshop.database.transaction(access) as session:
        (custodian,) = await legal_holds.custodians_of(session, [hold.id])
        custodian.acknowledged_at = start
        await session.flush()
        await attend(session, hold.id, start + 100 * DAY)
        assert custodian.reminders == 2
    assert (await workshop.file(job)).state == "received"


async def test_a_review_that_others_let_nobody_get_to_keeps_no_notice_back(
    workshop: Workshop, owner: TenantIds
) -> None:
    hold = await place(workshop, owner, None, {"name_contains": "LETTER"})
    access, tomorrow = Access(owner.tenant_id), now() + DAY
    async with workshop.database.transaction(access) as busy:
        await standing_preservations(busy, (), GuardedAct.DELETION)
        async with workshop.database.transaction(access) as session:
            due = await attend(session, hold.id, tomorrow)
            (custodian,) = await legal_holds.custodians_of(session, [hold.id])
            assert custodian.notified_at == tomorrow
            assert due.wait_seconds == REVIEW_AGAIN.total_seconds()
        assert await _reviews(workshop, hold) == 0
    async with workshop.database.transaction(access) as session:
        await attend(session, hold.id, tomorrow + REVIEW_AGAIN)
    assert await _reviews(workshop, hold) == 1


async def test_two_looks_at_once_review_once(workshop: Workshop, owner: TenantIds) -> None:
    """As one whose attempt timed out and goes on beside the next."""
    hold = await place(workshop, owner, None, {"name_contains": "LETTER"})
    access, tomorrow = Access(owner.tenant_id), now() + DAY

    async def look() -> None:
        async with workshop.database.transaction(access) as session:
            await attend(session, hold.id, tomorrow)

    async with asyncio.TaskGroup() as looks, workshop.database.transaction(access) as busy:
        await standing_preservations(busy, (), GuardedAct.DELETION)
        for _ in range(2):
            looks.create_task(look())
        # Both have asked by then whether a review is due.
        await asyncio.sleep(1)
    assert await _reviews(workshop, hold) == 1


async def _reviews(workshop: Workshop, hold: LegalHold) -> int:
    async with workshop.database.transaction(Access(hold.tenant_id)) as session:
        found = await session.execute(
            text(
                "SELECT count(*) FROM audit_event"
                " WHERE object_id = :id AND action = 'legal_hold.reviewed'"
            ),
            {"id": hold.id},
        )
        return int(found.scalar_one())


async def test_a_hold_whose_workflow_nobody_started_is_found(
    workshop: Workshop, owner: TenantIds
) -> None:
    hold = await place(workshop, owner, None, {"label": "x"})
    async with workshop.database.across_tenants() as session:
        found = await legal_holds.unstarted(session, timedelta(0))
    assert hold.id in {each.hold_id for each in found}
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await attend(session, hold.id, now())
    async with workshop.database.across_tenants() as session:
        found = await legal_holds.unstarted(session, timedelta(0))
    assert hold.id not in {each.hold_id for each in found}

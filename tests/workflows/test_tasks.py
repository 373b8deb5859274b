"""What really waits for people is a task until it is decided, and its reminders come once in an interval."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlmodel import col
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.testing import ActivityEnvironment

from activities.tasks import activity as reminding
from activities.tasks.activity import ReminderPolicy, TaskReminders, remind
from db.models import Erasure, LegalHold, Webhook, now
from db.queries import tasks
from db.queries.tasks import MAX_REMINDERS, Task, TaskFilter
from db.session import Access
from muniment.api_keys import ALL_SCOPES
from muniment.contracts import queues
from muniment.contracts.findings import FindingAct
from muniment.contracts.ingest_file import DecisionRequest
from muniment.contracts.remind_tasks import WORKFLOW, RemindTasksInput, schedule_id
from muniment.contracts.tasks import TaskKind, task_id
from muniment.settings import TaskSettings
from tests.patience import on_a_busy_machine
from tests.workflows.documents import TEXT
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_finding_policies import LETTER, policy
from tests.workflows.test_legal_holds import attended, place, release
from tests.workflows.test_messages import find_malware
from tests.workflows.workshop import TenantIds, Workshop
from worker.attending import reminder_policy
from worker.tenant_schedules import REMINDERS, TenantSchedules
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY = timedelta(days=1)
SETTINGS = TaskSettings()
ONLY = (queues.WORKFLOWS,)


async def listed(workshop: Workshop, owner: TenantIds, as_of: datetime | None = None) -> list[Task]:
    """What the owner sees, who may everything."""
    view = tasks.view_of(
        frozenset(ALL_SCOPES), owner.principal_id, SETTINGS.due_days, as_of or now()
    )
    access = Access(owner.tenant_id, owner.principal_id)
    async with workshop.database.transaction(access) as session:
        return await tasks.list_tasks(session, view, TaskFilter(), limit=100)


async def ids(workshop: Workshop, owner: TenantIds) -> list[str]:
    return [task.id for task in await listed(workshop, owner)]


async def details(handle: WorkflowHandle[object, object]) -> str:
    """As Temporal's UI shows them."""
    found = await handle.query("__temporal_workflow_metadata")
    return str(found)


async def test_a_file_in_quarantine_is_a_task_until_it_is_decided(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    name = task_id(TaskKind.QUARANTINE, job.id)
    async with workshop.working(replacing=[find_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        (task,) = await listed(workshop, owner)
        assert (task.id, task.file_id) == (name, job.file_id)
        assert timedelta(0) <= now() - task.since < DAY
        assert task.due_at - task.since == SETTINGS.quarantine_days * DAY
        assert name in await details(handle)
        # A decision that nobody wrote down decides nothing, and the task stays.
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(
                IngestFile.release, DecisionRequest(decision_id=owner.tenant_id)
            )
        assert await ids(workshop, owner) == [name]
        decision = await workshop.decide(owner, job, "release")
        # Before its workflow has heard of it.
        assert await ids(workshop, owner) == []
        await handle.execute_update(IngestFile.release, DecisionRequest(decision_id=decision))
        await handle.result()
        assert name not in await details(handle)
    assert await ids(workshop, owner) == []


async def test_findings_that_are_held_are_a_task_of_their_own_after_the_scans(
    workshop: Workshop, owner: TenantIds
) -> None:
    made = await policy(workshop, owner, FindingAct.REVIEW)
    job = await workshop.upload(owner, LETTER.encode())
    try:
        async with workshop.working(replacing=[find_malware]):
            handle = await workshop.start(job)
            await workshop.until(job, "waiting")
            assert await ids(workshop, owner) == [task_id(TaskKind.QUARANTINE, job.id)]
            scanned = DecisionRequest(decision_id=await workshop.decide(owner, job, "release"))
            await handle.execute_update(IngestFile.release, scanned)
            review = task_id(TaskKind.FINDING_REVIEW, job.id)
            async with asyncio.timeout(on_a_busy_machine(60)):
                while await ids(workshop, owner) != [review]:  # noqa: ASYNC110 - rows tell nobody
                    await asyncio.sleep(0.1)
            assert review in await details(handle)
            judged = DecisionRequest(decision_id=await workshop.decide(owner, job, "release"))
            assert await ids(workshop, owner) == []
            await handle.execute_update(IngestFile.release, judged)
            await handle.result()
    finally:
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.delete(made)


async def test_a_held_erasure_and_its_matter_are_tasks_until_the_release(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        await (await workshop.start(job)).result()
        hold = await place(workshop, owner, job.file_id)
        erasing = await order_erasure(workshop, job)
        await workshop.until(erasing, "waiting")
        matter = await attended(workshop, hold)
        # A person is asked about it after ninety days.
        later = now() + (SETTINGS.hold_review_every_days + 1) * DAY
        found = {task.kind: task for task in await listed(workshop, owner, later)}
        assert set(found) == {
            TaskKind.HELD_ERASURE,
            TaskKind.HOLD_REVIEW,
            TaskKind.HOLD_ACKNOWLEDGEMENT,
        }
        assert found[TaskKind.HELD_ERASURE].title is None
        assert found[TaskKind.HOLD_REVIEW].subject_id == hold.id
        assert str(hold.id) in await details(matter)
        handle = workshop.client.get_workflow_handle(erasing.workflow_id)
        assert TaskKind.HELD_ERASURE in await details(handle)
        await release(workshop, hold)
        await attended(workshop, hold)
        await handle.result()
    assert await ids(workshop, owner) == []


async def _overdue_erasure(workshop: Workshop, owner: TenantIds) -> UUID:
    """One that is held since a hundred days, and a webhook that asks for what is overdue."""
    job = await workshop.upload(owner, TEXT)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        erasure = Erasure(
            tenant_id=owner.tenant_id,
            file_id=job.file_id,
            state="held",
            created_at=now() - 100 * DAY,
        )
        session.add(erasure)
        session.add(
            Webhook(
                tenant_id=owner.tenant_id,
                principal_id=owner.principal_id,
                url="https://example.org/",
                description="",
                events=["task.overdue"],
            )
        )
        await session.flush()
        return erasure.id


async def _said(workshop: Workshop, owner: TenantIds) -> tuple[list[dict[str, object]], int]:
    """Events for webhooks, and how many reminders the audit trail has."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        events = await session.execute(
            text("SELECT data FROM webhook_event WHERE type = 'task.overdue' ORDER BY id")
        )
        acts = await session.execute(
            text("SELECT count(*) FROM audit_event WHERE action = 'task.overdue'")
        )
        return [row.data for row in events], acts.scalar_one()


async def test_a_task_is_reminded_of_once_in_an_interval_whoever_does_it_how_often(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner
    erasure_id = await _overdue_erasure(workshop, owner)
    request = RemindTasksInput(tenant_id=owner.tenant_id)
    activities = TaskReminders(workshop.database, reminder_policy(SETTINGS))
    async with asyncio.TaskGroup() as group:
        # An attempt that was given up for lost beside the next one.
        attempts = [
            group.create_task(ActivityEnvironment().run(activities.remind_tasks, request))
            for _ in range(3)
        ]
    assert sum(attempt.result().reminded for attempt in attempts) == 1
    events, acts = await _said(workshop, owner)
    name = task_id(TaskKind.HELD_ERASURE, erasure_id)
    assert [(each["task_id"], each["kind"], each["reminders"]) for each in events] == [
        (name, "held_erasure", 1)
    ]
    assert acts == 1
    (task,) = await listed(workshop, owner)
    assert (task.id, task.reminders) == (name, 1)
    # What was not committed was not said.
    later = now() + 2 * DAY
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        assert await remind(session, request, reminder_policy(SETTINGS), later) == 1
        await session.rollback()
    assert (await _said(workshop, owner))[1] == 1
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        assert await remind(session, request, reminder_policy(SETTINGS), later) == 1
    assert len((await _said(workshop, owner))[0]) == 2
    # What was decided is not reminded of.
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            update(Erasure).where(col(Erasure.id) == erasure_id).values(state="completed")
        )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        assert await remind(session, request, reminder_policy(SETTINGS), later + 9 * DAY) == 0


async def test_a_round_of_reminders_has_its_bound_and_the_next_goes_on(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminding, "BATCH_TASKS", 2)
    monkeypatch.setattr(reminding, "MAX_BATCHES", 2)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        holds = [
            LegalHold(
                tenant_id=owner.tenant_id,
                matter=f"Matter {number}",
                placed_by=owner.principal_id,
                cooling_off_days=0,
                reminder_days=7,
                review_days=1,
                created_at=now() - 200 * DAY,
            )
            for number in range(5)
        ]
        session.add_all(holds)
    request = RemindTasksInput(tenant_id=owner.tenant_id)
    activities = TaskReminders(workshop.database, reminder_policy(SETTINGS))
    sent = [
        (await ActivityEnvironment().run(activities.remind_tasks, request)).reminded
        for _ in range(3)
    ]
    assert sent == [4, 1, 0]
    assert {task.reminders for task in await listed(workshop, owner)} == {1}


async def test_nobody_is_reminded_for_ever(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_REMINDERS > 1
    monkeypatch.setattr(tasks, "MAX_REMINDERS", 2)
    await _overdue_erasure(workshop, owner)
    request = RemindTasksInput(tenant_id=owner.tenant_id)
    eager = replace(reminder_policy(SETTINGS), interval=timedelta(0))
    sent = []
    for _ in range(4):
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            sent.append(await remind(session, request, eager, now()))
    assert sent == [1, 1, 0, 0]
    assert isinstance(eager, ReminderPolicy)


async def test_a_tenants_schedule_sends_reminders(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner
    await _overdue_erasure(workshop, owner)
    hourly = timedelta(minutes=SETTINGS.look_minutes)
    await TenantSchedules(workshop.database, workshop.client, REMINDERS, hourly).round()
    schedule = workshop.client.get_schedule_handle(schedule_id(owner.tenant_id))
    before = (await _said(workshop, owner))[1]
    async with workshop.working(names=ONLY):
        await schedule.trigger()
        async with asyncio.timeout(on_a_busy_machine(60)):
            while (await _said(workshop, owner))[1] == before:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.1)
    await schedule.delete()


async def reminding_round(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[object, object]:
    """A round that has something to remind of."""
    await _overdue_erasure(workshop, owner)
    return await workshop.client.start_workflow(
        WORKFLOW,
        RemindTasksInput(tenant_id=owner.tenant_id),
        id=f"remind-tasks-{owner.principal_id}",
        task_queue=queues.WORKFLOWS,
    )

"""What nothing keeps any more is disposed of: as its policies say, by whom they say, and never twice."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowHandle
from temporalio.testing import ActivityEnvironment

from activities.retention import activity as retention
from activities.retention.activity import Retention, SweepPolicy, step
from db.models import (
    File,
    RetentionDecision,
    RetentionLock,
    RetentionSweep,
    new_id,
    now,
)
from db.session import Access
from muniment.contracts.retention import LockMode
from muniment.contracts.retention_sweep import (
    RetentionSweepInput,
    SweepState,
    SweepStep,
    schedule_id,
    workflow_id,
)
from tests.db.held import add_hold
from tests.db.retained import DAY, add_file, policy
from tests.workflows.documents import TEXT
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.tenant_schedules import RETENTION, TenantSchedules
from workflows.starting import start_retention_sweep

pytestmark = pytest.mark.asyncio(loop_scope="session")

GENEROUS = SweepPolicy(1.0, 1_000, timedelta(days=30))


def sweeping(workshop: Workshop, policy: SweepPolicy = GENEROUS) -> list[Callable[..., Any]]:
    parts = Retention(workshop.database, policy)
    return [
        parts.begin_retention_sweep,
        parts.step_retention_sweep,
        parts.cancel_retention_sweep,
    ]


async def ordered(
    workshop: Workshop, owner: TenantIds, *, dry_run: bool = False, as_of: datetime | None = None
) -> UUID:
    """A sweep's row, as the API commits it."""
    sweep_id = new_id()
    sweep = RetentionSweep(
        id=sweep_id,
        tenant_id=owner.tenant_id,
        workflow_id=workflow_id(sweep_id),
        state=SweepState.JUDGING,
        is_dry_run=dry_run,
        as_of=as_of or now(),
        requested_by=owner.principal_id,
    )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        session.add(sweep)
    return sweep_id


async def started(workshop: Workshop, owner: TenantIds, sweep_id: UUID) -> WorkflowHandle[Any, Any]:
    name = workflow_id(sweep_id)
    await start_retention_sweep(
        workshop.client, name, RetentionSweepInput(tenant_id=owner.tenant_id)
    )
    return workshop.client.get_workflow_handle(name)


async def add(workshop: Workshop, *made: object) -> None:
    [tenant_id] = {each.tenant_id for each in made}  # type: ignore[attr-defined] # rows
    async with workshop.database.transaction(Access(tenant_id)) as session:
        session.add_all(made)


async def age(workshop: Workshop, owner: TenantIds, days: int) -> None:
    """All of the tenant's files came so long ago."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE file SET created_at = created_at - make_interval(days => :days)"),
            {"days": days},
        )


async def sweep_of(workshop: Workshop, owner: TenantIds, sweep_id: UUID) -> dict[str, Any]:
    return (await rows(workshop, owner, f"retention_sweep WHERE id = '{sweep_id}'"))[0]


async def until_waiting(workshop: Workshop, owner: TenantIds, sweep_id: UUID) -> None:
    async with asyncio.timeout(60):
        while True:
            if (await sweep_of(workshop, owner, sweep_id))["state"] == SweepState.WAITING:
                return
            await asyncio.sleep(0.1)


async def test_a_sweep_disposes_of_what_nothing_keeps_and_of_nothing_else(
    workshop: Workshop, owner: TenantIds
) -> None:
    jobs = {
        name: await workshop.upload(owner, TEXT + name.encode(), f"{name}.txt")
        for name in ("old", "held", "locked", "relabelled", "reviewed", "unreached")
    }
    labels = {
        "old": "log",
        "held": "log",
        "locked": "log",
        "relabelled": "draft",
        "reviewed": "deed",
    }
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        for name, label in labels.items():
            file = await session.get(File, jobs[name].file_id)
            assert file is not None
            file.labels = [label]
        await add_hold(session, owner, jobs["held"].file_id)
        session.add(
            RetentionLock(
                file_id=jobs["locked"].file_id,
                tenant_id=owner.tenant_id,
                mode=LockMode.GOVERNANCE,
                retain_until=now() + timedelta(days=1),
                placed_by=owner.principal_id,
            )
        )
    await add(
        workshop,
        policy(owner, label="log", days=365, disposition="delete"),
        policy(owner, label="draft", days=30, disposition="relabel", relabel_to="archived"),
        policy(owner, label="deed", days=365, disposition="review"),
    )
    await age(workshop, owner, 400)
    async with workshop.working(replacing=sweeping(workshop)):
        dry = await ordered(workshop, owner, dry_run=True)
        await (await started(workshop, owner, dry)).result()
        found = await sweep_of(workshop, owner, dry)
        assert (found["state"], found["files"], found["held"]) == ("completed", 6, 1)
        assert [found[f"due_{what}"] for what in ("deletions", "reviews", "relabelings")] == [
            1,
            1,
            1,
        ]
        states = {name: (await workshop.file(job)).state for name, job in jobs.items()}
        assert set(states.values()) == {"received"}, "a dry run did something"
        for _ in range(2):
            sweep_id = await ordered(workshop, owner)
            await (await started(workshop, owner, sweep_id)).result()
    states = {name: (await workshop.file(job)).state for name, job in jobs.items()}
    assert states.pop("old") == "erasing"
    assert set(states.values()) == {"received"}
    assert (await workshop.file(jobs["relabelled"])).labels == ["draft", "archived"]
    waiting = await rows(workshop, owner, "disposition")
    assert [(each["file_id"], each["state"]) for each in waiting] == [
        (jobs["reviewed"].file_id, "open")
    ]
    erasures = await rows(workshop, owner, "erasure")
    assert [(each["file_id"], each["requested_by"]) for each in erasures] == [
        (jobs["old"].file_id, None)
    ]
    told = await rows(workshop, owner, "audit_event WHERE action = 'file.erasure_requested'")
    assert [each["actor_kind"] for each in told] == ["system"]
    assert {*told[0]["payload"]} >= {"sweep_id", "policies"}


async def test_more_than_its_share_waits_for_a_decision_and_for_its_row_alone(
    workshop: Workshop, owner: TenantIds
) -> None:
    jobs = [await workshop.upload(owner, TEXT + bytes([n]), f"{n}.txt") for n in range(3)]
    await add(workshop, policy(owner, days=10, disposition="delete"))
    await age(workshop, owner, 11)
    careful = SweepPolicy(0.5, 0, timedelta(days=30))
    async with workshop.working(replacing=sweeping(workshop, careful)):
        sweep_id = await ordered(workshop, owner)
        handle = await started(workshop, owner, sweep_id)
        await until_waiting(workshop, owner, sweep_id)
        # A word alone decides nothing.
        await handle.signal("look")
        await asyncio.sleep(1)
        assert (await sweep_of(workshop, owner, sweep_id))["state"] == "waiting"
        assert {(await workshop.file(job)).state for job in jobs} == {"received"}
        await add(workshop, decision(owner, sweep_id, "approve"))
        await handle.signal("look")
        await handle.result()
    done = await sweep_of(workshop, owner, sweep_id)
    assert (done["state"], done["deleted"], done["most"]) == ("completed", 3, 1)
    assert {(await workshop.file(job)).state for job in jobs} == {"erasing"}


@pytest.mark.parametrize(("decision_days", "state"), [(30, "rejected"), (0, "expired")])
async def test_what_is_rejected_or_decided_by_nobody_is_left(
    workshop: Workshop, owner: TenantIds, decision_days: int, state: str
) -> None:
    job = await workshop.upload(owner, TEXT, "a.txt")
    await add(workshop, policy(owner, days=10, disposition="delete"))
    await age(workshop, owner, 11)
    careful = SweepPolicy(0.0, 0, timedelta(days=decision_days, seconds=3))
    async with workshop.working(replacing=sweeping(workshop, careful)):
        sweep_id = await ordered(workshop, owner)
        handle = await started(workshop, owner, sweep_id)
        if state == "rejected":
            await until_waiting(workshop, owner, sweep_id)
            await add(workshop, decision(owner, sweep_id, "reject"))
            await handle.signal("look")
        await handle.result()
    assert (await sweep_of(workshop, owner, sweep_id))["state"] == state
    assert (await workshop.file(job)).state == "received"


def decision(owner: TenantIds, sweep_id: UUID, verdict: str) -> RetentionDecision:
    return RetentionDecision(
        tenant_id=owner.tenant_id,
        sweep_id=sweep_id,
        stage=1,
        verdict=verdict,
        principal_id=owner.principal_id,
        reason="so",
    )


async def test_its_schedule_starts_it_where_a_policy_disposes_of_anything(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "a.txt")
    schedules = TenantSchedules(workshop.database, workshop.client, RETENTION, timedelta(days=1))
    await schedules.round()
    handle = workshop.client.get_schedule_handle(schedule_id(owner.tenant_id))

    async def runs(count: int) -> None:
        async with asyncio.timeout(60):
            while True:
                info = (await handle.describe()).info
                if info.num_actions >= count and not info.running_actions:
                    return
                await asyncio.sleep(0.2)

    async with workshop.working(replacing=sweeping(workshop)):
        await handle.trigger()
        await runs(1)
        assert await rows(workshop, owner, "retention_sweep") == []
        await add(workshop, policy(owner, days=0, disposition="delete"))
        await handle.trigger()
        await runs(2)
    [sweep] = await rows(workshop, owner, "retention_sweep")
    assert (sweep["state"], sweep["requested_by"], sweep["deleted"]) == ("completed", None, 1)
    assert (await workshop.file(job)).state == "erasing"
    await handle.delete()


async def test_a_sweep_that_dies_anywhere_repeats_nothing_and_skips_nothing(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is repeated until one is let commit: what it did before is undone with it."""
    monkeypatch.setattr(retention, "PAGE_FILES", 7)
    monkeypatch.setattr(retention, "ACTS_AT_ONCE", 3)
    dice = random.Random(7)  # noqa: S311 - a test's own
    access = Access(owner.tenant_id)
    async with workshop.database.transaction(access) as session:
        session.add(policy(owner, label="old", days=10, disposition="delete"))
        files = [
            (await add_file(session, owner, [now() - 20 * DAY], labels=labels)).id
            for labels in dice.choices([["old"], ["new"]], k=40)
        ]
        wanted = {each for each in files if "old" in (await session.get_one(File, each)).labels}
    sweep_id = await ordered(workshop, owner)
    is_over, steps = False, 0
    while not is_over:
        steps += 1
        try:
            async with workshop.database.transaction(access) as session:
                sweep = await session.get_one(RetentionSweep, sweep_id, with_for_update=True)
                is_over = (await step(session, sweep, GENEROUS)).is_over
                if dice.random() < 0.5:
                    raise ConnectionError  # the process is killed before it commits
        except ConnectionError:
            is_over = False
        assert steps < 400
    async with workshop.database.transaction(access) as session:
        found = await session.execute(text("SELECT file_id FROM erasure"))
        erased = list(found.scalars())
        sweep = await session.get_one(RetentionSweep, sweep_id)
    assert sorted(erased) == sorted(wanted)
    assert (sweep.deleted, sweep.files, sweep.state) == (len(wanted), 40, "completed")


async def test_what_came_to_be_due_since_it_was_judged_is_asked_about_again(
    workshop: Workshop, owner: TenantIds
) -> None:
    access = Access(owner.tenant_id)
    careful = SweepPolicy(0.2, 0, timedelta(days=30))
    async with workshop.database.transaction(access) as session:
        session.add(policy(owner, label="old", days=10, disposition="delete"))
        for number in range(10):
            labels = ["old"] if number == 0 else ["kept"]
            await add_file(session, owner, [now() - 20 * DAY], labels=labels)
    sweep_id = await ordered(workshop, owner)

    async def one_step() -> str:
        async with workshop.database.transaction(access) as session:
            sweep = await session.get_one(RetentionSweep, sweep_id, with_for_update=True)
            await step(session, sweep, careful)
            return sweep.state

    assert await one_step() == SweepState.ACTING
    await add(workshop, policy(owner, label="kept", days=0, disposition="delete"))
    assert await one_step() == SweepState.JUDGING
    assert await one_step() == SweepState.WAITING
    assert len(await rows(workshop, owner, "erasure")) == 1


async def test_an_archive_goes_with_all_that_came_out_of_it_or_stays(
    workshop: Workshop, owner: TenantIds
) -> None:
    access = Access(owner.tenant_id)
    async with workshop.database.transaction(access) as session:
        session.add(policy(owner, label="old", days=10, disposition="delete"))
        session.add(policy(owner, label="deed", days=10, disposition="review"))
        old = [now() - 20 * DAY]
        gone = await add_file(session, owner, old, labels=["old"])
        with_it = await add_file(session, owner, old, parent_id=gone.id)
        also_old = await add_file(session, owner, old, parent_id=gone.id, labels=["old"])
        stays = await add_file(session, owner, old, labels=["old"])
        deed = await add_file(session, owner, old, parent_id=stays.id, labels=["deed"])
    sweep_id = await ordered(workshop, owner)
    for _ in range(2):
        async with workshop.database.transaction(access) as session:
            sweep = await session.get_one(RetentionSweep, sweep_id, with_for_update=True)
            done = await step(session, sweep, GENEROUS)
    assert done.is_over
    erased = {each["file_id"] for each in await rows(workshop, owner, "erasure")}
    assert erased == {gone.id, with_it.id, also_old.id}
    [asked] = await rows(workshop, owner, "disposition")
    assert asked["file_id"] == deed.id
    assert stays.id not in erased
    sweep_row = await sweep_of(workshop, owner, sweep_id)
    assert (sweep_row["deleted"], sweep_row["passed_over"]) == (1, 1)


async def test_who_has_lost_a_sweep_to_another_workflow_does_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    await workshop.upload(owner, TEXT, "a.txt")
    await add(workshop, policy(owner, days=0, disposition="delete"))
    sweep_id = await ordered(workshop, owner)
    parts = Retention(workshop.database, GENEROUS)
    request = SweepStep(tenant_id=owner.tenant_id, sweep_id=sweep_id)
    stranger = ActivityEnvironment()
    done = await stranger.run(parts.step_retention_sweep, request)
    assert done.is_over
    await stranger.run(parts.cancel_retention_sweep, request)
    assert (await sweep_of(workshop, owner, sweep_id))["state"] == "judging"
    assert await rows(workshop, owner, "erasure") == []

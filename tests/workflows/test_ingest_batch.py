"""Batches on a real server: a bounded window, told by people, carried over a continuation; and whose
turn it is when many want one."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from temporalio import activity
from temporalio.service import RPCError

from db.models import Batch, File, Principal, new_id
from db.queries import batches
from db.queries.batches import BatchCounts
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.base import VersionReference
from muniment.contracts.ingest_batch import BatchState, IngestBatchInput, workflow_id
from muniment.contracts.jobs import JobProgress, StageName
from muniment.contracts.scan import ScanResult
from tests.conftest import make_tenant
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop
from worker.reconciler import Reconciler
from workflows import policies
from workflows.ingest_batch import IngestBatch
from workflows.ingest_file import IngestFile
from workflows.starting import start_batch

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Ingesting:
    """Uploaded files whose first ingestion was cancelled, and a batch of them."""

    def __init__(self, workshop: Workshop, owner: TenantIds) -> None:
        self.workshop = workshop
        self.owner = owner

    async def files(self, count: int) -> list[UUID]:
        jobs = [
            await self.workshop.upload(self.owner, f"{new_id()}".encode(), f"{number}.txt")
            for number in range(count)
        ]
        for job in jobs:
            await self.workshop.end_as_cancelled(job)
        return [job.file_id for job in jobs]

    async def batch(self, file_ids: list[UUID], priority: int = 3) -> Batch:
        batch_id = new_id()
        batch = Batch(
            id=batch_id, tenant_id=self.owner.tenant_id, workflow_id=workflow_id(batch_id),
            state="queued", total=len(file_ids), requested_by=self.owner.principal_id,
            priority=priority,
        )  # fmt: skip
        async with self.workshop.database.transaction(Access(self.owner.tenant_id)) as session:
            session.add(batch)
            await session.flush()
            await batches.add_items(session, batch, file_ids)
        return batch

    async def start(self, batch: Batch) -> None:
        request = IngestBatchInput(
            tenant_id=batch.tenant_id, batch_id=batch.id, priority=batch.priority
        )
        await start_batch(self.workshop.client, batch.workflow_id, request)

    async def counts(self, batch: Batch) -> BatchCounts:
        async with self.workshop.database.transaction(Access(batch.tenant_id)) as session:
            return (await batches.counts_of(session, [batch.id]))[batch.id]

    async def state(self, batch: Batch) -> str:
        async with self.workshop.database.transaction(Access(batch.tenant_id)) as session:
            found = await batches.get_batch(session, batch.id)
        assert found is not None
        return found.state


class Gate:
    """A scan that waits until it is let through; counts how many wait at a time."""

    def __init__(self, workshop: Workshop) -> None:
        self._real = next(
            each for each in workshop.parts.scan_activities() if each.__name__ == "scan_for_malware"
        )
        self.inside = self.most = 0
        self.open = asyncio.Event()

    @activity.defn(name="scan_for_malware")
    async def scan(self, version: VersionReference) -> ScanResult:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            while not self.open.is_set():
                activity.heartbeat()
                await asyncio.sleep(0.05)
            return await self._real(version)  # type: ignore[no-any-return] # an activity's function
        finally:
            self.inside -= 1


async def until(batch: Batch, ingesting: Ingesting, **least: int) -> BatchCounts:
    async with asyncio.timeout(300):
        while True:
            counts = await ingesting.counts(batch)
            if all(getattr(counts, name) >= count for name, count in least.items()):
                return counts
            await asyncio.sleep(0.05)


async def test_a_batch_keeps_its_window_and_pauses_and_cancels(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "BATCH_WINDOW", 3)
    ingesting, gate = Ingesting(workshop, owner), Gate(workshop)
    batch = await ingesting.batch(await ingesting.files(12))
    async with workshop.working(replacing=[gate.scan]):
        await ingesting.start(batch)
        handle = workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        await until(batch, ingesting, running=3)
        await handle.execute_update(IngestBatch.pause)
        assert await ingesting.state(batch) == "paused"
        gate.open.set()
        counts = await until(batch, ingesting, done=3)
        await asyncio.sleep(1.0)
        assert await ingesting.counts(batch) == counts == BatchCounts(queued=9, done=3)
        gate.open.clear()
        await handle.execute_update(IngestBatch.resume)
        await until(batch, ingesting, running=3)
        await handle.execute_update(IngestBatch.cancel)
        async with asyncio.timeout(120):
            assert await handle.result() is BatchState.CANCELLED
    assert gate.most <= 3
    assert await ingesting.counts(batch) == BatchCounts(queued=6, done=3, cancelled=3)
    assert await ingesting.state(batch) == "cancelled"
    with pytest.raises(Exception, match=r"completed|closed|over"):
        await handle.execute_update(IngestBatch.pause)


async def test_a_long_batch_continues_as_new_and_takes_each_file_once(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "BATCH_WINDOW", 4)
    monkeypatch.setattr(policies, "HISTORY_EVENTS", 60)
    ingesting = Ingesting(workshop, owner)
    batch = await ingesting.batch(await ingesting.files(24))
    async with workshop.working():
        # Nobody started it: the reconciler does.
        reconciler = Reconciler(workshop.database, workshop.client, 1, min_age=timedelta(0))
        assert await reconciler.start_batches() >= 1
        handle = workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        async with asyncio.timeout(300):
            assert await handle.result() is BatchState.COMPLETED
    assert await ingesting.counts(batch) == BatchCounts(done=24)
    last = await handle.describe()
    assert last.raw_description.workflow_execution_info.first_run_id != last.run_id
    history = await handle.fetch_history()
    assert len(history.events) < 150
    assert max(event.ByteSize() for event in history.events) < 16 * 1024


async def test_files_at_work_or_done_are_taken_over_and_trashed_ones_passed_by(
    workshop: Workshop, owner: TenantIds
) -> None:
    ingesting = Ingesting(workshop, owner)
    at_work = await workshop.upload(owner, b"at work", "a.txt")
    trashed = (await ingesting.files(1))[0]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        file = await session.get(File, trashed)
        assert file is not None
        file.state = "trashed"
    batch = await ingesting.batch([at_work.file_id, trashed])
    async with workshop.working():
        await ingesting.start(batch)
        handle = workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        await until(batch, ingesting, running=1, gone=1)
        await workshop.start(at_work)
        assert await handle.result() is BatchState.COMPLETED
    assert await ingesting.counts(batch) == BatchCounts(done=1, gone=1)


async def test_a_batch_is_its_makers_and_an_administrators(
    workshop: Workshop, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    other = make_tenant(postgres_dsn, made.name, principal="clerk", is_admin=False)
    ingesting = Ingesting(
        workshop, TenantIds(made.tenant_id, made.collection_id, other.principal_id)
    )
    clerks = await ingesting.batch([])
    admins = await Ingesting(
        workshop, TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    ).batch([])
    async with workshop.database.transaction(made.access) as session:
        assert {each.id for each in await batches.list_batches(session, limit=9)} == {
            clerks.id, admins.id,
        }  # fmt: skip
        assert await session.get(Principal, other.principal_id)
    async with workshop.database.transaction(other.access) as session:
        assert [each.id for each in await batches.list_batches(session, limit=9)] == [clerks.id]


# ── whose turn it is ────────────────────────────────────────────────────────────────────────────


class Turns:
    """A scan on one slot that notes whose files come up, in order."""

    def __init__(self, workshop: Workshop) -> None:
        self._real = next(
            each for each in workshop.parts.scan_activities() if each.__name__ == "scan_for_malware"
        )
        self.order: list[UUID] = []
        self.tenants: list[UUID] = []

    @activity.defn(name="scan_for_malware")
    async def scan(self, version: VersionReference) -> ScanResult:
        self.order.append(version.file_id)
        self.tenants.append(version.tenant_id)
        await asyncio.sleep(0.02)
        return await self._real(version)  # type: ignore[no-any-return] # an activity's function


async def test_an_urgent_file_overtakes_fifty_that_came_before(
    workshop: Workshop, owner: TenantIds
) -> None:
    turns = Turns(workshop)
    jobs = [await workshop.upload(owner, f"{new_id()}".encode()) for _ in range(50)]
    urgent = await workshop.upload(owner, f"{new_id()}".encode(), "urgent.txt")
    urgent.priority = 1
    handles = [await workshop.start(job) for job in [*jobs, urgent]]
    async with workshop.working(replacing=[turns.scan]):
        async with asyncio.timeout(300):
            await handles[-1].result()
    assert turns.order.index(urgent.file_id) < 20


async def test_a_small_tenant_is_not_starved_by_a_big_one(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    small = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    turns = Turns(workshop)
    big = [await workshop.upload(owner, f"{new_id()}".encode()) for _ in range(100)]
    few = [await workshop.upload(small, f"{new_id()}".encode()) for _ in range(5)]
    handles = [await workshop.start(job) for job in [*big, *few]]
    async with workshop.working(replacing=[turns.scan]):
        async with asyncio.timeout(300):
            for handle in handles[-5:]:
                await handle.result()
        places = [place for place, tenant in enumerate(turns.tenants) if tenant == small.tenant_id]
    # Without fairness they come last, at 100 to 104.
    assert max(places) < 30, places


async def _all_wait_for_their_scan(workshop: Workshop, batch: Batch) -> None:
    """Returns once every file of the batch has asked for its scan."""
    async with workshop.database.transaction(Access(batch.tenant_id)) as session:
        working = await batches.working_items(session, batch.id, [])
    assert len(working) == batch.total
    async with asyncio.timeout(300):
        for item in working:
            while await _stage_of(workshop, item.workflow_id) is not StageName.SCAN:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _stage_of(workshop: Workshop, workflow_id: str) -> StageName | None:
    handle = workshop.client.get_workflow_handle(workflow_id)
    try:
        progress: JobProgress = await handle.query(IngestFile.progress)
    except RPCError:  # it was admitted, and is not started yet
        return None
    return progress.stage


async def test_batches_of_two_tenants_take_turns_and_an_urgent_one_goes_first(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "BATCH_WINDOW", 40)
    made = make_tenant(postgres_dsn)
    small = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    of_big, of_small = Ingesting(workshop, owner), Ingesting(workshop, small)
    turns = Turns(workshop)
    big = await of_big.batch(await of_big.files(40))
    few = await of_small.batch(await of_small.files(5))
    urgent_files = await of_big.files(1)
    urgent = await of_big.batch(urgent_files, priority=1)
    # The workflows first, in the order in which they come; nobody scans until all wait for it.
    async with workshop.working(names=[queues.WORKFLOWS]):
        for ingesting, batch in ((of_big, big), (of_small, few), (of_big, urgent)):
            await ingesting.start(batch)
            await until(batch, ingesting, running=batch.total)
            await _all_wait_for_their_scan(workshop, batch)
        others = [name for name in ALL_QUEUES if name != queues.WORKFLOWS]
        async with workshop.working(replacing=[turns.scan], names=others):
            async with asyncio.timeout(300):
                for batch in (urgent, few):
                    handle = workshop.client.get_workflow_handle(
                        batch.workflow_id, result_type=BatchState
                    )
                    assert await handle.result() is BatchState.COMPLETED
            assert turns.order.index(urgent_files[0]) < 10
            places = [
                place for place, tenant in enumerate(turns.tenants) if tenant == small.tenant_id
            ]
    assert await of_big.counts(urgent) == BatchCounts(done=1)
    assert await of_small.counts(few) == BatchCounts(done=5)
    # Without fairness they come last, at 41 to 45.
    assert len(places) == 5
    assert max(places) < 25, places

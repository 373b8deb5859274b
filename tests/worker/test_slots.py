"""Activities that run long leave their slots to others, on a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import FixedSizeSlotSupplier, UnsandboxedWorkflowRunner, Worker, WorkerTuner

from tests.patience import on_a_busy_machine
from worker.slots import StandingAside

SLOTS = 2


class Gate:
    """Activities that stay until they are let go, and how many of them are at work."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.inside = 0
        self.most = 0

    @activity.defn
    async def stay(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.opened.wait()
        self.inside -= 1

    @activity.defn
    async def pass_through(self) -> None:
        """A short one."""


@workflow.defn
class Doing:
    """One activity of that name."""

    @workflow.run
    async def run(self, name: str) -> None:
        await workflow.execute_activity(name, start_to_close_timeout=timedelta(minutes=5))


@asynccontextmanager
async def working(address: str, gate: Gate, long_seconds: float) -> AsyncIterator["Start"]:
    """A worker of two slots."""
    client = await Client.connect(address)
    queue = f"slots-{uuid4()}"
    others = FixedSizeSlotSupplier(10)
    tuner = WorkerTuner.create_composite(
        workflow_supplier=others,
        activity_supplier=StandingAside(SLOTS, long_seconds),
        local_activity_supplier=others,
        nexus_supplier=others,
    )
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Doing],
        activities=[gate.stay, gate.pass_through],
        workflow_runner=UnsandboxedWorkflowRunner(),
        tuner=tuner,
    )
    async with worker:
        yield Start(client, queue)
        gate.opened.set()


class Start:
    def __init__(self, client: Client, queue: str) -> None:
        self._client, self._queue = client, queue

    async def __call__(self, name: str) -> WorkflowHandle[Doing, None]:
        return await self._client.start_workflow(
            Doing.run, name, id=f"slots-{uuid4()}", task_queue=self._queue
        )


async def until_inside(gate: Gate, count: int) -> None:
    async with asyncio.timeout(on_a_busy_machine(30)):
        while gate.inside < count:  # noqa: ASYNC110 - other tasks of this loop count
            await asyncio.sleep(0.02)


async def test_short_ones_pass_those_that_run_long(temporal_address: str) -> None:
    gate = Gate()
    async with working(temporal_address, gate, long_seconds=0.5) as start:
        staying = [await start("stay") for _ in range(SLOTS)]
        await until_inside(gate, SLOTS)
        short = [await start("pass_through") for _ in range(10)]
        async with asyncio.timeout(on_a_busy_machine(30)):
            await asyncio.gather(*(each.result() for each in short))
        assert gate.inside == SLOTS
        gate.opened.set()
        await asyncio.gather(*(each.result() for each in staying))


async def test_at_most_twice_the_slots_are_at_work(temporal_address: str) -> None:
    gate = Gate()
    async with working(temporal_address, gate, long_seconds=0.1) as start:
        staying = [await start("stay") for _ in range(3 * SLOTS)]
        await until_inside(gate, 2 * SLOTS)
        await asyncio.sleep(1)
        assert gate.most == 2 * SLOTS
        gate.opened.set()
        await asyncio.gather(*(each.result() for each in staying))


async def test_before_that_a_slot_is_a_slot(temporal_address: str) -> None:
    gate = Gate()
    async with working(temporal_address, gate, long_seconds=3_600) as start:
        staying = [await start("stay") for _ in range(SLOTS + 1)]
        await until_inside(gate, SLOTS)
        await asyncio.sleep(1)
        assert gate.most == SLOTS
        gate.opened.set()
        await asyncio.gather(*(each.result() for each in staying))

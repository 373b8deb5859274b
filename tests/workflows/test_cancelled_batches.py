"""Batches that are cancelled in Temporal itself, where an operator may do so."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from db.queries.batches import BatchCounts
from muniment.contracts.ingest_batch import AdmitInput, AdmitResult, BatchState
from tests.workflows.test_ingest_batch import Gate, Ingesting, until
from tests.workflows.workshop import TenantIds, Workshop
from workflows import policies
from workflows.ingest_batch import IngestBatch

pytestmark = pytest.mark.asyncio(loop_scope="session")


class SlowAdmission:
    """Admits one file at once; whoever asks again waits for an answer that does not come."""

    def __init__(self, workshop: Workshop) -> None:
        self._real: Callable[[AdmitInput], Awaitable[AdmitResult]] = next(
            each for each in workshop.parts.io_activities() if each.__name__ == "admit_files"
        )
        self.asked_again = asyncio.Event()
        self._is_first = True

    @activity.defn(name="admit_files")
    async def admit(self, request: AdmitInput) -> AdmitResult:
        if not self._is_first:
            self.asked_again.set()
            await asyncio.Event().wait()
        self._is_first = False
        return await self._real(request.model_copy(update={"limit": 1}))


async def test_a_batch_cancelled_while_it_admits_files_cancels_what_is_at_work(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "BATCH_WINDOW", 2)
    ingesting, gate, admission = Ingesting(workshop, owner), Gate(workshop), SlowAdmission(workshop)
    batch = await ingesting.batch(await ingesting.files(3))
    async with workshop.working(replacing=[gate.scan, admission.admit]), asyncio.timeout(300):
        await ingesting.start(batch)
        handle = workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        await until(batch, ingesting, running=1)
        # The next round asks for the place that is free.
        await handle.execute_update(IngestBatch.pause)
        await handle.execute_update(IngestBatch.resume)
        await admission.asked_again.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()
        assert isinstance(ended.value.cause, CancelledError)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert await ingesting.state(batch) == "cancelled"
    assert await ingesting.counts(batch) == BatchCounts(queued=2, cancelled=1)

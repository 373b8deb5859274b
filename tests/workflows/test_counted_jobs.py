"""Jobs are counted when they end, once each, and only when that is committed."""

import pytest
from temporalio.client import WorkflowFailureError

from activities.job_ends import count_end
from db.models import Job
from db.queries.jobs import lock_job
from db.session import Access
from muniment.contracts.jobs import JobKind, JobState
from muniment.telemetry.metrics import REGISTRY
from tests.workflows.documents import TEXT
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDS = (
    (JobKind.INGEST_FILE, JobState.COMPLETED),
    (JobKind.INGEST_FILE, JobState.FAILED),
    (JobKind.ERASE_FILE, JobState.COMPLETED),
)


def counts() -> list[float]:
    return [
        REGISTRY.get_sample_value("muniment_jobs_total", {"kind": kind, "state": state}) or 0.0
        for kind, state in ENDS
    ]


async def test_every_end_of_a_job_is_counted_once(workshop: Workshop, owner: TenantIds) -> None:
    before = counts()
    completed = await workshop.upload(owner, TEXT)
    failed = await workshop.upload(owner, b"", "empty.txt")
    async with workshop.working():
        await (await workshop.start(completed)).result()
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(failed)).result()
        erasure = await order_erasure(workshop, completed)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1, 1, 1]


async def test_an_end_that_is_rolled_back_is_not_counted(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    await workshop.end_as_cancelled(job)
    labels = {"kind": JobKind.INGEST_FILE.value, "state": JobState.CANCELLED.value}
    before = REGISTRY.get_sample_value("muniment_jobs_total", labels)
    with pytest.raises(LookupError):
        await _end_and_roll_back(workshop, job)
    assert REGISTRY.get_sample_value("muniment_jobs_total", labels) == before


async def _end_and_roll_back(workshop: Workshop, job: Job) -> None:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        ended = await lock_job(session, job.id)
        assert ended is not None
        count_end(session, ended)
        raise LookupError

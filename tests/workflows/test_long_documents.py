"""Above two thousand pages child workflows read page ranges, and no history grows too long."""

from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from muniment.contracts.assemble import AssembleInput, AssembleResult
from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.documents import DocumentFamily
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import JobProgress
from muniment.contracts.read import ReadBatchInput, ReadBatchResult
from tests.workflows.documents import TEXT
from tests.workflows.workshop import TenantIds, Workshop
from workflows.ingest_file import IngestFile

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = 4_100
ARTIFACT = Artifact(fingerprint="0" * 64, blob_id=uuid4())


@activity.defn(name="inspect_document")
async def finds_many_pages(version: VersionReference) -> InspectResult:
    return InspectResult(
        plan=ARTIFACT,
        media_type="application/pdf",
        family=DocumentFamily.PDF,
        page_count=PAGES,
        ocr_pages="10-20",
    )


@activity.defn(name="assemble_document")
async def stops_there(request: AssembleInput) -> AssembleResult:
    raise ApplicationError("far enough", non_retryable=True)


async def test_a_long_document_is_read_by_child_workflows(
    workshop: Workshop, owner: TenantIds
) -> None:
    read: list[int] = []

    @activity.defn(name="read_pages")
    async def reads(batch: ReadBatchInput) -> ReadBatchResult:
        read.extend(range(batch.first_page, batch.last_page + 1))
        return ReadBatchResult(output=ARTIFACT, pages_done=batch.last_page - batch.first_page + 1)

    job = await workshop.upload(owner, TEXT, "long.pdf", "application/pdf")
    async with workshop.working(replacing=[finds_many_pages, reads, stops_there]):
        handle = await workshop.start(job)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        progress: JobProgress = await handle.query(IngestFile.progress)
    assert sorted(read) == list(range(1, PAGES + 1))
    assert progress.pages.done == PAGES
    assert len((await handle.fetch_history()).events) < 120
    child = workshop.client.get_workflow_handle(f"read-{job.version_id}-{job.id}-1")
    events = (await child.fetch_history()).events
    assert len(events) < 2_000
    assert max(event.ByteSize() for event in events) < 16 * 1024

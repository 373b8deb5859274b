"""What an operator finds jobs by in Temporal's UI while they are at work or wait."""

import asyncio
import json
import time

import pytest
from temporalio.api.enums.v1 import EventType

from db.models import Job
from muniment.contracts.ingest_file import DecisionRequest
from muniment.contracts.jobs import JobProgress, StageName
from tests.workflows.documents import TEXT, dense_scan, page_text, text_pdf
from tests.workflows.test_messages import find_malware
from tests.workflows.workshop import Handle, TenantIds, Workshop
from workflows.ingest_file import IngestFile
from workflows.visibility import SHORT_DOCUMENT_PAGES

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _is_found(workshop: Workshop, job: Job, query: str) -> bool:
    """Whether Temporal lists the job so; its index follows what happens, and what happens takes its
    time."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        listed = workshop.client.list_workflows(f"MunimentFile = '{job.file_id}' AND {query}")
        if [found async for found in listed]:
            return True
        await asyncio.sleep(0.1)
    return False


async def _stages_told(handle: Handle) -> list[str]:
    """The values that the stage was given, in order, as the history has them."""
    told = []
    for event in (await handle.fetch_history()).events:
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            changed = event.upsert_workflow_search_attributes_event_attributes
            fields = changed.search_attributes.indexed_fields
            if "MunimentStage" in fields:
                told.append(json.loads(fields["MunimentStage"].data))
    return told


async def test_a_file_in_quarantine_is_found_as_waiting(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working(replacing=[find_malware]):
        job = await workshop.upload(owner, TEXT, "infected.txt")
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        assert await _is_found(
            workshop, job, "MunimentStage = 'scan' AND MunimentOutcome = 'waiting'"
        )
        decision = DecisionRequest(decision_id=await workshop.decide(owner, job, "release"))
        await handle.execute_update(IngestFile.release, decision)
        await handle.result()
    assert await _is_found(
        workshop, job, "MunimentStage = 'announce' AND MunimentOutcome = 'completed'"
    )


async def test_a_job_that_reads_or_is_paused_is_found_by_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, dense_scan(8), "scan.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        assert await _is_found(workshop, job, "MunimentStage = 'read'")
        paused: JobProgress = await handle.execute_update(IngestFile.pause)
        assert paused.state == "paused"
        assert await _is_found(
            workshop, job, "MunimentStage = 'read' AND MunimentOutcome = 'paused'"
        )
        await handle.execute_update(IngestFile.resume)
        assert await _is_found(workshop, job, "MunimentOutcome IS NULL")
        await handle.result()


async def test_a_job_that_no_worker_has_taken_up_is_found_in_its_first_stage(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT, "early.txt")
    handle = await workshop.start(job)
    assert await _is_found(workshop, job, "MunimentStage = 'scan'")
    async with workshop.working():
        await handle.result()


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        (1, [StageName.READ, StageName.ANNOUNCE]),
        (
            SHORT_DOCUMENT_PAGES + 1,
            [name for name in StageName if name not in (StageName.SCAN, StageName.INSPECT)]
            + [StageName.ANNOUNCE],
        ),
    ],
)
async def test_a_job_that_lasts_tells_of_every_stage_and_a_short_one_spares_its_history(
    workshop: Workshop, owner: TenantIds, pages: int, told: list[StageName]
) -> None:
    texts = [f"{page_text(page)} of {pages} in all" for page in range(1, pages + 1)]
    job = await workshop.upload(owner, text_pdf(texts), "a.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await handle.result()
    # Two stages run side by side: which of them begins first is theirs.
    assert sorted(await _stages_told(handle)) == sorted(told)

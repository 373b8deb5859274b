"""An ingestion from its start to its end, on real parts."""

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from db.session import Access
from muniment.contracts.jobs import JobState
from muniment.contracts.search_attributes import MEDIA_TYPE, OUTCOME, PAGE_COUNT, TENANT
from tests.workflows.documents import TEXT, page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_EVENTS = 120
MAX_PAYLOAD_BYTES = 16 * 1024


async def test_a_long_embedding_tells_how_far_it_is(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.embed.activity.TELL_SECONDS", 0.05)
    paragraphs = [
        f"Clause {number}. " + f"The keeper of room {number} answers for its keys. " * 12
        for number in range(120)
    ]
    job = await workshop.upload(owner, "\n\n".join(paragraphs).encode(), "clauses.txt")
    async with workshop.working():
        await (await workshop.start(job)).result()
    told = [
        (event.payload["done"], event.payload["total"])
        for event in await workshop.events(job)
        if event.event == "stage" and event.payload["name"] == "embed"
    ]
    between = [done for done, total in told if 0 < done < total]
    assert between, told
    assert between == sorted(between)


async def test_a_text_file_becomes_ready_with_every_stage_completed(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        result = await (await workshop.start(job)).result()
    assert result.state is JobState.COMPLETED
    row = await workshop.job(job)
    assert (row.state, row.percent, row.pages_done) == ("completed", 100.0, 1)
    states = {stage["name"]: stage["state"] for stage in row.stages}
    assert states.pop("scan") == "skipped"
    assert set(states.values()) == {"completed"}
    file = await workshop.file(job)
    assert (file.state, file.page_count, file.degraded) == ("ready", 1, False)
    assert "words" in file.extracted


async def test_what_is_published_can_be_searched(workshop: Workshop, owner: TenantIds) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        await (await workshop.start(job)).result()
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        rows = await session.execute(
            text(
                "SELECT chunk.text, document.terms, octet_length(posting.entries) / 7, embedding.vector::text"
                " FROM chunk JOIN lexical_document document ON document.version_id = chunk.version_id"
                " JOIN unmerged_posting AS waiting ON waiting.first_number = document.first_number"
                " CROSS JOIN unnest(waiting.terms, waiting.entries) AS posting(term, entries)"
                " JOIN embedding ON embedding.chunk_id = chunk.id"
                " WHERE chunk.file_id = :file_id AND posting.term = 'charter'"
            ),
            {"file_id": job.file_id},
        )
        chunk_text, term_count, frequency, vector = rows.one()
        pages = await session.execute(
            text("SELECT page, source FROM page WHERE version_id = :version_id"),
            {"version_id": job.version_id},
        )
        assert [tuple(page) for page in pages] == [(1, "text")]
    assert "oak chest" in chunk_text
    assert frequency == 1
    assert term_count > 10
    assert vector.count(",") == 383


async def test_events_are_numbered_without_gaps_and_percent_never_falls(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf([page_text(page) for page in range(1, 4)]), "a.pdf")
    async with workshop.working():
        await (await workshop.start(job)).result()
    events = await workshop.events(job)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    pages = [event.payload["page"] for event in events if event.event == "page"]
    assert pages == [1, 2, 3]
    percents = [event.payload["percent"] for event in events if "percent" in event.payload]
    assert percents == sorted(percents)
    assert [event.event for event in events][-1] == "end"
    assert events[-1].payload["state"] == "completed"


async def test_a_ten_page_scan_stays_small_in_history_and_readable_in_temporal(
    workshop: Workshop, owner: TenantIds
) -> None:
    scans = scanned_pdf([f"Charter number {page}\nof the borough" for page in range(1, 11)])
    job = await workshop.upload(owner, scans, "scan.pdf", "application/pdf")
    async with workshop.working():
        handle = await workshop.start(job)
        await handle.result()
    history = await handle.fetch_history()
    assert len(history.events) < MAX_EVENTS
    assert max(event.ByteSize() for event in history.events) < MAX_PAYLOAD_BYTES
    assert b"Charter" not in b"".join(event.SerializeToString() for event in history.events)
    row = await workshop.job(job)
    assert (row.pages_total, row.pages_done, row.pages_failed) == (10, 10, 0)
    described = await handle.describe()
    attributes = described.typed_search_attributes
    assert attributes[TENANT] == str(owner.tenant_id)
    assert attributes[OUTCOME] == "completed"
    assert attributes[PAGE_COUNT] == 10
    assert attributes[MEDIA_TYPE] == "application/pdf"


async def test_the_same_content_under_another_name_reuses_every_stage(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = text_pdf([page_text(page) for page in range(1, 3)])
    first = await workshop.upload(owner, content, "first.pdf", "application/pdf")
    second = await workshop.upload(owner, content, "second.pdf", "application/pdf")
    async with workshop.working():
        await (await workshop.start(first)).result()
        await (await workshop.start(second)).result()
    row = await workshop.job(second)
    states = {stage["name"]: stage["state"] for stage in row.stages}
    reused = ("inspect", "read", "assemble", "classify", "chunk", "embed")
    assert {states[name] for name in reused} == {"reused"}
    assert (row.pages_done, row.pages_reused) == (2, 2)
    assert (await workshop.file(second)).state == "ready"


@pytest.mark.parametrize(
    ("content", "name", "media_type", "problem"),
    [
        (b"", "empty.txt", "text/plain", "empty-file"),
        (text_pdf(["A page"])[:300], "cut.pdf", "application/pdf", "damaged-document"),
        (b"\x7fELF" + bytes(4000), "program.bin", "application/octet-stream", "unknown-format"),
    ],
)
async def test_a_document_at_fault_fails_with_a_problem_and_no_retry(
    workshop: Workshop,
    owner: TenantIds,
    content: bytes,
    name: str,
    media_type: str,
    problem: str,
) -> None:
    job = await workshop.upload(owner, content, name, media_type)
    async with workshop.working():
        handle = await workshop.start(job)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == problem
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    row = await workshop.job(job)
    assert row.state == "failed"
    assert row.error is not None
    assert row.error["type"] == f"urn:muniment:problem:{problem}"
    assert row.error["remedy"]
    assert (await workshop.file(job)).state == "failed"
    kinds = [event.event for event in await workshop.events(job)]
    assert kinds[-1] == "end"
    assert "retry" not in kinds


async def test_a_second_start_attaches_and_a_closed_workflow_is_not_started_again(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, TEXT)
    async with workshop.working():
        first = await workshop.start(job)
        again = await workshop.start(job)
        await first.result()
        after = await workshop.start(job)
        assert (await again.describe()).run_id == (await after.describe()).run_id
    assert (await workshop.job(job)).run_id == (await first.describe()).run_id

"""Another run of a version computes exactly what another setting changed."""

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from api.pages.service import ArtifactReader
from db.models import ChunkRow, Job
from db.queries.pages import list_pages
from db.session import Access
from muniment.contracts.documents import Page
from muniment.contracts.jobs import JobSettings
from tests.workflows.documents import page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
COMPUTED_ONCE = ("inspect", "read", "assemble", "classify", "chunk", "embed")


@pytest.mark.parametrize("make", [text_pdf, scanned_pdf], ids=["text", "scan"])
async def test_a_new_version_reads_only_the_pages_that_changed(
    workshop: Workshop, owner: TenantIds, make: Callable[[list[str]], bytes]
) -> None:
    pages = [page_text(page) for page in range(1, 5)]
    job = await workshop.upload(owner, make(pages), "a.pdf", PDF)
    # One page is put in before the rest, and one is changed.
    changed = [page_text(8), pages[0], pages[1], page_text(9), pages[3]]
    async with workshop.working():
        await (await workshop.start(job)).result()
        following = await workshop.new_version(owner, job, make(changed))
        await (await workshop.start(following)).result()
        alone = await workshop.upload(owner, make(changed) + b"%", "b.pdf", PDF)
        await (await workshop.start(alone)).result()
    row = await workshop.job(following)
    assert (row.pages_done, row.pages_reused, row.pages_failed) == (5, 3, 0)
    told = [event.payload for event in await workshop.events(following) if event.event == "page"]
    assert sorted((event["page"], event["state"]) for event in told) == [
        (1, "completed"),
        (2, "reused"),
        (3, "reused"),
        (4, "completed"),
        (5, "reused"),
    ]
    assert (await workshop.job(alone)).pages_reused == 0
    assert await texts(workshop, following) == await texts(workshop, alone)


async def test_a_page_found_unchanged_has_the_label_of_its_new_document(
    workshop: Workshop, owner: TenantIds
) -> None:
    pages = [page_text(page) for page in range(11, 13)]
    job = await workshop.upload(owner, numbered_from(1, text_pdf(pages)), "n.pdf", PDF)
    changed = numbered_from(10, text_pdf(pages))
    async with workshop.working():
        await (await workshop.start(job)).result()
        following = await workshop.new_version(owner, job, changed)
        await (await workshop.start(following)).result()
    assert (await workshop.job(following)).pages_reused == 2
    assert [page.label for page in await published(workshop, job)] == ["1", "2"]
    assert [page.label for page in await published(workshop, following)] == ["10", "11"]


def numbered_from(start: int, document: bytes) -> bytes:
    """The document with its pages labelled in digits from there on."""
    labels = f"/PageLabels<</Nums[0<</S/D/St {start}>>]>>".encode()
    labelled = document.replace(b"/Type/Catalog", b"/Type/Catalog" + labels)
    assert labelled != document
    return labelled


async def texts(workshop: Workshop, job: Job) -> list[str]:
    """The text of every published page."""
    return [page.text for page in await published(workshop, job)]


async def published(workshop: Workshop, job: Job) -> list[Page]:
    assert job.version_id is not None
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        rows = await list_pages(session, job.version_id, limit=100)
    reader = ArtifactReader(workshop.stores.blobs, job.tenant_id)
    read = [await reader.page(row) for row in rows]
    assert [page.page for page in read if page] == [row.page for row in rows]
    return [page for page in read if page]


async def states(workshop: Workshop, job: Job) -> dict[str, object]:
    row = await workshop.job(job)
    assert row.state == "completed"
    return {str(stage["name"]): stage["state"] for stage in row.stages}


async def longest_chunk(workshop: Workshop, job: Job) -> int:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.scalar(
            select(func.max(ChunkRow.token_count)).where(ChunkRow.version_id == job.version_id)
        )
    assert found is not None
    return int(found)


async def test_a_chunk_size_chunks_and_embeds_anew_and_nothing_else(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = text_pdf([page_text(page) for page in range(1, 4)])
    job = await workshop.upload(owner, content, "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        assert await longest_chunk(workshop, job) > 64
        same = await workshop.retry(job)
        await (await workshop.start(same)).result()
        smaller = await workshop.retry(job, JobSettings(chunk_tokens=64))
        await (await workshop.start(smaller)).result()
        assert await longest_chunk(workshop, job) <= 64
        back = await workshop.retry(job)
        await (await workshop.start(back)).result()
    assert await longest_chunk(workshop, job) > 64
    for run, computed in ((same, set()), (smaller, {"chunk", "embed"}), (back, set())):
        found = await states(workshop, run)
        counted = Counter(found[name] for name in COMPUTED_ONCE)
        assert counted == Counter(
            completed=len(computed), reused=len(COMPUTED_ONCE) - len(computed)
        ), run.settings
        assert {name for name in COMPUTED_ONCE if found[name] == "completed"} == computed
        assert (await workshop.job(run)).pages_reused == 3

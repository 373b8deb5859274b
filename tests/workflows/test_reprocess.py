"""Another run of a version computes exactly what another setting changed."""

from collections import Counter

import pytest
from sqlalchemy import func, select

from db.models import ChunkRow, Job
from db.session import Access
from muniment.contracts.jobs import JobSettings
from tests.workflows.documents import page_text, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPUTED_ONCE = ("inspect", "read", "assemble", "classify", "chunk", "embed")


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
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
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

"""Pages that no recogniser of personal data and secrets examined are not taken for clean."""

from functools import partial

import pytest

from activities.classify import activity
from activities.classify.calls import ClassifyRequest
from db.models import Job
from muniment.contracts.jobs import JobState
from tests.workflows.documents import page_text, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_was_not_classified_is_named_and_a_retry_classifies_it(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = text_pdf([page_text(1), page_text(2)])
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    with monkeypatch.context() as patched:
        patched.setattr(activity, "ClassifyRequest", partial(ClassifyRequest, seconds=1e-9))
        await _ingested(workshop, job, degraded=True)
    file = await workshop.file(job)
    assert file.extracted["classification_gaps"] == ["time limit: pages 1–2 were not examined"]
    await _ingested(workshop, await workshop.retry(job), degraded=False)
    assert "classification_gaps" not in (await workshop.file(job)).extracted


async def _ingested(workshop: Workshop, job: Job, *, degraded: bool) -> None:
    async with workshop.working():
        result = await (await workshop.start(job)).result()
    assert (result.state, result.degraded) == (JobState.COMPLETED, degraded)
    assert (await workshop.job(job)).degraded is degraded
    assert (await workshop.file(job)).degraded is degraded

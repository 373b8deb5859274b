"""Another run of a version computes exactly what another setting changed."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select
from temporalio.client import WorkflowFailureError

from activities.engines import _OCR_LIBRARIES
from activities.read.tesseract import DATA_FOLDERS
from db.models import ChunkRow, Job, PageLayer
from db.queries.pages import list_layers, list_pages
from db.session import Access
from muniment.contracts.documents import Page
from muniment.contracts.jobs import JobSettings
from muniment.contracts.ocr import OcrEngineName
from muniment.settings import OcrSettings
from retrieval.cited_pages import ArtifactReader
from tests.workflows.documents import long_pdf, page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import TenantIds, Workshop
from worker.parts import Parts

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
# Tesseract's models come from the system's packages; where they are not, OpenVINO stands for it.
OTHER_OCR = (
    OcrEngineName.TESSERACT
    if any(Path(folder, "eng.traineddata").is_file() for folder in DATA_FOLDERS)
    else OcrEngineName.RAPIDOCR_OPENVINO
)
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


@pytest.mark.parametrize("make", [text_pdf, scanned_pdf])
async def test_a_page_found_unchanged_has_the_label_of_its_new_document(
    workshop: Workshop, owner: TenantIds, make: Callable[[Sequence[str]], bytes]
) -> None:
    pages = [page_text(page) for page in range(11, 13)]
    job = await workshop.upload(owner, numbered_from(1, make(pages)), "n.pdf", PDF)
    changed = numbered_from(10, make(pages))
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
    labelled = re.sub(rb"/Type\s*/Catalog", rb"\g<0>" + labels, document)
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


async def test_another_model_embeds_anew_and_nothing_else(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = text_pdf([page_text(page) for page in range(1, 4)])
    job = await workshop.upload(owner, content, "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
    monkeypatch.setattr(workshop.parts.embedder, "version", "another")
    async with workshop.working():
        again = await workshop.retry(job)
        await (await workshop.start(again)).result()
    found = await states(workshop, again)
    assert [name for name in COMPUTED_ONCE if found[name] == "completed"] == ["embed"]


async def layers(workshop: Workshop, job: Job, page: int) -> dict[str, PageLayer]:
    """The page's layers by their engines."""
    assert job.version_id is not None
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await list_layers(session, job.version_id, page)
    return {layer.engine: layer for layer in found}


async def test_another_ocr_engine_reads_the_scans_anew_and_adds_a_layer(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(
        owner, long_pdf(4, scanned=frozenset({2, 3})), "a.pdf", "application/pdf"
    )
    other = JobSettings(ocr_engine=OTHER_OCR)
    async with workshop.working():
        await (await workshop.start(job)).result()
        first = {page: await layers(workshop, job, page) for page in (1, 2)}
        read_by_default = await texts(workshop, job)
        reread = await workshop.retry(job, other)
        await (await workshop.start(reread)).result()
        added = {page: await layers(workshop, job, page) for page in (1, 2)}
        again = await workshop.retry(job, other)
        await (await workshop.start(again)).result()
        back = await workshop.retry(job)
        await (await workshop.start(back)).result()
    assert (await states(workshop, reread))["inspect"] == "reused"
    told = [event.payload for event in await workshop.events(reread) if event.event == "page"]
    assert sorted((event["page"], event["state"]) for event in told) == [
        (1, "reused"),
        (2, "completed"),
        (3, "completed"),
        (4, "reused"),
    ]
    for run in (again, back):
        assert (await workshop.job(run)).pages_reused == 4
    assert set(added[2]) == {"rapidocr", OTHER_OCR}
    assert {name: each.is_current for name, each in added[2].items()} == {
        "rapidocr": False,
        OTHER_OCR: True,
    }
    assert added[2]["rapidocr"].blob_id == first[2]["rapidocr"].blob_id
    assert added[2][OTHER_OCR].engine_version != added[2]["rapidocr"].engine_version
    assert list(added[1]) == list(first[1])
    assert all(layer.is_current for layer in added[1].values())
    now_current = await layers(workshop, job, 2)
    assert {name for name, each in now_current.items() if each.is_current} == {"rapidocr"}
    assert now_current[OTHER_OCR].read_at == added[2][OTHER_OCR].read_at
    assert await texts(workshop, job) == read_by_default


async def test_a_second_engine_reads_the_pages_anew_that_the_first_is_unsure_of(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = long_pdf(3, scanned=frozenset({2}))
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    every_page = OcrSettings(gpu_queue="off", second_engine=OTHER_OCR.value, second_below=1)
    settings = workshop.settings.model_copy(update={"ocr": every_page})
    parts = Parts(settings, workshop.database, workshop.stores, workshop.parts._resources)
    # The engines are warm already.
    warm = ("sandbox", "scratch", "embedder")
    vars(parts).update({name: getattr(workshop.parts, name) for name in warm})
    async with workshop.working():
        await (await workshop.start(job)).result()
    (alone,) = (await layers(workshop, job, 2)).values()
    async with workshop.working(parts=parts):
        doubted = await workshop.retry(job)
        await (await workshop.start(doubted)).result()
        again = await workshop.retry(job)
        await (await workshop.start(again)).result()
    assert (await workshop.job(doubted)).pages_reused == 2, "pages with a text layer"
    assert (await workshop.job(again)).pages_reused == 3
    assert job.version_id is not None
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await list_layers(session, job.version_id, 2)
    (current,) = (layer for layer in found if layer.is_current)
    assert current.engine in ("rapidocr", OTHER_OCR)
    assert current.engine_version == parts.engines.version("read_ocr")
    assert alone.engine_version in {layer.engine_version for layer in found} - {
        current.engine_version
    }


async def test_an_engine_that_a_worker_lacks_fails_the_job_and_keeps_what_was_published(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await workshop.upload(owner, long_pdf(1, frozenset({1})), "a.pdf", "application/pdf")
    monkeypatch.setitem(_OCR_LIBRARIES, OcrEngineName.TESSERACT, ("no-such-distribution",))
    async with workshop.working():
        await (await workshop.start(job)).result()
        before = await texts(workshop, job)
        failing = await workshop.retry(job, JobSettings(ocr_engine=OcrEngineName.TESSERACT))
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(failing)).result()
    row = await workshop.job(failing)
    assert row.state == "failed"
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:configuration"
    assert "muniment[tesseract]" in str(row.error["remedy"])
    assert await texts(workshop, job) == before
    assert (await workshop.file(job)).state == "ready"


async def test_surya_named_where_nobody_asks_it_fails_the_job_with_what_to_do(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, long_pdf(1, frozenset({1})), "a.pdf", "application/pdf")
    async with workshop.working():
        await (await workshop.start(job)).result()
        before = await texts(workshop, job)
        failing = await workshop.retry(job, JobSettings(ocr_engine=OcrEngineName.SURYA))
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(failing)).result()
    row = await workshop.job(failing)
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:configuration"
    assert "MUNIMENT_OCR__ENGINE=surya" in str(row.error["remedy"])
    assert await texts(workshop, job) == before

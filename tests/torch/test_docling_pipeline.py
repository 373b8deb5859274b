"""docling's own pipeline in its sandbox, on models with RANDOM weights (see random_weights.py): what is
tested is that the whole way is gone, never what the models found."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import psutil
import pytest
from docling_core.types.doc.document import DoclingDocument

from activities.engines import PRELOAD, DocumentEngines
from activities.read.docling_weights import (
    ARTIFACTS_VARIABLE,
    pipeline_version,
    require_docling_models,
)
from activities.read.structures import ENGINE_MODULE, DoclingPipeline
from activities.sandbox import Sandbox
from activities.sandbox.template import TORCH_VARIABLE
from db.models import Job
from db.session import Access
from muniment.contracts.documents import DocumentPlan, PageStructure
from muniment.contracts.jobs import JobSettings
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.errors import ConfigurationError
from muniment.settings import ReadSettings
from tests.torch.random_weights import write_random_weights
from tests.workflows.documents import long_pdf, page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import ALL_QUEUES, TenantIds, Workshop
from worker.parts import Parts
from worker.queues import build_worker, services

pytestmark = [pytest.mark.torch, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("random-weights"))


@asynccontextmanager
async def pipeline(weights: Path) -> AsyncIterator[DoclingPipeline]:
    environment = {ARTIFACTS_VARIABLE: str(weights), TORCH_VARIABLE: "1"}
    sandbox = Sandbox(concurrency=1, preload=[ENGINE_MODULE], environment=environment)
    async with sandbox:
        yield DoclingPipeline(sandbox, pipeline_version(require_docling_models(weights)))


async def structured(
    weights: Path, content: bytes, path: Path
) -> tuple[DocumentPlan, list[str], list[DoclingDocument]]:
    """The plan, the pages' texts and their documents, of a PDF whose pages have a text layer."""
    path.write_bytes(content)
    told: list[int] = []

    async def on_structure(structure: PageStructure) -> None:
        told.append(structure.page)

    async with Sandbox(concurrency=1, preload=PRELOAD) as sandbox, pipeline(weights) as models:
        engines = DocumentEngines(sandbox)
        plan = await engines.inspect(content, declared_media_type="", name="a.pdf")
        numbers = range(1, plan.page_count + 1)
        scanned = all(page.source == "ocr" for page in plan.pages)
        read = engines.read_ocr if scanned else engines.read_text
        batch, failed = await read(content, plan, numbers)
        assert not failed
        made, failed = await models.structure(
            path, plan, batch.pages, None, on_structure, seconds=600
        )
        assert not failed
        assert told == list(numbers)
    documents = [DoclingDocument.model_validate_json(each.document) for each in made]
    return plan, [page.text for page in batch.pages], documents


async def test_pages_go_the_whole_way_through_doclings_models(
    weights: Path, tmp_path: Path
) -> None:
    content = text_pdf([page_text(1), page_text(2)])
    _, texts, documents = await structured(weights, content, tmp_path / "a.pdf")
    assert len(documents) == 2
    for text, document in zip(texts, documents, strict=True):
        assert list(document.pages) == [1]
        assert document.tables, "the layout model was made to see tables"
        found = {word for item in document.texts for word in item.text.split()}
        assert found <= set(text.split()), "the pipeline made text up"
        size = document.pages[1].size
        for item, _ in document.iterate_items():
            for place in getattr(item, "prov", ()):
                box = place.bbox.to_top_left_origin(size.height)
                assert -1 <= box.l <= box.r <= size.width + 1
                assert -1 <= box.t <= box.b <= size.height + 1


async def test_scanned_pages_go_there_with_the_lines_that_ocr_read(
    weights: Path, tmp_path: Path
) -> None:
    _, texts, documents = await structured(
        weights, scanned_pdf(["Charter of the borough"]), tmp_path / "a.pdf"
    )
    assert "Charter" in texts[0]
    assert documents[0].tables


@asynccontextmanager
async def workers(
    workshop: Workshop, weights: Path | None, own: Literal["docling", "rules"] = "docling"
) -> AsyncIterator[None]:
    """Those of an administrator who has these weights, and chose that; without any, rules."""
    chosen = ReadSettings(pdf_pipeline=own if weights else "rules", docling_artifacts=weights)
    settings = workshop.settings.model_copy(update={"read": chosen})
    async with AsyncExitStack() as resources:
        parts = Parts(settings, workshop.database, workshop.stores, resources)
        served = services(ALL_QUEUES, parts, settings.worker, 2)
        await parts.start()
        for service in served:
            worker = build_worker(await workshop.connect(), service, settings.worker)
            await resources.enter_async_context(worker)
        yield


def templates_with_torch() -> list[int]:
    return [
        process.pid for process in psutil.Process().children() if ENGINE_MODULE in process.cmdline()
    ]


async def document_of(workshop: Workshop, job: Job) -> DoclingDocument:
    from sqlalchemy import text

    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.execute(
            text("SELECT blob_id FROM stage_output WHERE job_id = :id AND stage = 'assemble'"),
            {"id": job.id},
        )
        blob_id = found.scalar_one()
    return DoclingDocument.model_validate_json(
        await workshop.stores.blobs.read_all(job.tenant_id, blob_id)
    )


async def test_a_job_is_structured_by_the_pipeline_and_by_rules_again(
    workshop: Workshop, owner: TenantIds, weights: Path
) -> None:
    content = long_pdf(4, scanned=frozenset({2}))
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    async with workers(workshop, weights):
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    assert (row.state, row.pages_done, row.degraded) == ("completed", 4, False)
    by_models = await document_of(workshop, job)
    assert sorted(by_models.pages) == [1, 2, 3, 4]
    assert by_models.tables
    pages = {place.page_no for table in by_models.tables for place in table.prov}
    assert pages == {1, 2, 3, 4}, "every page went through the models"
    again = await workshop.retry(job)
    async with workers(workshop, None):
        await (await workshop.start(again)).result()
    assert (await workshop.job(again)).state == "completed"
    by_rules = await document_of(workshop, again)
    assert not by_rules.tables, "what the pipeline made was taken for what rules make"


async def test_a_job_that_names_the_pipeline_starts_it_and_workers_set_to_it_find_what_it_made(
    workshop: Workshop, owner: TenantIds, weights: Path
) -> None:
    content = text_pdf([page_text(1), page_text(2)])
    job = await workshop.upload(owner, content, "a.pdf", "application/pdf")
    async with workers(workshop, weights, "rules"):
        await (await workshop.start(job)).result()
        assert not templates_with_torch(), "nobody asked for a gigabyte of torch"
        named = await workshop.retry(job, JobSettings(pdf_pipeline=PdfPipelineName.DOCLING))
        await (await workshop.start(named)).result()
        assert templates_with_torch()
    assert not (await document_of(workshop, job)).tables
    assert (await document_of(workshop, named)).tables
    taken_over = await workshop.retry(job)
    async with workers(workshop, weights):
        await (await workshop.start(taken_over)).result()
    states = {stage["name"]: stage["state"] for stage in (await workshop.job(taken_over)).stages}
    assert (states["read"], states["assemble"]) == ("reused", "reused")


async def test_other_weights_are_another_version(weights: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(weights, other)
    assert pipeline_version(other) == pipeline_version(weights)
    changed = next(other.glob("**/tableformer_accurate.safetensors"))
    changed.write_bytes(changed.read_bytes() + b" ")
    assert pipeline_version(other) != pipeline_version(weights)
    changed.unlink()
    with pytest.raises(ConfigurationError, match="tableformer_"):
        require_docling_models(other)

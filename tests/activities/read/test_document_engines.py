"""The engines through the sandbox, as the activities call them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.assemble.export import to_text
from activities.engines import ENGINE_VERSIONS, DocumentEngines
from activities.sandbox import EngineCall, Limits
from activities.sandbox.limits import MEBIBYTE
from muniment.contracts.documents import (
    DocumentFamily,
    DocumentPlan,
    Line,
    Page,
    PageBatch,
    PageSource,
)
from muniment.contracts.word_boxes import pack_boxes
from muniment.errors import DocumentError, EncryptedDocument, EngineError
from tests.activities.made_documents import SAMPLES, pdf, picture, word_document
from tests.activities.warm_engines import warm_engines

SECONDS_PER_DOCUMENT = 1_200
"""The engines' own limits of computing end what hangs; this is for what they would miss."""
SAMPLED_EVERY = 12
"""Of the malformed files a fixed share is read in every run, all of them by `-m slow`."""


@pytest.fixture(scope="module")
def engines(runner: asyncio.Runner) -> Iterator[DocumentEngines]:
    with warm_engines(runner) as engines:
        yield engines


async def read_whole(engines: DocumentEngines, content: Path | bytes, name: str) -> str:
    """The way of a document through all stages, as the workflow has it."""
    plan = await engines.inspect(content, declared_media_type="", name=name)
    batches = []
    for source, read in ((PageSource.TEXT, engines.read_text), (PageSource.OCR, engines.read_ocr)):
        numbers = [page.page for page in plan.pages if page.source is source]
        if numbers:
            batch, _ = await read(content, plan, numbers[:8])
            batches.append(batch)
    return (await engines.assemble(plan, batches, name=name)).document


def test_documents_become_text(
    runner: asyncio.Runner, engines: DocumentEngines, tmp_path: Path
) -> None:
    file = tmp_path / "document"
    file.write_bytes(word_document())
    assert "muniment room" in to_text(runner.run(read_whole(engines, file, "rules.docx")))
    scan = picture(["A scanned page"])
    assert to_text(runner.run(read_whole(engines, scan, "a.png"))) == "A scanned page"


def test_pages_are_handed_over_as_they_are_read(
    runner: asyncio.Runner, engines: DocumentEngines
) -> None:
    content = pdf([[(72, 700, 12, f"page number {number}")] for number in range(1, 6)])
    seen: list[Page] = []

    async def on_page(page: Page) -> None:
        seen.append(page)

    async def scenario() -> tuple[DocumentPlan, PageBatch]:
        plan = await engines.inspect(content, declared_media_type="", name="a.pdf")
        batch, failed = await engines.read_text(content, plan, [2, 4], on_page=on_page)
        assert failed == ()
        return plan, batch

    plan, batch = runner.run(scenario())
    assert plan.page_count == 5
    assert [page.text for page in seen] == ["page number 2", "page number 4"]
    assert batch.pages == tuple(seen)


def test_a_page_that_is_not_there_fails_alone(
    runner: asyncio.Runner, engines: DocumentEngines
) -> None:
    content = pdf([[(72, 700, 12, "the only page")]])

    async def scenario() -> None:
        plan = await engines.inspect(content, declared_media_type="", name="a.pdf")
        batch, failed = await engines.read_text(content, plan, [1, 7])
        assert [page.page for page in batch.pages] == [1]
        assert [(page.page, page.problem) for page in failed] == [
            (7, "The page is damaged beyond reading.")
        ]

    runner.run(scenario())


def test_a_password_opens_an_encrypted_document(
    runner: asyncio.Runner, engines: DocumentEngines
) -> None:
    content = SAMPLES / "pdf/encrypted.pdf"

    async def scenario() -> None:
        with pytest.raises(EncryptedDocument):
            await engines.inspect(content, declared_media_type="", name="a.pdf")
        plan = await engines.inspect(
            content, declared_media_type="", name="a.pdf", password="openpassword"
        )
        batch, _ = await engines.read_text(content, plan, [1], password="openpassword")
        assert "Stet clita" in batch.pages[0].text
        assert batch.pages[0].engine == "docling-parse"

    runner.run(scenario())


def test_every_engine_has_a_version_that_names_its_libraries() -> None:
    assert {"inspect", "read_text", "read_ocr", "assemble"} <= set(ENGINE_VERSIONS)
    assert "docling-parse-" in ENGINE_VERSIONS["read_text"]


@pytest.mark.timeout(1_500)
def test_malformed_documents_are_read_or_refused(
    runner: asyncio.Runner, engines: DocumentEngines, shared_data: Path
) -> None:
    files = sorted(path for path in (shared_data / "malformed").rglob("*") if path.is_file())
    _read_or_refuse_all(runner, engines, files[::SAMPLED_EVERY])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_malformed_documents_are_read_or_refused(
    runner: asyncio.Runner, engines: DocumentEngines, shared_data: Path
) -> None:
    files = sorted(path for path in (shared_data / "malformed").rglob("*") if path.is_file())
    _read_or_refuse_all(runner, engines, files)


def _read_or_refuse_all(
    runner: asyncio.Runner, engines: DocumentEngines, files: list[Path]
) -> None:
    """None hangs, none ends the sandbox, and what an engine dies of is a matter of that file."""
    assert files
    outcomes: dict[str, str] = {}

    async def one(path: Path) -> None:
        try:
            async with asyncio.timeout(SECONDS_PER_DOCUMENT):
                await read_whole(engines, path, path.name)
            outcomes[path.name] = "read"
        except DocumentError as error:
            outcomes[path.name] = error.problem
        except (EngineError, TimeoutError) as error:
            outcomes[path.name] = f"engine: {type(error).__name__}: {error}"

    async def all_of_them() -> None:
        waiting = asyncio.Queue[Path]()
        for path in files:
            waiting.put_nowait(path)

        async def work() -> None:
            while not waiting.empty():
                await one(waiting.get_nowait())

        await asyncio.gather(work(), work())
        await read_whole(engines, b"still alive", "a.txt")

    runner.run(all_of_them())
    troubled = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("engine")}
    assert not troubled


def many_pages(count: int) -> list[bytes]:
    """Batches of dense pages, each line with its words' boxes."""
    text = "Every deed is kept in the muniment room and shown to no one without leave."
    packed = pack_boxes([(0, 0, 1, 1)] * len(text.split()), (0, 0, 1, 1))
    lines = tuple(
        Line(
            text=f"{number} {text}"[:74],
            bbox=(72, 40 + 13 * number, 500, 50 + 13 * number),
            font_size=11.0,
            word_boxes=packed,
        )
        for number in range(55)
    )
    whole = Page(
        page=1, width=595, height=842, source=PageSource.TEXT, engine="a", text="", lines=lines
    )
    pages = [whole.model_copy(update={"page": number}) for number in range(1, count + 1)]
    return [
        PageBatch(pages=tuple(pages[start : start + 16])).model_dump_json().encode()
        for start in range(0, count, 16)
    ]


@pytest.mark.parametrize("pages", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_long_document_is_assembled_within_a_gigabyte(
    runner: asyncio.Runner, engines: DocumentEngines, pages: int
) -> None:
    plan = DocumentPlan(
        media_type="application/pdf", family=DocumentFamily.PDF, page_count=pages, pages=()
    )
    call = EngineCall("assemble", AssembleRequest(plan=plan, name="long"), AssembledDocument)
    content = b"\n".join(many_pages(pages))
    limits = Limits(wall_seconds=300, cpu_seconds=120, memory_bytes=700 * MEBIBYTE)

    async def made() -> AssembledDocument:
        return await engines._sandbox.run(call, content=content, limits=limits)

    assert runner.run(made()).document.count('"self_ref":"#/texts/') >= pages

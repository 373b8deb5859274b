"""A second engine for the pages that the first one is unsure of: real engines in the sandbox."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy
from PIL import Image, ImageFilter

from activities.engines import PRELOAD, DocumentEngines
from activities.read.collector import OnPage
from activities.read.ocr_engine import OcrChoice
from activities.read.unsure_pages import SecondOcr
from activities.sandbox import Sandbox
from muniment.contracts.documents import DocumentPlan, Page, PageBatch
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.read import FailedPage
from muniment.errors import EngineError
from tests.activities.made_documents import picture

LINES = ["Letters of the keeper", "All keys hang in the north tower", "The door closes at nine"]
CLEAR, BLURRED, EMPTY = 1, 2, 3


class Watched:
    """Engines, and which pages they were asked for."""

    def __init__(self, engines: DocumentEngines) -> None:
        self._engines = engines
        self.asked: list[list[int]] = []
        self.pages: dict[int, Page] = {}

    async def read_ocr(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        self.asked.append(list(pages))
        read = await self._engines.read_ocr(content, plan, pages, password, on_page)
        self.pages |= {page.page: page for page in read[0].pages}
        return read


def three_pages() -> bytes:
    """One that any engine is sure of, one that none is, and one without a line."""
    clear = Image.open(io.BytesIO(picture(LINES))).convert("L")
    noise = numpy.random.default_rng(7).normal(0, 60, (clear.height, clear.width))
    blurred = numpy.asarray(clear.filter(ImageFilter.GaussianBlur(3)), dtype=float) + noise
    noisy = Image.fromarray(blurred.clip(0, 255).astype("uint8"))
    content = io.BytesIO()
    empty = Image.new("L", clear.size, 255)
    clear.save(content, "TIFF", save_all=True, append_images=[noisy, empty])
    return content.getvalue()


@asynccontextmanager
async def two_engines() -> AsyncIterator[tuple[Watched, Watched, DocumentPlan, bytes]]:
    content = three_pages()
    async with Sandbox(concurrency=2, preload=PRELOAD) as sandbox:
        first = DocumentEngines(sandbox)
        second = DocumentEngines(sandbox, OcrChoice(engine=OcrEngineName.RAPIDOCR_OPENVINO))
        plan = await first.inspect(content, declared_media_type="", name="a.tif")
        assert plan.page_count == 3
        yield Watched(first), Watched(second), plan, content


def test_only_pages_below_the_limit_are_read_again_and_the_surer_reading_is_kept() -> None:
    async def read() -> None:
        async with two_engines() as (first, second, plan, content):
            told: list[Page] = []

            async def on_page(page: Page) -> None:
                told.append(page)

            reader = SecondOcr(first, second, below=0.95)
            batch, failed = await reader.read_ocr(content, plan, [1, 2, 3], on_page=on_page)
            assert not failed
            assert (first.asked, second.asked) == ([[1, 2, 3]], [[BLURRED]])
            clear, blurred, empty = batch.pages
            assert (clear.engine, clear.text.splitlines()) == ("rapidocr", LINES)
            assert not empty.lines
            readings = (first.pages[BLURRED], second.pages[BLURRED])
            assert blurred == max(readings, key=lambda page: page.confidence or 0)
            assert sorted(told, key=lambda page: page.page) == list(batch.pages)

    asyncio.run(read())


def test_the_reading_that_is_surer_of_itself_is_kept_whoever_came_first() -> None:
    async def read() -> None:
        async with two_engines() as (first, second, plan, content):
            await first.read_ocr(content, plan, [BLURRED])
            await second.read_ocr(content, plan, [BLURRED])
            confidences = [reader.pages[BLURRED].confidence or 0 for reader in (first, second)]
            assert abs(confidences[0] - confidences[1]) > 0.01
            surer = (first, second)[confidences.index(max(confidences))].pages[BLURRED]
            for order in ((first, second), (second, first)):
                batch, _ = await SecondOcr(*order, below=1).read_ocr(content, plan, [BLURRED])
                assert batch.pages == (surer,)

    asyncio.run(read())


def test_a_page_stays_as_it_was_read_where_the_second_engine_fails() -> None:
    class Failing(Watched):
        async def read_ocr(self, *_arguments: object) -> tuple[PageBatch, tuple[FailedPage, ...]]:
            raise EngineError("it died")

    async def read() -> None:
        async with two_engines() as (first, second, plan, content):
            told: list[int] = []

            async def on_page(page: Page) -> None:
                told.append(page.page)

            failing = Failing(second._engines)
            reader = SecondOcr(first, failing, below=0.95)
            batch, failed = await reader.read_ocr(content, plan, [1, 2], on_page=on_page)
            assert not failed
            assert batch.pages == (first.pages[CLEAR], first.pages[BLURRED])
            assert told == [CLEAR, BLURRED]

    asyncio.run(read())


def test_what_reads_doubtful_pages_is_part_of_the_version() -> None:
    async def versions() -> set[str]:
        async with Sandbox(concurrency=1, preload=PRELOAD) as sandbox:
            alone = DocumentEngines(sandbox)
            together = DocumentEngines(sandbox, read_again_by="tesseract/5<0.8")
            by_another = together.with_ocr(OcrEngineName.RAPIDOCR_OPENVINO)
            bare = DocumentEngines(sandbox, OcrChoice(engine=OcrEngineName.RAPIDOCR_OPENVINO))
            assert by_another.version("read_ocr") == bare.version("read_ocr")
            return {each.version("read_ocr") for each in (alone, together)}

    assert len(asyncio.run(versions())) == 2

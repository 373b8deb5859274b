"""Every OCR engine behind the one protocol, each in the sandbox as a worker calls it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from activities.engines import PRELOAD, DocumentEngines, ocr_version
from activities.read.ocr_engine import OcrChoice
from activities.read.tesseract import DATA_FOLDERS
from activities.sandbox import Sandbox
from muniment.contracts.documents import Page
from muniment.contracts.ocr import OcrEngineName
from muniment.errors import ConfigurationError
from tests.activities.made_documents import picture

LINES = ["Letters of the keeper", "All keys hang in the north tower", "The door closes at nine"]
HAS_TESSERACT = any(Path(folder, "eng.traineddata").is_file() for folder in DATA_FOLDERS)


async def _read(choices: Sequence[OcrChoice], content: bytes) -> list[Page]:
    async with Sandbox(concurrency=2, preload=PRELOAD) as sandbox:
        pages = []
        for choice in choices:
            engines = DocumentEngines(sandbox, choice)
            plan = await engines.inspect(content, declared_media_type="", name="a.png")
            batch, failed = await engines.read_ocr(content, plan, [1])
            assert not failed
            pages.append(batch.pages[0])
        return pages


def _assert_read_by(engine: OcrEngineName, page: Page) -> None:
    """Asserts that the engine found the picture's lines, each with its box and a confidence."""
    assert page.engine == engine
    assert page.text.splitlines() == LINES
    tops = [line.bbox[1] for line in page.lines if line.bbox]
    assert tops == sorted(tops)
    assert len(tops) == len(LINES)
    assert all(0.5 < (line.confidence or 0) <= 1 for line in page.lines)


def test_rapidocr_reads_lines_with_boxes_and_confidence_on_either_runtime() -> None:
    names = [OcrEngineName.RAPIDOCR, OcrEngineName.RAPIDOCR_OPENVINO]
    pages = asyncio.run(_read([OcrChoice(engine=name) for name in names], picture(LINES)))
    for name, page in zip(names, pages, strict=True):
        _assert_read_by(name, page)
    first, second = pages
    for one, other in zip(first.lines, second.lines, strict=True):
        assert one.bbox == pytest.approx(other.bbox, abs=1.5), "one model on two runtimes"


@pytest.mark.skipif(not HAS_TESSERACT, reason="Tesseract's models are not installed")
def test_tesseract_reads_lines_with_boxes_and_confidence() -> None:
    choice = OcrChoice(engine=OcrEngineName.TESSERACT)
    (page,) = asyncio.run(_read([choice], picture(LINES)))
    _assert_read_by(choice.engine, page)


def test_pictures_of_every_format_are_read() -> None:
    async def read_all() -> dict[str, str]:
        texts = {}
        async with Sandbox(concurrency=1, preload=PRELOAD) as sandbox:
            engines = DocumentEngines(sandbox)
            for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"):
                content = picture(LINES, form=form)
                plan = await engines.inspect(content, declared_media_type="", name="unnamed")
                assert plan.media_type == f"image/{form.lower()}"
                batch, failed = await engines.read_ocr(content, plan, [1])
                assert not failed
                texts[form] = batch.pages[0].text
        return texts

    for form, text in asyncio.run(read_all()).items():
        assert text.splitlines() == LINES, form


def test_an_engine_has_a_version_of_its_own() -> None:
    here = set(OcrEngineName) - {OcrEngineName.SURYA}
    versions = {ocr_version(OcrChoice(engine=name)) for name in here}
    assert len(versions) == len(here)
    german = OcrChoice(engine=OcrEngineName.TESSERACT, languages=("deu",))
    assert ocr_version(german) not in versions


def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    choice = OcrChoice(engine=OcrEngineName.TESSERACT, languages=("tlh",), data=str(tmp_path))
    with pytest.raises(ConfigurationError, match="'tlh'") as caught:
        asyncio.run(_read([choice], picture(LINES)))
    assert "tesseract-ocr-tlh" in (caught.value.remedy or "")


def test_models_that_are_not_there_are_missed(tmp_path: Path) -> None:
    choice = OcrChoice(engine=OcrEngineName.TESSERACT, data=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="models are not found"):
        asyncio.run(_read([choice], picture(LINES)))

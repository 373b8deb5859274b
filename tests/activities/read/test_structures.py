"""What docling's pipeline costs a batch whose pages it dies of, with an engine in its place."""

from pathlib import Path

import pytest

from activities.read.activity import _Read
from activities.read.structures import NO_TIME, SILENT, DoclingPipeline
from activities.sandbox import Limits, Sandbox
from muniment.contracts.documents import (
    DocumentFamily,
    DocumentPlan,
    Page,
    PageSource,
    PageStructure,
)
from muniment.contracts.read import FailedPage

PRELOAD = ("tests.activities.read.structure_engine_for_tests",)


def page(number: int, text: str) -> Page:
    return Page(
        page=number, width=100, height=100, source=PageSource.TEXT, engine="test", text=text
    )


async def structured(
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    *texts: str,
    limits: Limits | None = None,
    seconds: float = 60,
) -> tuple[list[int], dict[int, str]]:
    """The pages that have a structure, and why the others have none."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    content = path / "content"
    content.write_bytes(b"a document")
    pages = [page(number, text) for number, text in enumerate(texts, start=1)]
    plan = DocumentPlan(
        media_type="application/pdf", family=DocumentFamily.PDF, page_count=len(pages), pages=()
    )
    told: list[int] = []

    async def on_structure(structure: PageStructure) -> None:
        told.append(structure.page)

    async with Sandbox(concurrency=1, preload=PRELOAD) as sandbox:
        pipeline = DoclingPipeline(sandbox, "test", limits or Limits())
        made, failed = await pipeline.structure(content, plan, pages, None, on_structure, seconds)
    assert told == [structure.page for structure in made]
    return told, {failure.page: failure.problem for failure in failed}


async def test_a_page_that_kills_the_pipeline_fails_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, failed = await structured(monkeypatch, tmp_path, "well", "die", "be silent", "well")
    assert made == [1, 4]
    assert "SIGSEGV" in failed[2]
    assert failed[3] == SILENT


async def test_a_page_has_a_time_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = Limits(wall_seconds=4)
    made, failed = await structured(monkeypatch, tmp_path, "hang", "well", limits=limits)
    assert made == [2]
    assert "4 s" in failed[1]


async def test_pages_that_do_not_fit_into_the_time_of_all_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, failed = await structured(
        monkeypatch, tmp_path, "well", "hang", "hang", "well", seconds=8
    )
    assert made == [1]
    assert failed == {2: NO_TIME, 3: NO_TIME, 4: NO_TIME}


def test_a_page_that_was_found_and_then_fails_is_not_taken_over() -> None:
    read = _Read([page(1, "found"), page(2, "found")], unchanged=set())
    read.absorb_structures((), [FailedPage(page=2, problem=SILENT)])
    assert read.remaining({1, 2}) == {1}

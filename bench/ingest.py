"""Pages a second of whole ingestions, from the first upload until every file is ready."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from activities.engines import PRELOAD, DocumentEngines
from activities.sandbox import Sandbox
from bench.bare import PROCESSES
from bench.born_digital import born_digital_set
from bench.corpus import one_page_text
from bench.results import Result, note
from bench.scanned import make_scanned
from bench.stack import Stack
from muniment.client import AsyncMuniment
from muniment.contracts.jobs import JobState
from muniment.task_group import task_group

_MOST_SECONDS = 7200


async def measure_ingest(stack: Stack, scanned_pages: int, born_digital_pages: int) -> None:
    """Prints those of a scanned PDF and those of a set of born-digital ones."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-ingest-") as folder:
        scanned = Path(folder, "scanned.pdf")
        await asyncio.to_thread(make_scanned, scanned, scanned_pages)
        paths, pages = await _born_digital(Path(folder), born_digital_pages)
        async with AsyncMuniment(home=stack.home) as muniment:
            await _ready(muniment, one_page_text(0), "first.txt")
            note(f"ingest: {scanned_pages} scanned pages in one PDF")
            seconds = await _seconds(muniment, [scanned])
            Result("ingest.scanned", scanned_pages / seconds, "pages/s").print()
            note(f"ingest: {pages} born-digital pages in {len(paths)} PDFs")
            seconds = await _seconds(muniment, paths)
            Result("ingest.born_digital", pages / seconds, "pages/s").print()


async def _born_digital(folder: Path, page_count: int) -> tuple[list[Path], int]:
    async with Sandbox(concurrency=PROCESSES, preload=PRELOAD) as sandbox:
        documents = await born_digital_set(folder, DocumentEngines(sandbox), page_count)
    pages = sum(document.plan.page_count for document in documents)
    return [document.path for document in documents], pages


async def _seconds(muniment: AsyncMuniment, paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    async with asyncio.timeout(_MOST_SECONDS), task_group() as tasks:
        for path in paths:
            tasks.create_task(_ready(muniment, path.read_bytes(), path.name))
    return time.perf_counter() - started


async def _ready(muniment: AsyncMuniment, content: bytes, name: str) -> None:
    file = await muniment.upload(content, name=name)
    if file.job is None:
        raise RuntimeError(f"the upload of {name} made no job")
    job = file.job
    async for changed in muniment.follow(job):
        job = changed
    if job.state != JobState.COMPLETED:
        raise RuntimeError(f"the job of {name} ended as {job.state}")

"""A scanned PDF through Muniment's `read`, beside plain loops over RapidOCR."""

import asyncio
import tempfile
import time
from pathlib import Path

from activities.engines import PRELOAD, DocumentEngines
from activities.read.recogniser import SETTINGS
from activities.sandbox import Sandbox
from bench.bare import PROCESSES, batches_of
from bench.kreuzberg_peer import kreuzberg_seconds
from bench.plain_ocr import AS_IT_COMES, recognise_plainly
from bench.results import Result, note
from bench.scanned import make_scanned
from muniment.task_group import task_group


async def measure_ocr(page_count: int) -> None:
    """Prints the pages per second through the engines beside those of the library as it comes, and
    beside those of the library with our settings, of which the detector's size costs the most; then
    beside kreuzberg's. Inspecting counts on our side; starting on none."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-ocr-") as folder:
        path = Path(folder, "scanned.pdf")
        await asyncio.to_thread(make_scanned, path, page_count)
        note(f"ocr: {page_count} pages through the engines, {PROCESSES} processes")
        ours = page_count / await _ours(path, page_count)
        for name, settings in (
            ("ocr.pages_per_second", AS_IT_COMES),
            ("ocr.same_settings", SETTINGS),
        ):
            note(f"{name}: a loop over RapidOCR with {PROCESSES} processes")
            seconds = await asyncio.to_thread(
                recognise_plainly, path, page_count, PROCESSES, dict(settings)
            )
            Result(name, ours, "pages/s", peer=page_count / seconds).print()
        note("ocr.beside_kreuzberg: kreuzberg by Tesseract")
        first = Path(folder, "first.pdf")
        await asyncio.to_thread(make_scanned, first, 1)
        theirs = await asyncio.to_thread(kreuzberg_seconds, [path], first, 1, is_scanned=True)
    if theirs is not None:
        Result("ocr.beside_kreuzberg", ours, "pages/s", peer=page_count / theirs).print()


async def _ours(path: Path, page_count: int) -> float:
    async with Sandbox(concurrency=PROCESSES, preload=PRELOAD) as sandbox:
        await sandbox.ready()
        engines = DocumentEngines(sandbox)
        started = time.perf_counter()
        plan = await engines.inspect(path, declared_media_type="application/pdf", name=path.name)
        async with task_group() as reads:
            tasks = [
                reads.create_task(
                    engines.read_ocr(path, plan, range(batch.first_page, batch.last_page + 1))
                )
                for batch in batches_of(plan)
                if batch.needs_ocr
            ]
        seconds = time.perf_counter() - started
    read = sum(len(batch.pages) for batch, _ in (task.result() for task in tasks))
    if read != page_count:
        raise RuntimeError(f"{read} of {page_count} pages were read")
    return seconds

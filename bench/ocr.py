"""A scanned PDF through Muniment's `read`, beside a plain loop over RapidOCR."""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from multiprocessing.pool import Pool
from pathlib import Path

import cv2
import numpy
import pypdfium2
from rapidocr import RapidOCR

from activities.engines import PRELOAD, DocumentEngines
from activities.sandbox import Sandbox
from bench.bare import PROCESSES, batches_of
from bench.quality.cases import data_folder
from bench.results import Result, note
from muniment.task_group import task_group

_SCANS = "documents/made_scans"
_UPRIGHT = ("clean", "skew", "noise", "blur")
_DPI = 200
_POINTS_PER_INCH = 72
_MOST_SECONDS = 3600


async def measure_ocr(page_count: int) -> None:
    """Prints the pages per second of both. Inspecting counts on our side; starting on neither."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-ocr-") as folder:
        path = Path(folder, "scanned.pdf")
        await asyncio.to_thread(_make_scanned, path, page_count)
        note(f"ocr: {page_count} pages through the engines, {PROCESSES} processes")
        ours = await _ours(path, page_count)
        note(f"ocr: a loop over RapidOCR with {PROCESSES} processes")
        bare = await asyncio.to_thread(_bare, path, page_count)
    Result("ocr.pages_per_second", page_count / ours, "pages/s", peer=page_count / bare).print()


def _make_scanned(path: Path, page_count: int) -> None:
    """Pages of the made scans that lie upright, again and again."""
    folder = data_folder() / _SCANS
    sources = [
        source for source in sorted(folder.glob("*.pdf")) if any(k in source.name for k in _UPRIGHT)
    ]
    with pypdfium2.PdfDocument.new() as made:
        while len(made) < page_count:
            with pypdfium2.PdfDocument(sources[len(made) % len(sources)]) as source:
                made.import_pages(source, [0])
        made.save(path)


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


def _bare(path: Path, page_count: int) -> float:
    """As a script would do it: the library as it comes but for threads, a page at a time."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, initializer=_engine) as pool:
        pool.map(_warm_up, range(PROCESSES), chunksize=1)
        started = time.perf_counter()
        _read_all(pool, path, page_count)
        return time.perf_counter() - started


def _read_all(pool: Pool, path: Path, page_count: int) -> None:
    read = pool.map_async(partial(_read_page, path), range(page_count), chunksize=1)
    read.get(timeout=_MOST_SECONDS)


@cache
def _engine() -> RapidOCR:
    """The bare loop's engine, one in each of its processes."""
    cv2.setNumThreads(0)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _warm_up(_number: int) -> None:
    """Loads the models, which the library does at the first line it reads."""
    _engine()(numpy.full((64, 256, 3), 255, numpy.uint8))
    loaders: tuple[Callable[[], object], ...] = (
        _engine()._load_cls_model,
        _engine()._load_rec_model,
    )
    for load_model in loaders:
        load_model()


def _read_page(path: Path, index: int) -> int:
    with pypdfium2.PdfDocument(path) as document:
        bitmap = document[index].render(scale=_DPI / _POINTS_PER_INCH)
        found = _engine()(bitmap.to_numpy()[:, :, :3].copy())
    return len(found)

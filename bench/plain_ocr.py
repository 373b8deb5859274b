"""RapidOCR in a plain loop, as a script would do it: a page at a time in each of some processes."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy
import pypdfium2
from rapidocr import RapidOCR

_DPI = 200
_POINTS_PER_INCH = 72
_MOST_SECONDS = 3600
AS_IT_COMES: Mapping[str, object] = MappingProxyType(
    {
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
)
"""The library's own settings, but for the threads: a process a core."""

_engines: list[RapidOCR] = []
"""The one of this process, which the pool's initializer makes."""


def recognise_plainly(
    path: Path, page_count: int, processes: int, settings: dict[str, object]
) -> float:
    """Seconds that so many warm processes take for all pages."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_start, initargs=(settings,)) as pool:
        pool.map(_warm_up, range(processes), chunksize=1)
        started = time.perf_counter()
        read = pool.map_async(partial(_read_page, path), range(page_count), chunksize=1)
        read.get(timeout=_MOST_SECONDS)
        return time.perf_counter() - started


def _start(settings: dict[str, object]) -> None:
    cv2.setNumThreads(0)
    _engines.append(RapidOCR(params=settings))


def _warm_up(_number: int) -> None:
    """Loads the models, which the library does at the first line it reads."""
    engine = _engines[0]
    engine(numpy.full((64, 256, 3), 255, numpy.uint8))
    loaders: tuple[Callable[[], object], ...] = (engine._load_cls_model, engine._load_rec_model)
    for load_model in loaders:
        load_model()


def _read_page(path: Path, index: int) -> int:
    with pypdfium2.PdfDocument(path) as document:
        bitmap = document[index].render(scale=_DPI / _POINTS_PER_INCH)
        found = _engines[0](bitmap.to_numpy()[:, :, :3].copy())
    return len(found)

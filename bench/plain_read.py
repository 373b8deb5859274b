"""The engines and the structure code in a plain loop: no sandbox, no batches, nothing between the
pages and their document."""

import multiprocessing
import os
import time
from collections.abc import Sequence

import cv2

from activities.assemble.engine import document_of_pages
from activities.assemble.facts import facts_of
from activities.read.calls import ReadProgress, ReadRequest
from activities.read.engine import read_text
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext
from bench.born_digital import BornDigital
from muniment.contracts.documents import DocumentFamily, Page

_MOST_SECONDS = 1800


def read_plainly(documents: Sequence[BornDigital], processes: int) -> float:
    """Seconds that so many warm processes take, a document at a time each."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        # One to load and fill the libraries' caches; each process takes one, since all are slow.
        shortest = min(documents, key=lambda document: document.plan.page_count)
        pool.map(_read, [shortest] * processes, chunksize=1)
        started = time.perf_counter()
        reading = pool.map_async(_read, documents, chunksize=1)
        read = sum(reading.get(timeout=_MOST_SECONDS))
        seconds = time.perf_counter() - started
    if read == 0:
        raise RuntimeError("the plain loop read nothing")
    return seconds


def _read(document: BornDigital) -> int:
    """How many bytes its DoclingDocument has as JSON."""
    pages = _pages(document)
    made = document_of_pages(pages, document.plan.outline)
    facts_of(pages, document.plan)
    return len(made.model_dump_json(exclude_none=True))


def _pages(document: BornDigital) -> dict[int, Page]:
    plan = document.plan
    pages: dict[int, Page] = {}

    def take(progress: object) -> None:
        if isinstance(progress, ReadProgress) and progress.page is not None:
            pages[progress.page.page] = progress.page

    descriptor = os.open(document.path, os.O_RDONLY)
    try:
        request = ReadRequest(
            media_type=plan.media_type,
            family=DocumentFamily.PDF,
            pages=tuple(range(1, plan.page_count + 1)),
        )
        read_text(request, EngineContext(Content(descriptor), take))
    finally:
        os.close(descriptor)
    return pages

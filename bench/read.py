"""`read` and `assemble` of born-digital pages through the sandbox, beside a plain loop over the same
code."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from activities.assemble.calls import DOCUMENT_NAME, AssembledDocument
from activities.assemble.product import assembled_product
from activities.engines import PRELOAD, DocumentEngines, OnDocument
from activities.sandbox import Sandbox
from bench.bare import PROCESSES, batches_of
from bench.born_digital import BornDigital, born_digital_set
from bench.kreuzberg_peer import kreuzberg_seconds
from bench.plain_read import read_plainly
from bench.results import Result, note
from muniment.contracts.documents import DocumentPlan
from muniment.task_group import task_group
from workflows.batches import Batch

_ROUNDS = 5


async def measure_read(page_count: int) -> None:
    """Prints the pages per second of both, each the best of five rounds that alternate, so that a
    busy minute of the machine does not fall on one of them; then those of kreuzberg."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-read-") as folder:
        ours, plain = list[float](), list[float]()
        async with Sandbox(concurrency=PROCESSES, preload=PRELOAD) as sandbox:
            engines = DocumentEngines(sandbox)
            documents = await born_digital_set(Path(folder), engines, page_count)
            pages = sum(document.plan.page_count for document in documents)
            note(f"read: {pages} pages of {len(documents)} PDFs, {PROCESSES} processes")
            for _ in range(_ROUNDS):
                ours.append(await _through_sandbox(engines, documents))
                plain.append(await asyncio.to_thread(read_plainly, documents, PROCESSES))
                note(f"read: {ours[-1]:.1f} s in the sandbox, {plain[-1]:.1f} s in a plain loop")
        paths = [document.path for document in documents]
        theirs = await asyncio.to_thread(
            kreuzberg_seconds, paths, paths[-1], PROCESSES, is_scanned=False
        )
    speed = pages / min(ours)
    Result("read.pages_per_second", speed, "pages/s", peer=pages / min(plain)).print()
    if theirs is not None:
        Result("read.beside_kreuzberg", speed, "pages/s", peer=pages / theirs).print()


async def _through_sandbox(engines: DocumentEngines, documents: Sequence[BornDigital]) -> float:
    started = time.perf_counter()
    async with task_group() as tasks:
        for document in documents:
            tasks.create_task(_read(engines, document))
    return time.perf_counter() - started


async def _read(engines: DocumentEngines, document: BornDigital) -> None:
    """As the stages do it: batch by batch, each kept as JSON, then put together, where the only one
    does not bring along what was."""
    plan = document.plan
    assembled: list[AssembledDocument] = []
    async with task_group() as tasks:
        reads = [
            tasks.create_task(_batch(engines, document.path, plan, batch, assembled.append))
            for batch in batches_of(plan)
        ]
    if not assembled:
        batches = [read.result() for read in reads]
        assembled.append(await engines.assemble(plan, batches, name=DOCUMENT_NAME))
    assembled_product(assembled[0])


async def _batch(
    engines: DocumentEngines,
    path: Path,
    plan: DocumentPlan,
    batch: Batch,
    on_document: OnDocument,
) -> bytes:
    pages = range(batch.first_page, batch.last_page + 1)
    read, failed = await engines.read_text(path, plan, pages, on_document=on_document)
    if len(read.pages) + len(failed) != len(pages):
        raise RuntimeError(f"{path.name}: {len(read.pages)} of {len(pages)} pages were read")
    return read.model_dump_json().encode()

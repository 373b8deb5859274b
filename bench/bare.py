"""The bare engines in a loop: what Muniment's stages compute, without anything around them.

The same sandbox with the same number of processes, the same batches of pages, the same embedder; no
store, no database, no orchestration, nothing kept.
"""

import asyncio
import mimetypes
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from activities.assemble.calls import AssembledDocument
from activities.chunk.activity import ENGINE_MODULE as CHUNK_ENGINE
from activities.chunk.calls import ChunkRequest
from activities.classify.activity import ENGINE_MODULE as CLASSIFY_ENGINE
from activities.classify.calls import ClassifyRequest, PageText
from activities.engines import PRELOAD, DocumentEngines, OnDocument
from activities.sandbox import EngineCall, Sandbox
from muniment.contracts.documents import (
    READ_BY_PAGE,
    ChunkList,
    DocumentPlan,
    FindingList,
    PageBatch,
    PageSource,
)
from muniment.embedding import WINDOW_TOKENS, Embedder, default_model_directory
from muniment.errors import MunimentError
from muniment.task_group import task_group
from workflows.batches import Batch, plan_batches

PROCESSES = os.cpu_count() or 1


class BareEngines:
    def __init__(self, sandbox: Sandbox, embedder: Embedder) -> None:
        self._sandbox = sandbox
        self._engines = DocumentEngines(sandbox)
        self._embedder = embedder

    async def ingest_all(self, paths: Sequence[Path]) -> int:
        """Every document; how many of them the engines could read."""
        async with task_group() as readings:
            tasks = [readings.create_task(self._succeeds(path)) for path in paths]
        return sum(task.result() for task in tasks)

    async def _succeeds(self, path: Path) -> bool:
        try:
            await self.ingest(await asyncio.to_thread(path.read_bytes), path.name)
        except MunimentError:
            return False
        return True

    async def ingest(self, content: bytes, name: str) -> None:
        """One document through all engines, as the stages do it."""
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        plan = await self._engines.inspect(content, declared_media_type=media_type, name=name)
        assembled: list[AssembledDocument] = []
        async with task_group() as reads:
            tasks = [
                reads.create_task(self._read(content, plan, batch, assembled.append))
                for batch in batches_of(plan)
            ]
        batches = [task.result() for task in tasks]
        if not assembled:
            assembled.append(await self._engines.assemble(plan, batches, name=name))
        document = assembled[0].document
        texts = tuple(
            PageText(page=page.page, text=page.text) for batch in batches for page in batch.pages
        )
        call = EngineCall("classify", ClassifyRequest(pages=texts), FindingList)
        await self._sandbox.run(call)
        chunking = EngineCall("chunk", ChunkRequest(window_tokens=WINDOW_TOKENS), ChunkList)
        chunks = await self._sandbox.run(chunking, content=document.encode())
        passages = [chunk.embedding_text() for chunk in chunks.chunks]
        if passages:
            await asyncio.to_thread(self._embedder.embed, passages)

    async def _read(
        self, content: bytes, plan: DocumentPlan, batch: Batch, on_document: OnDocument
    ) -> PageBatch:
        pages = range(batch.first_page, batch.last_page + 1)
        if batch.needs_ocr:
            read, _ = await self._engines.read_ocr(content, plan, pages)
        else:
            read, _ = await self._engines.read_text(content, plan, pages, on_document=on_document)
        return read


def batches_of(plan: DocumentPlan) -> list[Batch]:
    """What the read stage asks of its engines, a call each."""
    if plan.family not in READ_BY_PAGE:
        return [Batch(1, plan.page_count, needs_ocr=False)]
    ocr = [(page.page, page.page) for page in plan.pages if page.source is PageSource.OCR]
    return plan_batches(1, plan.page_count, ocr, plan.page_count)


@asynccontextmanager
async def bare_engines() -> AsyncIterator[BareEngines]:
    """Loaded and warm: the first document pays for nothing but itself."""
    embedder = Embedder(default_model_directory(), threads=PROCESSES)
    await asyncio.to_thread(embedder.load)
    preload = (*PRELOAD, CLASSIFY_ENGINE, CHUNK_ENGINE)
    async with Sandbox(concurrency=PROCESSES, preload=preload) as sandbox:
        await sandbox.ready()
        engines = BareEngines(sandbox, embedder)
        await engines.ingest(b"A first line that warms everything up.\n", "first.txt")
        yield engines

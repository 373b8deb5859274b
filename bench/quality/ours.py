"""Documents read by Muniment's own engines, in their sandbox, without a stack."""

import asyncio
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from activities.assemble.export import to_markdown, to_text
from activities.engines import DocumentEngines
from bench.bare import batches_of
from muniment.contracts.documents import DocumentPlan, Page, PageBatch
from muniment.contracts.read import FailedPage
from muniment.task_group import task_group
from workflows.batches import Batch


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `pages` hold each page's text by number; `failed` counts those
    that no engine could read."""

    markdown: str
    text: str
    pages: dict[int, str]
    failed: int
    engines: tuple[str, ...]


class OurReader:
    """Inspects, reads, assembles and exports, as the stages do it."""

    def __init__(self, engines: DocumentEngines) -> None:
        self._engines = engines

    async def read(self, path: Path, password: str | None) -> Reading:
        """A DocumentError when the document is refused, an EngineError when an engine is at
        fault."""
        plan = await self._engines.inspect(
            path,
            declared_media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            name=path.name,
            password=password,
        )
        async with task_group() as reads:
            tasks = [
                reads.create_task(self._batch(path, plan, batch, password))
                for batch in batches_of(plan)
            ]
        outcomes = [task.result() for task in tasks]
        batches = [batch for batch, _ in outcomes]
        document = (await self._engines.assemble(plan, batches, name=path.name)).document
        pages: list[Page] = [page for batch in batches for page in batch.pages]
        return Reading(
            markdown=await asyncio.to_thread(to_markdown, document),
            text=await asyncio.to_thread(to_text, document),
            pages={page.page: page.text for page in pages},
            failed=sum(len(failed) for _, failed in outcomes),
            engines=tuple(sorted({page.engine for page in pages})),
        )

    async def _batch(
        self, path: Path, plan: DocumentPlan, batch: Batch, password: str | None
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        read = self._engines.read_ocr if batch.needs_ocr else self._engines.read_text
        pages = range(batch.first_page, batch.last_page + 1)
        return await read(path, plan, pages, password)

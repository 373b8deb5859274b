"""Docling's pipeline as stage `read` uses it: a sandbox of its own, and what it makes of pages."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from activities.read.structure_calls import (
    StructureOutcome,
    StructureProgress,
    StructureRequest,
)
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from muniment.contracts.documents import DocumentPlan, Page, PageStructure
from muniment.contracts.read import FailedPage

ENGINE_MODULE = "activities.read.docling_pipeline"
CPU_SECONDS_PER_PAGE = 120
"""On one core; a page full of tables takes longest, each of which is a run of TableFormer."""
SILENT = "docling's pipeline said nothing about this page."

OnStructure = Callable[[PageStructure], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DoclingPipeline:
    """`version` tells this set of libraries and weights from all others; `sandbox` is the one that
    loads them."""

    sandbox: Sandbox
    version: str

    async def structure(
        self,
        content: Path,
        plan: DocumentPlan,
        pages: Sequence[Page],
        password: str | None,
        on_structure: OnStructure,
    ) -> tuple[tuple[PageStructure, ...], tuple[FailedPage, ...]]:
        """The structure of every page, or why it has none. EngineError when the engine fails."""
        made: dict[int, PageStructure] = {}
        failed: dict[int, FailedPage] = {}

        async def take(frame: bytes) -> None:
            progress = StructureProgress.model_validate_json(frame)
            if progress.failed is not None:
                failed[progress.failed.page] = progress.failed
            if progress.structure is not None:
                made[progress.structure.page] = progress.structure
                await on_structure(progress.structure)

        request = StructureRequest(family=plan.family, pages=tuple(pages), password=password)
        cpu_seconds = 60 + CPU_SECONDS_PER_PAGE * len(pages)
        await self.sandbox.run(
            EngineCall("structure_pages", request, StructureOutcome),
            content=content,
            limits=Limits(
                wall_seconds=4 * cpu_seconds, cpu_seconds=cpu_seconds, memory_bytes=4096 * MEBIBYTE
            ),
            on_progress=take,
        )
        for page in pages:
            if page.page not in made and page.page not in failed:
                failed[page.page] = FailedPage(page=page.page, problem=SILENT)
        return tuple(made.values()), tuple(failed.values())

"""Docling's pipeline as stage `read` uses it: a sandbox of its own, and what it makes of pages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activities.read.structure_calls import (
    StructureOutcome,
    StructureProgress,
    StructureRequest,
)
from activities.sandbox import EngineCall, Limits, Sandbox, decoded
from activities.sandbox.limits import MEBIBYTE
from muniment.contracts.documents import DocumentPlan, Page, PageStructure
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.contracts.read import FailedPage
from muniment.errors import ConfigurationError, EngineError, LimitExceeded

ENGINE_MODULE = "activities.read.docling_pipeline"
PAGE_LIMITS = Limits(wall_seconds=240, cpu_seconds=120, memory_bytes=4096 * MEBIBYTE)
"""On one core; a page full of tables takes longest, each of which is a run of TableFormer."""
SILENT = "docling's pipeline said nothing about this page."
NO_TIME = "The time for these pages ended before docling's pipeline was done with this one."
NOT_HERE = "docling's pipeline was chosen and is not here."

OnStructure = Callable[[PageStructure], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DoclingPipeline:
    """`version` tells this set of libraries and weights from all others; `sandbox` is the one that
    loads them."""

    sandbox: Sandbox
    version: str
    page_limits: Limits = PAGE_LIMITS

    async def structure(
        self,
        content: Path,
        plan: DocumentPlan,
        pages: Sequence[Page],
        password: str | None,
        on_structure: OnStructure,
        seconds: float,
    ) -> tuple[tuple[PageStructure, ...], tuple[FailedPage, ...]]:
        """The structure of every page, or why it has none, within `seconds` for all of them. Each
        page has a process of its own, so that one which kills it costs no other; it is tried once
        more at last, since it may have died of what else the machine did. EngineError when the
        engine cannot even start."""
        await self.sandbox.ready()
        made = ReportedStructures(on_structure)
        ends_at = asyncio.get_running_loop().time() + seconds

        async def attempt(page: Page) -> bool:
            """Whether another attempt may help."""
            request = StructureRequest(family=plan.family, pages=(page,), password=password)
            try:
                async with asyncio.timeout_at(ends_at):
                    await self.sandbox.run(
                        EngineCall("structure_pages", request, StructureOutcome),
                        content=content,
                        limits=self.page_limits,
                        on_progress=made.take,
                    )
            except TimeoutError:
                made.fail(page, NO_TIME)
                return False
            except (EngineError, LimitExceeded) as error:
                made.fail(page, error.detail)
                return error.retryable and page.page not in made.made
            made.fail(page, SILENT)
            return False

        for page in [page for page in pages if await attempt(page)]:
            await attempt(page)
        return made.result()


@dataclass(frozen=True, slots=True)
class PdfPipelines:
    """What can find the structure of pages here, and what does (`own`) where a job does not say:
    docling's pipeline, or rules (None), which are always there. `lacking` says why the former is
    not."""

    own: PdfPipelineName = PdfPipelineName.RULES
    docling: DoclingPipeline | None = None
    lacking: str = NOT_HERE

    def chosen(self, name: PdfPipelineName | None) -> DoclingPipeline | None:
        """The one of that name, `own` unless there is one; ConfigurationError where it is not here."""
        if (name or self.own) is PdfPipelineName.RULES:
            return None
        if self.docling is None:
            raise ConfigurationError(
                self.lacking,
                remedy="Install muniment[docling] on every worker that reads, fetch the weights"
                " (docs/operations.md says how) and name their folder in"
                " MUNIMENT_READ__DOCLING_ARTIFACTS; or name the pipeline `rules`.",
            )
        return self.docling


@dataclass(slots=True)
class ReportedStructures:
    """What the engine made and could not make, by page."""

    on_structure: OnStructure
    made: dict[int, PageStructure] = field(default_factory=dict)
    failed: dict[int, FailedPage] = field(default_factory=dict)

    async def take(self, frame: bytes) -> None:
        """One StructureProgress as JSON; raises EngineCrashed for anything else."""
        progress = decoded(StructureProgress, frame)
        if progress.failed is not None:
            self.failed[progress.failed.page] = progress.failed
        if progress.structure is not None:
            self.failed.pop(progress.structure.page, None)
            self.made[progress.structure.page] = progress.structure
            await self.on_structure(progress.structure)

    def fail(self, page: Page, problem: str) -> None:
        """Unless something was said of the page."""
        if page.page not in self.made:
            self.failed.setdefault(page.page, FailedPage(page=page.page, problem=problem))

    def result(self) -> tuple[tuple[PageStructure, ...], tuple[FailedPage, ...]]:
        """Everything, in the pages' order."""
        return (
            tuple(self.made[page] for page in sorted(self.made)),
            tuple(self.failed[page] for page in sorted(self.failed)),
        )

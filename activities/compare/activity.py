"""Temporal's face of the comparison of two readings."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from uuid import UUID

from temporalio import activity

from activities.compare.calls import CompareRequest, ReadingFigures, StructureFigures
from activities.inspect.activity import InspectSummary
from activities.read.summary import ReadSummary, Timing
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.stage import StageRunner
from db.queries.blobs import total_bytes
from db.queries.comparisons import (
    ComparisonFigures,
    condemn_outputs,
    forget_outputs,
    publishing_job_id,
    write_figures,
)
from db.queries.jobs import JobRow, write_job
from db.queries.stages import Opening, Output, outputs_of
from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.compare_reading import (
    MAXIMUM_PAGES,
    CompareActivities,
    CompareInput,
    CompareResult,
    ComparisonPlan,
)
from muniment.contracts.documents import PageSource
from muniment.contracts.inspect import InspectResult
from muniment.contracts.jobs import StageName
from muniment.errors import Conflict, LimitExceeded

ENGINE_MODULE = "activities.compare.engine"
LIMITS = Limits(wall_seconds=480, cpu_seconds=120, memory_bytes=2048 * MEBIBYTE)
"""Two readings of 500 pages take seconds; what takes longer is not worth it."""
MAXIMUM_BYTES = 128 * MEBIBYTE
"""Of both readings together: the worker holds them twice while it hands them to the sandbox, which
holds their documents as objects, several times as large."""


class Compare(CompareActivities):
    """`on_gpu_alone`: the workers' OCR engine reads on the GPU queue, which no comparison uses."""

    def __init__(
        self, runner: StageRunner, sandbox: Sandbox, *, on_gpu_alone: bool = False
    ) -> None:
        self._runner = runner
        self._sandbox = sandbox
        self._on_gpu_alone = on_gpu_alone

    @activity.defn(name="plan_comparison")
    async def plan_comparison(self, version: VersionReference) -> ComparisonPlan:
        runner = self._runner
        async with (
            runner.attempt(version, StageName.READ),
            runner.transaction(version) as session,
        ):
            opening = await runner.open(session, version)
            present = await publishing_job_id(session, version.version_id)
            found = await outputs_of(session, present, StageName.INSPECT) if present else []
            if present is None or not found:
                raise Conflict("Nothing of the version is published that could be compared.")
            inspected = _inspected(found[0])
            if inspected.page_count > MAXIMUM_PAGES:
                raise LimitExceeded(
                    f"The document has {inspected.page_count} pages; {MAXIMUM_PAGES} are compared.",
                    remedy="Compare shorter documents.",
                )
            if self._on_gpu_alone and inspected.ocr_pages and _is_of_workers(opening):
                raise Conflict(
                    "The workers read scanned pages with Surya on the GPU queue, which comparisons"
                    " leave to real work.",
                    remedy="Name an OCR engine to compare with, or reprocess the file to have Surya"
                    " read it.",
                )
            job = _planned(opening, inspected.page_count)
            await write_job(session, job, [], activity.info().workflow_run_id)
        return ComparisonPlan(present_job_id=present, inspected=inspected)

    @activity.defn(name="compare_readings")
    async def compare_readings(self, request: CompareInput) -> CompareResult:
        version = request.version
        async with self._runner.attempt(version, StageName.ASSEMBLE):
            present, candidate = await self._readings(request)
            differing = sorted(_differing(present, candidate))
            figures = _NO_FIGURES
            if differing:
                figures = await self._figures(request, present, candidate, differing)
            async with self._runner.transaction(version) as session:
                await self._runner.open(session, version)
                await write_figures(session, version, _row(figures, present, candidate, differing))
        return CompareResult(pages_compared=len(figures.pages))

    @activity.defn(name="withdraw_comparison")
    async def withdraw_comparison(self, version: VersionReference) -> None:
        runner = self._runner
        async with runner.attempt(version, StageName.READ):
            async with runner.transaction(version) as session:
                condemned = await condemn_outputs(session, version)
            for blob_id in condemned:
                await runner.artifacts.destroy(version.tenant_id, blob_id)
            async with runner.transaction(version) as session:
                await forget_outputs(session, version, condemned)

    async def _readings(self, request: CompareInput) -> tuple["_Reading", "_Reading"]:
        async with self._runner.transaction(request.version) as session:
            await self._runner.open(session, request.version)
            present = await outputs_of(session, request.present_job_id, StageName.READ)
            document = await outputs_of(session, request.present_job_id, StageName.ASSEMBLE)
            candidate = await outputs_of(session, request.version.job_id, StageName.READ)
        if not (present and document):
            raise Conflict("The published reading is no longer there to be compared with.")
        of_document = Artifact(fingerprint=document[0].fingerprint, blob_id=document[0].blob_id)
        return _Reading(present, of_document), _Reading(candidate, request.document)

    async def _figures(
        self,
        request: CompareInput,
        present: "_Reading",
        candidate: "_Reading",
        pages: Sequence[int],
    ) -> ReadingFigures:
        had, has = present.batches_of(pages), candidate.batches_of(pages)
        documents = [present.document.blob_id, candidate.document.blob_id]
        content = await self._content(request.version, [*had, *has, *documents])
        asked = CompareRequest(
            pages=tuple(pages), present_batches=len(had), candidate_batches=len(has)
        )
        call = EngineCall("compare", asked, ReadingFigures)
        return await self._sandbox.run(call, content=content, limits=LIMITS)

    async def _content(self, version: VersionReference, blob_ids: Sequence[UUID]) -> bytes:
        """The artifacts, a line each; LimitExceeded, before any is opened, where they are too large."""
        async with self._runner.transaction(version) as session:
            size_bytes = await total_bytes(session, blob_ids)
        if size_bytes > MAXIMUM_BYTES:
            raise LimitExceeded(
                f"The two readings have {size_bytes} bytes; {MAXIMUM_BYTES} are compared.",
                remedy="Compare documents with fewer pages, or with less on each.",
            )
        artifacts = self._runner.artifacts
        lines = [await artifacts.load_bytes(version.tenant_id, blob_id) for blob_id in blob_ids]
        return await asyncio.to_thread(b"\n".join, lines)


_NO_FIGURES = ReadingFigures(pages=(), structure=StructureFigures())


@dataclass(frozen=True)
class _Reader:
    """Who read a page, or failed of it: versions of an engine, and of the pipeline that it went through
    then (empty: none)."""

    source: PageSource
    engine: str
    structured_by: str

    def names(self) -> set[str]:
        return {self.engine, self.structured_by} - {""}


@dataclass(frozen=True)
class _Reading:
    """One reading of all pages: its batches, and the document made of them."""

    outputs: Sequence[Output]
    document: Artifact

    def summaries(self) -> list[ReadSummary]:
        return [ReadSummary.model_validate(output.summary) for output in self.outputs]

    def batches_of(self, pages: Iterable[int]) -> list[UUID]:
        """The blobs of the batches that hold any of these pages."""
        wanted = frozenset(pages)
        return [
            output.blob_id
            for output, summary in zip(self.outputs, self.summaries(), strict=True)
            if wanted & {facts.page for facts in summary.pages}
        ]

    def readers(self) -> dict[int, _Reader]:
        """Each page's."""
        return {
            page: _Reader(source, summary.readers.get(source, ""), summary.structured_by)
            for summary in self.summaries()
            for page, source in (
                *((facts.page, facts.source) for facts in summary.pages),
                *((failure.page, failure.source) for failure in summary.failures),
            )
        }

    def failed(self, among: frozenset[int]) -> int:
        failures = (failure.page for summary in self.summaries() for failure in summary.failures)
        return sum(page in among for page in failures)

    def timings(self) -> dict[tuple[PageSource, str], Timing]:
        """What engines took for the pages that they read, by source and version."""
        total: dict[tuple[PageSource, str], Timing] = {}
        for summary in self.summaries():
            for source, timing in summary.timings.items():
                key = source, summary.readers.get(source, "")
                total[key] = total.get(key, Timing()).plus(timing)
        return {key: timing for key, timing in total.items() if timing.pages}

    def structuring(self) -> Timing:
        return reduce(Timing.plus, (summary.structuring for summary in self.summaries()), Timing())


def _inspected(found: Output) -> InspectResult:
    """What the published run found; a comparison leaves the GPU queue to real work."""
    summary = InspectSummary.model_validate(found.summary)
    plan = Artifact(fingerprint=found.fingerprint, blob_id=found.blob_id)
    return InspectResult(plan=plan, reused=True, **summary.model_dump())


def _is_of_workers(opening: Opening) -> bool:
    """Whether scanned pages are to be read with whatever the workers were set to."""
    return opening.job.settings.ocr_engine is None


def _planned(opening: Opening, page_count: int) -> JobRow:
    pages = opening.job.pages.model_copy(update={"total": page_count})
    reading = opening.job.stage_progress(StageName.READ)
    planned = reading.model_copy(update={"total": page_count})
    return replace(opening.job.with_stage(planned), pages=pages)


def _differing(present: _Reading, candidate: _Reading) -> set[int]:
    """The pages that another engine or pipeline, or another version of one, was to read: the others
    are the same in both, and would flatter whatever is compared."""
    before = present.readers()
    return {
        page
        for page, reader in candidate.readers().items()
        if page in before and before[page] != reader
    }


def _row(
    figures: ReadingFigures, present: _Reading, candidate: _Reading, differing: Sequence[int]
) -> ComparisonFigures:
    among = frozenset(differing)
    had, has = present.readers(), candidate.readers()
    return ComparisonFigures(
        present_readers=_names(had[page] for page in among),
        candidate_readers=_names(has[page] for page in among),
        present_failed=present.failed(among),
        candidate_failed=candidate.failed(among),
        present_seconds=_seconds_per_page(present, (had[page] for page in among)),
        candidate_seconds=_seconds_per_page(candidate, (has[page] for page in among), present),
        structure=figures.structure.model_dump(mode="json"),
        pages=[page.model_dump(mode="json") for page in figures.pages],
    )


def _names(readers: Iterable[_Reader]) -> list[str]:
    return sorted({name for reader in readers for name in reader.names()})


def _seconds_per_page(
    reading: _Reading, readers: Iterable[_Reader], other: _Reading | None = None
) -> float | None:
    """What these readers took, by the clock; None where it is not known of any page. Of an engine whose
    pages were all found, what it took when the `other` was read."""
    known = (other.timings() if other else {}) | reading.timings()
    keys = {(reader.source, reader.engine) for reader in readers}
    read = reduce(Timing.plus, (known.get(key, Timing()) for key in keys), Timing())
    if not read.pages:
        return None
    structured = reading.structuring()
    structuring = structured.seconds / structured.pages if structured.pages else 0.0
    return round(read.seconds / read.pages + structuring, 4)

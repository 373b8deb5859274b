"""Temporal's face of stage `read`."""

import time
from collections.abc import Awaitable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from temporalio import activity

from activities.assemble.calls import AssembledDocument
from activities.assemble.product import assembled_fingerprint, assembled_product
from activities.engines import DocumentEngines
from activities.fingerprints import fingerprint
from activities.heartbeats import Heartbeats, attempt_seconds
from activities.read.record import MadeAlong, PageNote, ReadRecord
from activities.read.structures import DoclingPipeline, PdfPipelines
from activities.read.summary import (
    ENGINES,
    Making,
    ReadSummary,
    Timing,
    readers_of,
    summarise,
)
from activities.read.unchanged import UnchangedPages
from activities.read.unsure_pages import OcrReader
from activities.scratch import Scratch
from activities.stage import StageRunner
from db.queries.stages import Opening, StoredResult, find_results
from muniment.contracts.base import Artifact
from muniment.contracts.documents import (
    READ_BY_PAGE,
    DocumentPlan,
    Page,
    PageBatch,
    PageSource,
    PageStructure,
)
from muniment.contracts.jobs import StageName, StageState
from muniment.contracts.read import (
    FailedPage,
    ReadActivities,
    ReadBatchInput,
    ReadBatchResult,
    ReadHeartbeat,
)
from muniment.errors import EngineError, KeyDestroyed

KEEPING_SECONDS = 120.0
"""So much of an attempt's time is left for keeping what was read: it takes seconds."""


@dataclass(frozen=True)
class _Batch:
    """A batch with all that is known before reading: what is asked for, by which engines and which
    pipeline, if any, and what was found."""

    request: ReadBatchInput
    plan: DocumentPlan
    opening: Opening
    engines: DocumentEngines
    pipeline: DoclingPipeline | None
    fingerprint: str
    page_fingerprints: dict[int, str]
    found: dict[str, StoredResult]

    def known_pages(self) -> dict[int, StoredResult]:
        """Pages found by their own fingerprints."""
        return {
            page: self.found[key]
            for page, key in self.page_fingerprints.items()
            if key in self.found
        }

    def labelled(self, page: Page) -> Page:
        """The page with the number printed on it, which a picture's reader cannot know."""
        label = self.labels.get(page.page)
        return page if label is None else page.model_copy(update={"label": label})

    @cached_property
    def labels(self) -> dict[int, str]:
        return {page.page: page.label for page in self.plan.pages if page.label is not None}

    def pages_of(self, source: PageSource, without: Container[int]) -> list[int]:
        first, last = self.request.first_page, self.request.last_page
        return [
            page.page
            for page in self.plan.pages
            if first <= page.page <= last and page.source is source and page.page not in without
        ]


class Read(ReadActivities):
    """`ocr` recognises pages; without one the engines do. One of `pipelines` finds the structure of
    pages that are read one by one; where none is chosen `assemble` does, by rules."""

    def __init__(
        self,
        runner: StageRunner,
        engines: DocumentEngines,
        scratch: Scratch,
        ocr: OcrReader | None = None,
        pipelines: PdfPipelines | None = None,
    ) -> None:
        self._runner = runner
        self._engines = engines
        self._scratch = scratch
        self._unchanged = UnchangedPages(runner, engines, scratch)
        self._ocr: OcrReader = ocr or engines
        self._pipelines = pipelines or PdfPipelines()

    @activity.defn(name="read_pages")
    async def read_pages(self, batch: ReadBatchInput) -> ReadBatchResult:
        async with self._runner.attempt(batch.version, StageName.READ) as beating:
            plan = await self._runner.artifacts.load(
                batch.version.tenant_id, batch.plan.blob_id, DocumentPlan
            )
            found = await self._begin(batch, plan)
            if found.fingerprint in found.found:
                return _result(found.found[found.fingerprint])
            return await self._read(found, beating)

    async def _begin(self, request: ReadBatchInput, plan: DocumentPlan) -> _Batch:
        """Finds what was read before; a whole batch is taken over at once."""
        version = request.version
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
            settings = opening.job.settings
            engines = self._engines.with_ocr(settings.ocr_engine)
            by_page = plan.family in READ_BY_PAGE
            pipeline = self._pipelines.chosen(settings.pdf_pipeline) if by_page else None
            key = _batch_fingerprint(engines, pipeline, opening, plan, request)
            page_keys = _page_fingerprints(engines, opening, plan, request)
            found = await find_results(session, version.job_id, [key, *page_keys.values()])
            batch = _Batch(request, plan, opening, engines, pipeline, key, page_keys, found)
            if key not in found:
                await self._runner.begin(session, opening, StageName.READ)
            elif not found[key].is_own:
                found[key] = _as_reused(found[key])
                await ReadRecord(self._runner, version, plan).reuse_batch(
                    session,
                    opening.job,
                    request.first_page,
                    found[key],
                    _reused_notes(found[key]),
                )
            return batch

    async def _read(self, batch: _Batch, beating: Heartbeats) -> ReadBatchResult:
        version = batch.request.version
        ends_at = time.monotonic() + attempt_seconds() - KEEPING_SECONDS
        known = await self._load_known(batch)
        unread = [page for page in batch.page_fingerprints if page not in known]
        unchanged = await self._unchanged.find(
            version, batch.opening, batch.plan, unread, batch.engines
        )
        known |= unchanged
        record = ReadRecord(self._runner, version, batch.plan)
        progress = _Progress(beating, len(known))
        read = _Read(list(known.values()), set(unchanged))

        async def on_text(page: Page) -> None:
            read.last_page_at = time.perf_counter()
            progress.advance(page)

        async def on_ocr(page: Page) -> None:
            note = PageNote(page.page, StageState.COMPLETED, page.engine)
            key = batch.page_fingerprints[page.page]
            await record.keep_page(note, key, _from_here(batch.labelled(page)))
            progress.advance(page)

        async with self._scratch.opened(
            version.tenant_id, batch.opening.content_blob_id, batch.opening.content_size
        ) as content:
            password = await self._runner.artifacts.load_password(version.tenant_id, batch.opening)
            if pages := batch.pages_of(PageSource.TEXT, without=known):
                reading = self._engines.read_text(
                    *(content, batch.plan, pages, password, on_text),
                    # What a pipeline finds in the pages comes into the document too.
                    on_document=read.put_together if batch.pipeline is None else None,
                )
                await read.absorb(PageSource.TEXT, reading)
            if pages := batch.pages_of(PageSource.OCR, without=known):
                reader = self._ocr if batch.engines is self._engines else batch.engines
                reading = reader.read_ocr(content, batch.plan, pages, password, on_ocr)
                await read.absorb(PageSource.OCR, reading)
            await self._structure(batch, content, password, read, beating, ends_at)
        return await self._keep(batch, record, read)

    async def _structure(
        self,
        batch: _Batch,
        content: Path,
        password: str | None,
        read: "_Read",
        beating: Heartbeats,
        ends_at: float,
    ) -> None:
        """All pages of the batch through the pipeline, where one was chosen: those that were found
        too, since pages are kept as they were read. What it has not done at `ends_at` (monotonic)
        fails: an attempt that ran out of its time would begin anew, for days."""
        if batch.pipeline is None or not read.pages:
            return
        # Loading is no page's time, and part of this attempt's.
        await batch.pipeline.sandbox.ready()
        began = time.perf_counter()
        pages_done = len(read.pages)

        async def on_structure(structure: PageStructure) -> None:
            beating.advance(ReadHeartbeat(pages_done=pages_done, page=structure.page))

        structures, failed = await batch.pipeline.structure(
            content,
            batch.plan,
            read.pages,
            password,
            on_structure,
            seconds=ends_at - time.monotonic(),
        )
        seconds = round(time.perf_counter() - began, 3)
        read.structuring = Timing(pages=len(structures) + len(failed), seconds=seconds)
        read.absorb_structures(structures, failed)

    async def _load_known(self, batch: _Batch) -> dict[int, Page]:
        """Pages that were read before. One that another file's erasure has taken away since it was
        found is read anew."""
        tenant_id = batch.request.version.tenant_id
        known = {}
        for page, result in batch.known_pages().items():
            try:
                known[page] = await self._runner.artifacts.load(tenant_id, result.blob_id, Page)
            except KeyDestroyed:
                del batch.found[result.fingerprint]
        return known

    async def _keep(self, batch: _Batch, record: ReadRecord, read: "_Read") -> ReadBatchResult:
        request = batch.request
        read.fail_unread(batch)
        known = batch.known_pages()
        taken_over = read.remaining(
            {page for page, result in known.items() if not result.is_own} | read.unchanged
        )
        if read.failed:
            await self._keep_text_pages(batch, record, read)
        summary = summarise(
            batch.plan,
            request.last_page,
            read.pages,
            read.failed,
            taken_over,
            Making(
                readers_of(batch.engines, _sources(batch.plan, request)),
                batch.pipeline.version if batch.pipeline else "",
                read.timings,
                read.structuring,
            ),
        )
        content = PageBatch(
            pages=tuple(map(batch.labelled, read.pages)),
            document=read.document,
            structures=read.structures,
        ).model_dump_json()
        blob = await self._runner.artifacts.seal(request.version.tenant_id, content.encode())
        key = _failed_fingerprint(batch.fingerprint, blob.sha256, read.failed)
        result = StoredResult(key, blob.blob_id, summary.model_dump(mode="json"))
        kept = await record.keep_batch(
            request.first_page,
            result,
            blob,
            _notes(summary, taken_over, told=_told(batch, known)),
            is_complete=not read.failed,
            document=_made_along(request, key, read),
        )
        return _result(kept)

    async def _keep_text_pages(self, batch: _Batch, record: ReadRecord, read: "_Read") -> None:
        """Text pages of a batch that stays incomplete, each alone: the run that heals the others
        then finds them. OCR kept its own as they were read."""
        known = batch.known_pages()
        for page in read.pages:
            key = batch.page_fingerprints.get(page.page)
            if page.source is PageSource.TEXT and key is not None and page.page not in known:
                await record.keep_quietly(page.page, key, page.model_dump_json().encode())


class _Read:
    """What was read of a batch, in the order of its pages; `unchanged` are those that were found in
    the version before."""

    def __init__(self, known: list[Page], unchanged: set[int]) -> None:
        self.pages = sorted(known, key=lambda page: page.page)
        self.unchanged = unchanged
        self.failed: list[FailedPage] = []
        self.document: str | None = None
        self.assembled: AssembledDocument | None = None
        self.last_page_at = 0.0
        self.timings: dict[PageSource, Timing] = {}
        self.structures: tuple[PageStructure, ...] = ()
        self.structuring = Timing()

    async def absorb(
        self, source: PageSource, reading: Awaitable[tuple[PageBatch, Sequence[FailedPage]]]
    ) -> None:
        """Takes in what the engine reads, and how long it takes."""
        began = time.perf_counter()
        batch, failed = await reading
        ended = time.perf_counter()
        if source is PageSource.TEXT and not failed:
            # What came after the last page, made or not, was no reading.
            ended = self.last_page_at or ended
        self.timings[source] = Timing(pages=len(batch.pages), seconds=round(ended - began, 3))
        read = [_from_here(page) for page in batch.pages]
        self.pages = sorted([*self.pages, *read], key=lambda page: page.page)
        self.failed.extend(failed)
        self.document = batch.document or self.document

    def put_together(self, assembled: AssembledDocument) -> None:
        """The document of all pages that are read."""
        self.assembled = assembled

    def absorb_structures(
        self, structures: tuple[PageStructure, ...], failed: Sequence[FailedPage]
    ) -> None:
        """A page without the structure that was asked for is not given out as read."""
        self.structures = structures
        self.failed.extend(failed)
        lost = {failure.page for failure in failed}
        self.pages = [page for page in self.pages if page.page not in lost]

    def remaining(self, pages: set[int]) -> set[int]:
        """Those of `pages` that did not fail after they were found."""
        return pages.intersection(page.page for page in self.pages)

    def fail_unread(self, batch: _Batch) -> None:
        """Pages of which an engine said nothing at all are not passed over in silence."""
        if batch.plan.family not in READ_BY_PAGE:
            return
        told = {page.page for page in self.pages} | {failure.page for failure in self.failed}
        for page in range(batch.request.first_page, batch.request.last_page + 1):
            if page not in told:
                self.failed.append(FailedPage(page=page, problem=EngineError.title))


class _Progress:
    """Counts the pages of a batch for its heartbeats."""

    def __init__(self, beating: Heartbeats, pages_done: int) -> None:
        self._beating = beating
        self._pages_done = pages_done

    def advance(self, page: Page) -> None:
        self._pages_done += 1
        self._beating.advance(ReadHeartbeat(pages_done=self._pages_done, page=page.page))


def _from_here(page: Page) -> Page:
    """The page as read by a worker of this attempt's queue."""
    return page.model_copy(update={"queue": activity.info().task_queue})


def _sources(plan: DocumentPlan, request: ReadBatchInput) -> set[PageSource]:
    """How the pages of the batch are to be read."""
    first, last = request.first_page, request.last_page
    return {page.source for page in plan.pages if first <= page.page <= last}


def _batch_fingerprint(
    engines: DocumentEngines,
    pipeline: DoclingPipeline | None,
    opening: Opening,
    plan: DocumentPlan,
    request: ReadBatchInput,
) -> str:
    versions = list(readers_of(engines, _sources(plan, request)).values())
    if pipeline is not None:
        versions.append(pipeline.version)
    return fingerprint(
        StageName.READ,
        "+".join(versions),
        [*opening.inputs(), request.plan.fingerprint],
        {"first_page": request.first_page, "last_page": request.last_page},
    )


def _page_fingerprints(
    engines: DocumentEngines, opening: Opening, plan: DocumentPlan, request: ReadBatchInput
) -> dict[int, str]:
    """Each page with the fingerprint under which it is kept alone; none where a document is read
    whole."""
    if plan.family not in READ_BY_PAGE:
        return {}
    return {
        page.page: fingerprint(
            StageName.READ,
            engines.version(ENGINES[page.source]),
            opening.inputs(),
            {"page": page.page, "media_type": plan.media_type},
        )
        for page in plan.pages
        if request.first_page <= page.page <= request.last_page
    }


def _failed_fingerprint(complete: str, sha256: bytes, failed: Sequence[FailedPage]) -> str:
    """A batch with failed pages must not be found by a later run, but what is made of it may be
    found by what it holds."""
    if not failed:
        return complete
    return fingerprint(
        StageName.READ, "incomplete", [complete, sha256.hex(), *(str(f.page) for f in failed)]
    )


def _made_along(request: ReadBatchInput, key: str, read: _Read) -> MadeAlong | None:
    """The document of a batch that is all of it; none where a page is missing in it."""
    if read.assembled is None or read.failed:
        return None
    return MadeAlong(assembled_fingerprint(request.plan, [key]), assembled_product(read.assembled))


def _told(batch: _Batch, known: Mapping[int, StoredResult]) -> set[int]:
    """Pages that an attempt before this one recognised, and told of when it kept them."""
    own = {page for page, result in known.items() if result.is_own}
    return own.intersection(batch.pages_of(PageSource.OCR, without=()))


def _notes(summary: ReadSummary, taken_over: set[int], told: set[int]) -> list[PageNote]:
    """What to tell of a batch's pages; OCR told of its pages one by one."""
    notes = []
    for page in summary.pages:
        if page.page in told:
            continue
        if page.page in taken_over:
            notes.append(PageNote(page.page, StageState.REUSED, page.engine))
        elif page.source is PageSource.TEXT:
            notes.append(PageNote(page.page, StageState.COMPLETED, page.engine))
    notes += [
        PageNote(failure.page, StageState.FAILED, ENGINES[failure.source])
        for failure in summary.failures
    ]
    return notes


def _as_reused(result: StoredResult) -> StoredResult:
    summary = ReadSummary.model_validate(result.summary)
    # Counted anew: what was kept long ago does not say it.
    sources = [page.source for page in summary.pages] + [each.source for each in summary.failures]
    by_ocr = sources.count(PageSource.OCR)
    counts = {"reused": summary.done, "ocr_settled": by_ocr, "ocr_reused": by_ocr}
    reused = summary.model_copy(update=counts)
    return replace(result, summary=reused.model_dump(mode="json"))


def _reused_notes(result: StoredResult) -> list[PageNote]:
    summary = ReadSummary.model_validate(result.summary)
    return [PageNote(page.page, StageState.REUSED, page.engine) for page in summary.pages]


def _result(result: StoredResult) -> ReadBatchResult:
    summary = ReadSummary.model_validate(result.summary)
    return ReadBatchResult(
        output=Artifact(fingerprint=result.fingerprint, blob_id=result.blob_id),
        pages_done=summary.done,
        pages_reused=summary.reused,
        failed=tuple(
            FailedPage(page=failure.page, problem=failure.problem) for failure in summary.failures
        ),
        reused=summary.reused == summary.done and summary.done > 0,
    )

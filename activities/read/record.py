"""What reading writes to the job: pages as they are read, and batches when they are done.

Counts come from the outputs, never from adding up: an attempt that is repeated changes nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.assemble.product import AssembleSummary
from activities.stage import Product, StageRunner, stage_event
from db.models import now
from db.queries.events import NewEvent
from db.queries.jobs import JobRow, write_job
from db.queries.stages import (
    READ_PAGE,
    NewBlob,
    OutputKey,
    StoredResult,
    count_pages,
    keep_blob,
    keep_result,
    write_output,
)
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import DocumentPlan, Page, PageSource
from muniment.contracts.jobs import JobEventKind, PageEvent, StageName, StageState
from muniment.errors import MunimentError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageNote:
    """A page of which the job's readers are told."""

    page: int
    state: StageState
    engine: str


@dataclass(frozen=True)
class MadeAlong:
    """The document that was put together out of a batch, the only one of its version, with the
    fingerprint under which the stage `assemble` looks for it."""

    fingerprint: str
    product: Product[AssembleSummary]


class ReadRecord:
    """Writes outputs, counts and events of the stage `read` of one version."""

    def __init__(self, runner: StageRunner, version: VersionReference, plan: DocumentPlan) -> None:
        self._runner = runner
        self._version = version
        self._by_ocr = sum(page.source is PageSource.OCR for page in plan.pages)

    async def keep_page(self, note: PageNote, fingerprint: str, page: Page) -> None:
        """Keeps one page of a batch still at work, so that another attempt starts after it."""
        content = page.model_dump_json().encode()
        blob = await self._runner.artifacts.seal(self._version.tenant_id, content)
        key = OutputKey(self._version, READ_PAGE, page.page)
        summary: dict[str, JsonValue] = {
            "source": page.source.value,
            "characters": len(page.text),
        }
        await self._keep(key, StoredResult(fingerprint, blob.blob_id, summary), blob, [note], True)

    async def keep_quietly(self, page: int, fingerprint: str, content: bytes) -> None:
        """Keeps one page of which the batch itself will tell."""
        blob = await self._runner.artifacts.seal(self._version.tenant_id, content)
        key = OutputKey(self._version, READ_PAGE, page)
        await self._keep(key, StoredResult(fingerprint, blob.blob_id, {}), blob, [], True)

    async def keep_batch(
        self,
        first_page: int,
        result: StoredResult,
        blob: NewBlob,
        notes: Sequence[PageNote],
        *,
        is_complete: bool,
        document: MadeAlong | None,
    ) -> StoredResult:
        """Keeps a batch; under its fingerprint only when every page of it was read."""
        key = OutputKey(self._version, StageName.READ.value, first_page)
        return await self._keep(key, result, blob, notes, is_complete, document)

    async def reuse_batch(
        self,
        session: AsyncSession,
        job: JobRow,
        first_page: int,
        result: StoredResult,
        notes: Sequence[PageNote],
    ) -> None:
        """Takes over a batch that was found, within the transaction that found it."""
        key = OutputKey(self._version, StageName.READ.value, first_page)
        await write_output(session, key, result)
        await self._count(session, job, notes)

    async def _keep(
        self,
        key: OutputKey,
        result: StoredResult,
        blob: NewBlob,
        notes: Sequence[PageNote],
        is_complete: bool,
        document: MadeAlong | None = None,
    ) -> StoredResult:
        runner, version = self._runner, self._version
        made, needed = [blob], set[UUID]()
        try:
            sealed = None if document is None else await self._seal_document(document)
            if sealed is not None:
                made.append(sealed)
            async with runner.transaction(version) as session:
                job = await runner.relock(session, version)
                if is_complete:
                    kept = await keep_result(session, key, result.fingerprint, blob, result.summary)
                else:
                    await keep_blob(session, version, blob)
                    kept = result
                    await write_output(session, key, kept)
                needed.add(kept.blob_id)
                if document is not None and sealed is not None:
                    needed.add(await self._keep_document(session, document, sealed))
                await self._count(session, job, notes)
        except BaseException:
            await runner.discard(version.tenant_id, *made)
            raise
        await runner.discard(
            version.tenant_id, *(each for each in made if each.blob_id not in needed)
        )
        return kept

    async def _seal_document(self, document: MadeAlong) -> NewBlob | None:
        """None where the store fails: what was read is not given up for that."""
        try:
            return await self._runner.artifacts.seal(
                self._version.tenant_id, document.product.content
            )
        except MunimentError as error:
            logger.warning("a document made along was not kept", extra={"reason": error.problem})
            return None

    async def _keep_document(
        self, session: AsyncSession, document: MadeAlong, blob: NewBlob
    ) -> UUID:
        """As the output of a stage that has not begun: it finds its work done, and says so."""
        key = OutputKey(self._version, StageName.ASSEMBLE.value, 0)
        summary = document.product.summary.model_dump(mode="json")
        kept = await keep_result(session, key, document.fingerprint, blob, summary)
        return kept.blob_id

    async def _count(self, session: AsyncSession, job: JobRow, notes: Sequence[PageNote]) -> None:
        """Counts anew, and ends the stage with its last page."""
        stage = job.stage_progress(StageName.READ)
        pages, counts = await count_pages(session, job.id, job.pages.total, self._by_ocr)
        over = pages.done + pages.failed
        stage = stage.model_copy(
            update={
                "done": over,
                "total": max(pages.total, 1),
                "attempts": max(stage.attempts, 1),
                "queue": activity.info().task_queue,
                "started_at": stage.started_at or now(),
                "counts": counts,
            }
        )
        is_over = over >= pages.total
        if is_over:
            all_reused = pages.reused >= pages.total
            stage = stage.model_copy(
                update={
                    "state": StageState.REUSED if all_reused else StageState.COMPLETED,
                    "finished_at": now(),
                }
            )
        job = replace(job.with_stage(stage), pages=pages, degraded=pages.failed > 0)
        events = [_page_event(job, note) for note in notes]
        if is_over:
            events.append(stage_event(stage))
        await write_job(session, job, events, activity.info().workflow_run_id)


def _page_event(job: JobRow, note: PageNote) -> NewEvent:
    event = PageEvent(
        page=note.page,
        state=note.state,
        queue=activity.info().task_queue,
        engine=note.engine,
        pages=job.pages,
        percent=job.percent,
    )
    return NewEvent(JobEventKind.PAGE, event.model_dump(mode="json"))

"""Temporal's face of stage `inspect`."""

import logging
from dataclasses import replace
from pathlib import Path, PurePath

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.engines import DocumentEngines
from activities.fingerprints import fingerprint
from activities.inspect.route import OcrRoute
from activities.scratch import Scratch
from activities.stage import Product, StageRunner, StageTask
from db.queries.jobs import JobRow
from db.queries.quotas import Quota, count_pages
from db.queries.stages import Opening
from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.documents import DocumentFamily, DocumentPlan, PageSource
from muniment.contracts.inspect import InspectActivities, InspectResult
from muniment.contracts.jobs import StageName
from muniment.contracts.page_ranges import write_ranges
from muniment.errors import EmptyFile, EngineError, LimitExceeded, NoPages

logger = logging.getLogger(__name__)


class InspectSummary(Contract):
    """What the workflow and the job's row need of the plan."""

    media_type: str
    family: DocumentFamily
    page_count: int
    ocr_pages: str
    member_count: int = 0
    has_password: bool = False


class Inspect(InspectActivities):
    """`max_pages` is the most that a document may have; `route` decides which queue does OCR;
    `default_quota` is that of tenants without one of their own."""

    def __init__(
        self,
        runner: StageRunner,
        engines: DocumentEngines,
        scratch: Scratch,
        max_pages: int,
        route: OcrRoute,
        default_quota: Quota,
    ) -> None:
        self._runner = runner
        self._engines = engines
        self._scratch = scratch
        self._max_pages = max_pages
        self._route = route
        self._default_quota = default_quota

    @activity.defn(name="inspect_document")
    async def inspect_document(self, version: VersionReference) -> InspectResult:
        async def compute(opening: Opening) -> Product[InspectSummary]:
            return await self._inspect(version, opening)

        async def claim(session: AsyncSession, summary: InspectSummary) -> None:
            pages = summary.page_count
            await count_pages(session, version.version_id, pages, self._default_quota)

        answer = await self._runner.run(
            StageTask(
                StageName.INSPECT,
                version,
                InspectSummary,
                self._fingerprint,
                compute,
                _plan_pages,
                claim,
            )
        )
        return InspectResult(
            plan=answer.artifact,
            reused=answer.reused,
            gpu_wait_seconds=await self._route.gpu_wait_seconds(answer.settings.ocr_engine)
            if answer.summary.ocr_pages
            else None,
            **answer.summary.model_dump(),
        )

    def _fingerprint(self, opening: Opening) -> str:
        """Of the name only the extension counts: it decides between text formats."""
        # Summaries did not always say of documents with a password whether they need it.
        locked = {"needs_password": True} if opening.password_blob_id is not None else {}
        return fingerprint(
            StageName.INSPECT,
            self._engines.version("inspect"),
            opening.inputs(),
            {
                "extension": PurePath(opening.name).suffix.lower(),
                "declared_media_type": opening.declared_media_type,
                "max_pages": self._max_pages,
                **locked,
            },
        )

    async def _inspect(
        self, version: VersionReference, opening: Opening
    ) -> Product[InspectSummary]:
        if opening.content_size == 0:
            raise EmptyFile("The file has no bytes.")
        async with self._scratch.opened(
            version.tenant_id, opening.content_blob_id, opening.content_size
        ) as content:
            password = await self._runner.artifacts.load_password(version.tenant_id, opening)
            name = f"document{PurePath(opening.name).suffix}"
            plan = await self._engines.inspect(
                content,
                password=password,
                declared_media_type=opening.declared_media_type,
                name=name,
            )
            is_complete = True
            if password is None and self._engines.converts(plan):
                plan, is_complete = await self._plan_converted(version, content, plan, name)
        if plan.page_count == 0:
            raise NoPages("The document has no pages.")
        if plan.page_count > self._max_pages:
            raise LimitExceeded(
                f"The document has {plan.page_count} pages; the limit is {self._max_pages}"
                " (MUNIMENT_LIMITS__MAX_PAGES)."
            )
        return Product(plan.model_dump_json().encode(), _summary(plan), is_complete)

    async def _plan_converted(
        self, version: VersionReference, content: Path, plan: DocumentPlan, name: str
    ) -> tuple[DocumentPlan, bool]:
        """The plan of the converted document; the one that was given, and False, once LibreOffice has
        failed as often as an engine may."""
        try:
            return await self._engines.plan_converted(content, plan, name=name), True
        except EngineError as error:
            if not await self._runner.is_last_failure(version, StageName.INSPECT, error):
                raise
            logger.warning("a document was not converted", extra={"reason": error.problem})
            return plan, False


def _summary(plan: DocumentPlan) -> InspectSummary:
    return InspectSummary(
        media_type=plan.media_type,
        family=plan.family,
        page_count=plan.page_count,
        member_count=plan.member_count,
        has_password=plan.needs_password,
        ocr_pages=write_ranges(page.page for page in plan.pages if page.source is PageSource.OCR),
    )


def _plan_pages(job: JobRow, summary: InspectSummary) -> JobRow:
    """From here on the job knows how many pages there are to read."""
    pages = job.pages.model_copy(update={"total": summary.page_count})
    read = job.stage_progress(StageName.READ)
    planned = read.model_copy(update={"total": summary.page_count})
    return replace(job.with_stage(planned), pages=pages)

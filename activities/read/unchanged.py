"""Pages that are the same as when they were read before: those are not read anew.

Nothing is computed for a first version, and no digest for another run of one.
See docs/decisions/0013-unchanged-pages.md.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from activities.engines import DocumentEngines
from activities.read.known_digests import KnownDigests
from activities.read.summary import ReadSummary
from activities.scratch import Scratch
from activities.stage import StageRunner
from db.queries.stages import Opening, Output, earlier_run, earlier_version, outputs_of
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import READ_BY_PAGE, DocumentFamily, DocumentPlan, Page, PageBatch
from muniment.contracts.jobs import StageName
from muniment.errors import IntegrityError

logger = logging.getLogger(__name__)


class UnchangedPages:
    """Finds pages in what an earlier run read of the version, and by their content in what was
    read of the version before."""

    def __init__(self, runner: StageRunner, engines: DocumentEngines, scratch: Scratch) -> None:
        self._runner = runner
        self._digests = KnownDigests(engines, scratch)

    async def find(
        self,
        version: VersionReference,
        opening: Opening,
        plan: DocumentPlan,
        pages: Sequence[int],
        engines: DocumentEngines,
    ) -> dict[int, Page]:
        """Those of the pages that these engines have read before, under their numbers here."""
        found = await self._of_earlier_runs(version, plan, pages, engines)
        unread = [page for page in pages if page not in found]
        return found | await self._of_earlier_version(version, opening, plan, unread, engines)

    async def _of_earlier_runs(
        self,
        version: VersionReference,
        plan: DocumentPlan,
        pages: Sequence[int],
        engines: DocumentEngines,
    ) -> dict[int, Page]:
        """Another setting changes how some pages are read; the others stay as they were."""
        if plan.family not in READ_BY_PAGE or not pages:
            return {}
        async with self._runner.transaction(version) as session:
            job_id = await earlier_run(session, version)
            if job_id is None:
                return {}
            outputs = await outputs_of(session, job_id, StageName.READ)
        wanted = {page: page for page in pages}
        try:
            return await self._load(version.tenant_id, plan, outputs, wanted, engines)
        except IntegrityError as error:
            logger.info("no page is found from before", extra={"reason": error.problem})
            return {}

    async def _of_earlier_version(
        self,
        version: VersionReference,
        opening: Opening,
        plan: DocumentPlan,
        pages: Sequence[int],
        engines: DocumentEngines,
    ) -> dict[int, Page]:
        if plan.family is not DocumentFamily.PDF or not pages:
            return {}
        async with self._runner.transaction(version) as session:
            earlier = await earlier_version(session, version)
            if earlier is None:
                return {}
            outputs = await outputs_of(session, earlier.job_id, StageName.READ)
        tenant_id = version.tenant_id
        try:
            # No password of the version before is left: where it is encrypted, this ends here.
            before = await self._digests.of(tenant_id, earlier.blob_id, earlier.size)
            if not before.digests:
                return {}
            password = await self._runner.artifacts.load_password(tenant_id, opening)
            here = await self._digests.of(
                tenant_id, opening.content_blob_id, opening.content_size, password
            )
            numbers = {digest: number for number, digest in enumerate(before.digests, 1) if digest}
            wanted = {
                page: numbers[here.digests[page - 1]]
                for page in pages
                if page <= len(here.digests) and here.digests[page - 1] in numbers
            }
            found = await self._load(tenant_id, plan, outputs, wanted, engines)
            return {
                number: _as_here(page, number, here.labels[number - 1])
                for number, page in found.items()
            }
        except IntegrityError as error:
            logger.info("no page is found unchanged", extra={"reason": error.problem})
            return {}

    async def _load(
        self,
        tenant_id: UUID,
        plan: DocumentPlan,
        outputs: Sequence[Output],
        wanted: dict[int, int],
        engines: DocumentEngines,
    ) -> dict[int, Page]:
        """The pages as they were read; `wanted` says which page of what was read before each is."""
        sources = {planned.page: planned.source for planned in plan.pages}
        found: dict[int, Page] = {}
        for output in outputs:
            summary = ReadSummary.model_validate(output.summary)
            here = [
                page
                for page, number in wanted.items()
                if output.part <= number <= summary.last_page
                and page in sources
                and summary.is_by(engines, sources[page])
            ]
            if not here:
                continue
            batch = await self._runner.artifacts.load(tenant_id, output.blob_id, PageBatch)
            read = {page.page: page for page in batch.pages}
            for page in here:
                known = read.get(wanted[page])
                if known is not None and known.source is sources.get(page):
                    found[page] = known
        return found


def _as_here(page: Page, number: int, label: str | None) -> Page:
    return page.model_copy(update={"page": number, "label": label})

"""Pages of a new version that are the same as in the version before: those are not read anew.

Nothing is computed for a first version. See docs/decisions/0013-unchanged-pages.md.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from activities.engines import DocumentEngines
from activities.read.calls import PageDigests
from activities.read.summary import ReadSummary
from activities.scratch import Scratch
from activities.stage import StageRunner
from db.queries.stages import Opening, Output, earlier_version, outputs_of
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import DocumentFamily, DocumentPlan, Page, PageBatch, PageSource
from muniment.contracts.jobs import StageName
from muniment.errors import DocumentError, EngineError, IntegrityError

logger = logging.getLogger(__name__)
DOCUMENTS_REMEMBERED = 16
"""Digests of so many documents are kept in memory: batches of one are read at the same time."""


class UnchangedPages:
    """Finds pages by their content in what was read of the version before."""

    def __init__(self, runner: StageRunner, engines: DocumentEngines, scratch: Scratch) -> None:
        self._runner = runner
        self._engines = engines
        self._scratch = scratch
        self._digests: OrderedDict[UUID, PageDigests] = OrderedDict()
        self._digesting = asyncio.Lock()

    async def find(
        self, version: VersionReference, opening: Opening, plan: DocumentPlan, pages: Sequence[int]
    ) -> dict[int, Page]:
        """Those of the pages that were read before by the same engines, under their numbers here."""
        if plan.family is not DocumentFamily.PDF or not pages:
            return {}
        async with self._runner.transaction(version) as session:
            earlier = await earlier_version(session, version)
            if earlier is None:
                return {}
            outputs = await outputs_of(session, earlier.job_id, StageName.READ)
        tenant_id = version.tenant_id
        try:
            password = await self._runner.artifacts.load_password(tenant_id, opening)
            here = await self._of(
                tenant_id, opening.content_blob_id, opening.content_size, password
            )
            before = await self._of(tenant_id, earlier.blob_id, earlier.size)
            numbers = {digest: number for number, digest in enumerate(before.digests, 1) if digest}
            wanted = {
                page: numbers[here.digests[page - 1]]
                for page in pages
                if page <= len(here.digests) and here.digests[page - 1] in numbers
            }
            found = await self._load(tenant_id, plan, outputs, wanted)
            return {
                number: _as_here(page, number, here.labels[number - 1])
                for number, page in found.items()
            }
        except (DocumentError, EngineError, IntegrityError) as error:
            # Reading says itself what is wrong with the document; this only saves work.
            logger.info("no page is found unchanged", extra={"reason": error.problem})
            return {}

    async def _of(
        self, tenant_id: UUID, blob_id: UUID, size: int, password: str | None = None
    ) -> PageDigests:
        async with self._digesting:
            found = self._digests.get(blob_id)
            if found is None:
                async with self._scratch.opened(tenant_id, blob_id, size) as content:
                    found = await self._engines.digest_pages(content, password)
                self._digests[blob_id] = found
                while len(self._digests) > DOCUMENTS_REMEMBERED:
                    self._digests.popitem(last=False)
            return found

    async def _load(
        self,
        tenant_id: UUID,
        plan: DocumentPlan,
        outputs: Sequence[Output],
        wanted: dict[int, int],
    ) -> dict[int, Page]:
        """The pages as they were read before; `wanted` says which page of the version before each
        is."""
        sources = {planned.page: planned.source for planned in plan.pages}
        found: dict[int, Page] = {}
        for output in outputs:
            summary = ReadSummary.model_validate(output.summary)
            here = [
                page
                for page, number in wanted.items()
                if output.part <= number <= summary.last_page
            ]
            if not here or not summary.is_by(self._engines):
                continue
            batch = await self._runner.artifacts.load(tenant_id, output.blob_id, PageBatch)
            read = {page.page: page for page in batch.pages}
            for page in here:
                known = read.get(wanted[page])
                if known is not None and known.source is sources.get(page):
                    found[page] = known
        return found


def _as_here(page: Page, number: int, label: str | None) -> Page:
    """Labels are read with text layers only."""
    is_labelled = page.source is PageSource.TEXT
    return page.model_copy(update={"page": number, "label": label if is_labelled else None})

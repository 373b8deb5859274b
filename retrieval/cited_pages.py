"""Pages as they were read, opened to prove what is cited of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.models import PageLayer, PageRow
from db.queries import files, pages
from db.queries.findings import tokens_of_pages
from db.session import Access, Database
from muniment.contracts.documents import Line, PageBatch
from muniment.contracts.documents import Page as ReadPage
from muniment.errors import KeyDestroyed, ObjectMissing
from muniment.objects import BlobStore
from retrieval.masked_pages import masked_page

logger = logging.getLogger(__name__)


class ArtifactReader:
    """Opens the page batches of one request, each once."""

    def __init__(self, blobs: BlobStore, tenant_id: UUID) -> None:
        self._blobs = blobs
        self._tenant_id = tenant_id
        self._blob_id: UUID | None = None
        self._batch = PageBatch(pages=())

    async def page(self, row: PageRow | PageLayer) -> ReadPage | None:
        """The page as it was read; None when it could not be."""
        if row.blob_id is None:
            return None
        if row.blob_id != self._blob_id:
            # Pages come in order, so the batch before is not needed again.
            content = await self._blobs.read_all(self._tenant_id, row.blob_id)
            self._batch = PageBatch.model_validate_json(content)
            self._blob_id = row.blob_id
        return self._batch.pages[row.position]


@dataclass(frozen=True)
class PageReaders:
    """Reads single pages for proving citations, under the asker's rights: of a file that was erased
    since the search found it there is none, which leaves its quote unproven."""

    database: Database
    blobs: BlobStore
    access: Access

    async def text(self, file_id: UUID, version: int, page: int) -> str | None:
        found = await self._page(file_id, version, page)
        return found.text if found else None

    async def lines(self, file_id: UUID, version: int, page: int) -> Sequence[Line]:
        found = await self._page(file_id, version, page)
        return found.lines if found else ()

    async def _page(self, file_id: UUID, number: int, page: int) -> ReadPage | None:
        async with self.database.transaction(self.access) as session:
            if not await files.is_visible(session, file_id):
                return None
            version = await files.get_version(session, file_id, number)
            row = await pages.get_page(session, version.id, page) if version else None
            masked = (
                await tokens_of_pages(session, version.id, page, page)
                if version and version.is_masked
                else None
            )
        if row is None:
            return None
        try:
            read = await ArtifactReader(self.blobs, self.access.tenant_id).page(row)
        except (KeyDestroyed, ObjectMissing) as error:
            logger.warning("a page is not there to prove a quote", extra={"reason": error.problem})
            return None
        # Passages hold the tokens, whoever asks: what is quoted of them is proven by the same.
        return read if read is None or masked is None else masked_page(read, masked)

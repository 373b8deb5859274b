"""Reads what the stages stored of a version, under the caller's rights."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue

from api.authentication import Caller
from api.files.service import require_content, require_file, require_version
from api.pages.schemas import BOXES, ChunkView, LineView, PageView
from api.pagination import NumberCursor, Page, cut, encode_cursor
from api.services import Services
from db.audit import record
from db.models import FileVersion, PageRow
from db.queries import pages
from db.session import Database
from muniment.contracts.documents import Line, PageBatch, PageSource
from muniment.contracts.documents import Page as ReadPage
from muniment.errors import Conflict, KeyDestroyed, NotFound, ObjectMissing
from muniment.objects import BlobStore

logger = logging.getLogger(__name__)

TEXT_PAGE_SEPARATOR = "\n\n"
_PAGES_AT_ONCE = 500


class ArtifactReader:
    """Opens the page batches of one request, each once."""

    def __init__(self, blobs: BlobStore, tenant_id: UUID) -> None:
        self._blobs = blobs
        self._tenant_id = tenant_id
        self._blob_id: UUID | None = None
        self._batch = PageBatch(pages=())

    async def page(self, row: PageRow) -> ReadPage | None:
        """The page as it was read; None when it could not be."""
        if row.blob_id is None:
            return None
        if row.blob_id != self._blob_id:
            # Pages come in order, so the batch before is not needed again.
            content = await self._blobs.read_all(self._tenant_id, row.blob_id)
            self._batch = PageBatch.model_validate_json(content)
            self._blob_id = row.blob_id
        return self._batch.pages[row.position]


async def require_published(
    services: Services, caller: Caller, file_id: UUID, number: int | None, what: str
) -> FileVersion:
    """The version, if it was published and its content may be shown; the reading is audited."""
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, file_id)
        require_content(detail, caller)
        version = await require_version(session, detail, number)
        if version.published_at is None:
            raise Conflict(
                "this version has not been read yet",
                remedy="Follow its job; what failed can be retried.",
            )
        payload: dict[str, JsonValue] = {"version": version.number, "what": what}
        record(session, caller.act("file.read", "file", file_id, payload))
    return version


async def list_pages(
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    limit: int,
    place: NumberCursor | None,
) -> Page[PageView]:
    """In page order."""
    version = await require_published(services, caller, file_id, number, "pages")
    async with services.database.transaction(caller.access) as session:
        rows = await pages.list_pages(
            session, version.id, limit=limit + 1, after_page=place.number if place else 0
        )
    shown, last = cut(rows, limit)
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    data = [page_view(row, await reader.page(row)) for row in shown]
    following = None if last is None else encode_cursor(NumberCursor(number=last.page))
    return Page(data=data, next_cursor=following)


async def show_page(
    services: Services, caller: Caller, file_id: UUID, number: int | None, page: int
) -> PageView:
    version = await require_published(services, caller, file_id, number, "page")
    async with services.database.transaction(caller.access) as session:
        row = await pages.get_page(session, version.id, page)
    if row is None:
        raise NotFound("the file has no such page")
    return page_view(row, await ArtifactReader(services.blobs, caller.tenant_id).page(row))


def page_view(row: PageRow, page: ReadPage | None) -> PageView:
    return PageView(
        page=row.page,
        width=row.width,
        height=row.height,
        rotation=row.rotation,
        source=PageSource(row.source),
        engine=row.engine,
        queue=page.queue if page else None,
        confidence=row.confidence,
        text=page.text if page else "",
        lines=[
            LineView(text=line.text, bbox=line.bbox, confidence=line.confidence)
            for line in (page.lines if page else ())
        ],
        problem=row.problem,
    )


async def text(services: Services, caller: Caller, file_id: UUID, number: int | None) -> str:
    """The text of all pages, in order, with an empty line between them."""
    version = await require_published(services, caller, file_id, number, "text")
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    texts: list[str] = []
    rows: Sequence[PageRow] = ()
    while True:
        async with services.database.transaction(caller.access) as session:
            rows = await pages.list_pages(
                session,
                version.id,
                limit=_PAGES_AT_ONCE,
                after_page=rows[-1].page if rows else 0,
            )
        for row in rows:
            page = await reader.page(row)
            texts.append(page.text if page else "")
        if len(rows) < _PAGES_AT_ONCE:
            return TEXT_PAGE_SEPARATOR.join(texts) + "\n"


async def document(
    services: Services, caller: Caller, file_id: UUID, number: int | None, what: str
) -> bytes:
    """The DoclingDocument as JSON."""
    version = await require_published(services, caller, file_id, number, what)
    if version.document_blob_id is None:
        raise NotFound("this version has no document")
    return await services.blobs.read_all(caller.tenant_id, version.document_blob_id)


async def markdown(services: Services, caller: Caller, file_id: UUID, number: int | None) -> str:
    content = await document(services, caller, file_id, number, "markdown")
    return await asyncio.to_thread(_as_markdown, content)


def _as_markdown(content: bytes) -> str:
    # Loaded at the first use: it costs a second and 100 MB that most processes never need.
    from docling_core.types.doc.document import DoclingDocument

    document = DoclingDocument.model_validate_json(content)
    return str(document.export_to_markdown()) + "\n"


async def list_chunks(
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    limit: int,
    place: NumberCursor | None,
) -> Page[ChunkView]:
    """In the order of the document."""
    version = await require_published(services, caller, file_id, number, "chunks")
    async with services.database.transaction(caller.access) as session:
        rows = await pages.list_chunks(
            session, version.id, limit=limit + 1, after_ordinal=place.number if place else -1
        )
    shown, last = cut(rows, limit)
    data = [
        ChunkView(
            id=row.id,
            ordinal=row.ordinal,
            text=row.text,
            headings=row.headings,
            pages=row.pages,
            boxes=BOXES.validate_python(row.boxes),
            token_count=row.token_count,
        )
        for row in shown
    ]
    following = None if last is None else encode_cursor(NumberCursor(number=last.ordinal))
    return Page(data=data, next_cursor=following)


@dataclass(frozen=True)
class PageReaders:
    """Reads single pages for proving citations, under the caller's rights: of a file that was erased
    since the search found it there is none, which leaves its quote unproven."""

    database: Database
    blobs: BlobStore
    caller: Caller

    async def text(self, file_id: UUID, version: int, page: int) -> str | None:
        found = await self._page(file_id, version, page)
        return found.text if found else None

    async def lines(self, file_id: UUID, version: int, page: int) -> Sequence[Line]:
        found = await self._page(file_id, version, page)
        return found.lines if found else ()

    async def _page(self, file_id: UUID, number: int, page: int) -> ReadPage | None:
        try:
            async with self.database.transaction(self.caller.access) as session:
                detail = await require_file(session, file_id)
                version = await require_version(session, detail, number)
                row = await pages.get_page(session, version.id, page)
        except NotFound:
            return None
        if row is None:
            return None
        try:
            return await ArtifactReader(self.blobs, self.caller.tenant_id).page(row)
        except (KeyDestroyed, ObjectMissing) as error:
            logger.warning("a page is not there to prove a quote", extra={"reason": error.problem})
            return None

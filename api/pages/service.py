"""Reads what the stages stored of a version, under the caller's rights."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.clearance import require_served, require_unmasked
from api.files.content import Sealed
from api.files.service import require_file, require_version
from api.pages.schemas import (
    BOXES,
    ChunkView,
    HiddenTextView,
    LayerView,
    LineView,
    PageView,
    WordView,
)
from api.pagination import NumberCursor, Page, cut, encode_cursor
from api.services import Services
from db.audit import record
from db.models import FileVersion, FindingRow, PageLayer, PageRow
from db.queries import pages
from db.queries.findings import tokens_of_pages
from db.queries.views import StoredView, stored_blob
from muniment.contracts.documents import Line, PageSource
from muniment.contracts.documents import Page as ReadPage
from muniment.contracts.render_view import MarkdownView, PageImageView, pictured_family
from muniment.errors import Conflict, Gone, NotFound
from retrieval.cited_pages import ArtifactReader
from retrieval.masked_pages import masked_page
from retrieval.passage_texts import chunk_texts

TEXT_PAGE_SEPARATOR = "\n\n"
TEXT_VERSION = 1
"""Raised when the same pages would be joined otherwise."""
_PAGES_AT_ONCE = 100
PageMasks = dict[int, list[FindingRow]]
"""Masked findings by page, in order of place."""


async def require_published(
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    what: str,
    *,
    is_masked: bool = False,
) -> FileVersion:
    """The version, if it was published and its content may be shown; the reading is audited. Forbidden
    for one with findings that the caller may not see, unless what is shown `is_masked`."""
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, file_id)
        version = await require_version(session, detail, number)
        await require_served(session, detail, version, caller, services.scans, is_masked=is_masked)
        if version.published_at is None:
            raise Conflict(
                f"version {version.number} has not been read yet",
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
    version = await require_published(services, caller, file_id, number, "pages", is_masked=True)
    async with services.database.transaction(caller.access) as session:
        rows = await pages.list_pages(
            session, version.id, limit=limit + 1, after_page=place.number if place else 0
        )
    shown, last = cut(rows, limit)
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    masks = await _masks(services, caller, version, shown)
    data = [page_view(row, _shown(await reader.page(row), masks)) for row in shown]
    following = None if last is None else encode_cursor(NumberCursor(number=last.page))
    return Page(data=data, next_cursor=following)


async def show_page(
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    page: int,
    layer: str | None,
) -> PageView:
    """The page as it is published, or as the engine `layer` read it."""
    version = await require_published(services, caller, file_id, number, "page", is_masked=True)
    if layer is not None:
        # What is masked is known of the published reading alone.
        require_unmasked(version, caller)
    async with services.database.transaction(caller.access) as session:
        row = await pages.get_page(session, version.id, page)
        layers = await pages.list_layers(session, version.id, page)
        chosen = await pages.find_layer(session, version.id, page, layer) if layer else None
    if row is None:
        raise NotFound("the file has no such page")
    if layer and chosen is None:
        raise NotFound(
            "no such engine has read the page", remedy="`layers` of the page names those that did."
        )
    read = await ArtifactReader(services.blobs, caller.tenant_id).page(chosen or row)
    read = _shown(read, await _masks(services, caller, version, [row]))
    shown = page_view(row, read, with_words=True)
    if chosen is not None and read is not None:
        shown = shown.model_copy(update=_as_read(read))
    return shown.model_copy(update={"layers": [_layer_view(each) for each in layers]})


def _as_read(page: ReadPage) -> dict[str, object]:
    """What a page's row says of the published reading, as another reading has it."""
    return {
        "width": page.width,
        "height": page.height,
        "rotation": page.rotation,
        "source": page.source,
        "engine": page.engine,
        "confidence": page.confidence,
        "problem": None,
    }


def _layer_view(row: PageLayer) -> LayerView:
    return LayerView(
        engine=row.engine,
        engine_version=row.engine_version,
        source=PageSource(row.source),
        confidence=row.confidence,
        read_at=row.read_at,
        is_current=row.is_current,
    )


def page_view(row: PageRow, page: ReadPage | None, *, with_words: bool = False) -> PageView:
    return PageView(
        page=row.page,
        label=page.label if page else None,
        width=row.width,
        height=row.height,
        rotation=row.rotation,
        source=PageSource(row.source),
        engine=row.engine,
        queue=page.queue if page else None,
        confidence=row.confidence,
        text=page.text if page else "",
        lines=[_line_view(line, with_words=with_words) for line in (page.lines if page else ())],
        hidden=[
            HiddenTextView(kind=found.kind, text=found.text, bbox=found.bbox)
            for found in (page.hidden if page else ())
        ],
        problem=row.problem,
    )


def _line_view(line: Line, *, with_words: bool) -> LineView:
    words = line.words() if with_words else ()
    return LineView(
        text=line.text,
        bbox=line.bbox,
        confidence=line.confidence,
        words=[WordView(text=word.text, bbox=word.bbox) for word in words],
    )


async def text(
    services: Services, caller: Caller, file_id: UUID, version: FileVersion
) -> AsyncGenerator[bytes, None]:
    """The text of all pages, in order, with an empty line between them: page by page, of which a batch is
    in memory at a time. Raises in the middle when by then the text is another, or no longer the
    caller's to read: what was sent is never the beginning of one text and the end of another."""
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    after = 0
    while True:
        async with services.database.transaction(caller.access) as session:
            if after:
                await _require_same_text(session, services, caller, file_id, version)
            rows = await pages.list_pages(
                session, version.id, limit=_PAGES_AT_ONCE, after_page=after
            )
        masks = await _masks(services, caller, version, rows)
        for row in rows:
            page = _shown(await reader.page(row), masks)
            yield ((TEXT_PAGE_SEPARATOR if after else "") + (page.text if page else "")).encode()
            after = row.page
        if len(rows) < _PAGES_AT_ONCE:
            yield b"\n"
            return


async def _require_same_text(
    session: AsyncSession,
    services: Services,
    caller: Caller,
    file_id: UUID,
    version: FileVersion,
) -> None:
    detail = await require_file(session, file_id)
    again = await require_version(session, detail, version.number)
    await require_served(session, detail, again, caller, services.scans, is_masked=True)
    if text_tag(again, caller) != text_tag(version, caller):
        raise Conflict("the text was read anew meanwhile", remedy="Ask for it again.")


async def _masks(
    services: Services, caller: Caller, version: FileVersion, rows: Sequence[PageRow]
) -> PageMasks | None:
    """What tokens stand for on these pages; None where the caller sees the pages as they are."""
    if not rows or not _is_masked_for(version, caller):
        return None
    masks: PageMasks = {}
    async with services.database.transaction(caller.access) as session:
        found = await tokens_of_pages(session, version.id, rows[0].page, rows[-1].page)
    for finding in found:
        masks.setdefault(finding.page, []).append(finding)
    return masks


def _is_masked_for(version: FileVersion, caller: Caller) -> bool:
    return version.is_masked and not caller.may_reveal_findings


def _shown(page: ReadPage | None, masks: PageMasks | None) -> ReadPage | None:
    if page is None or masks is None:
        return page
    return masked_page(page, masks.get(page.page, ()))


def text_tag(version: FileVersion, caller: Caller) -> str:
    """The strong ETag of a version's text: what is read anew, or shown with tokens, is another."""
    masked = f"/{version.published_at}" if _is_masked_for(version, caller) else ""
    source = f"text/{TEXT_VERSION}/{version.document_blob_id}{masked}"
    return f'"{hashlib.sha256(source.encode()).hexdigest()}"'


async def document(services: Services, caller: Caller, file_id: UUID, number: int | None) -> Sealed:
    """Where the DoclingDocument JSON lies."""
    version = await require_published(services, caller, file_id, number, "document")
    if version.document_blob_id is None:
        raise NotFound("this version has no document")
    async with services.database.transaction(caller.access) as session:
        stored = await stored_blob(session, version.document_blob_id)
    if stored is None:
        raise Gone("the document was erased")
    return _sealed(caller, stored, "application/json")


async def markdown(services: Services, caller: Caller, file_id: UUID, number: int | None) -> Sealed:
    """Where the Markdown lies, made by a worker when it is first asked for."""
    version = await require_published(services, caller, file_id, number, "markdown")
    stored = await services.views.get(caller.access, version, MarkdownView())
    return _sealed(caller, stored, "text/markdown; charset=utf-8")


async def image(
    services: Services, caller: Caller, file_id: UUID, number: int | None, view: PageImageView
) -> Sealed:
    """Where the picture of a page lies, drawn by a worker when it is first asked for."""
    what = "thumbnail" if view.longest_side else "image"
    version = await require_published(services, caller, file_id, number, what)
    if pictured_family(version.media_type or version.declared_media_type) is None:
        raise NotFound(
            "this format has no pictures of pages",
            remedy="PDFs and images have them; read the others as Markdown or text.",
        )
    async with services.database.transaction(caller.access) as session:
        if await pages.get_page(session, version.id, view.page) is None:
            raise NotFound("the file has no such page")
    stored = await services.views.get(caller.access, version, view)
    return _sealed(caller, stored, f"image/{view.format}")


def _sealed(caller: Caller, stored: StoredView, media_type: str) -> Sealed:
    return Sealed(caller.tenant_id, stored.blob_id, stored.size, stored.sha256, None, media_type)


async def list_chunks(
    services: Services,
    caller: Caller,
    file_id: UUID,
    number: int | None,
    limit: int,
    place: NumberCursor | None,
) -> Page[ChunkView]:
    """In the order of the document. Sealed ones are opened, or nothing is answered: 503 while keys are
    out of reach."""
    version = await require_published(services, caller, file_id, number, "chunks", is_masked=True)
    async with services.database.transaction(caller.access) as session:
        rows = await pages.list_chunks(
            session, version.id, limit=limit + 1, after_ordinal=place.number if place else -1
        )
    shown, last = cut(rows, limit)
    said = await chunk_texts(services.texts, shown)
    data = [
        ChunkView(
            id=row.id,
            ordinal=row.ordinal,
            text=said[row.id].text,
            headings=[*said[row.id].headings],
            pages=row.pages,
            boxes=BOXES.validate_python(row.boxes),
            token_count=row.token_count,
        )
        for row in shown
    ]
    following = None if last is None else encode_cursor(NumberCursor(number=last.ordinal))
    return Page(data=data, next_cursor=following)

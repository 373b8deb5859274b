"""A published file whose pages have lines with places, as a worker would have left it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col

from db.models import Blob, FileVersion, PageRow, now
from db.queries import files
from db.session import Database
from muniment.contracts.documents import Line, Page, PageBatch, PageSource
from muniment.stores import Stores
from tests.conftest import TenantFixture

WIDTH, HEIGHT = 595.0, 842.0
LINE_HEIGHT = 20.0


def line_box(number: int) -> tuple[float, float, float, float]:
    """Of the line with that number on a page, from 0."""
    top = 100 + number * LINE_HEIGHT
    return (50, top, 550, top + 12)


def read_page(number: int, lines: Sequence[str]) -> Page:
    return Page(
        page=number,
        width=WIDTH,
        height=HEIGHT,
        source=PageSource.TEXT,
        engine="docling-parse",
        text="\n".join(lines),
        lines=tuple(Line(text=text, bbox=line_box(place)) for place, text in enumerate(lines)),
    )


async def publish_pages(
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    file_id: UUID,
    pages: Sequence[Sequence[str]],
) -> FileVersion:
    """The newest version, published with these pages (lines each), anew if it was before."""
    read = tuple(read_page(number, lines) for number, lines in enumerate(pages, start=1))
    batch = PageBatch(pages=read)
    sealed = await stores.blobs.put_bytes(tenant.tenant_id, batch.model_dump_json().encode())
    async with database.transaction(tenant.system) as session:
        version: FileVersion = await files.newest_version(session, file_id)
        file = (await files.get_files(session, [file_id]))[file_id].file
        session.add(
            Blob(
                id=sealed.blob_id,
                tenant_id=tenant.tenant_id,
                kind="artifact",
                size=sealed.size,
                sha256=sealed.sha256,
            )
        )
        await session.execute(delete(PageRow).where(col(PageRow.version_id) == version.id))
        await session.flush()
        # Pages and document are one blob here: what matters is that another reading has another.
        version.document_blob_id, version.published_at = sealed.blob_id, now()
        file.current_version, file.state = version.number, "ready"
        for position, page in enumerate(read):
            session.add(
                PageRow(
                    tenant_id=tenant.tenant_id,
                    version_id=version.id,
                    page=page.page,
                    width=page.width,
                    height=page.height,
                    source=page.source.value,
                    engine=page.engine,
                    blob_id=sealed.blob_id,
                    position=position,
                )
            )
    return version

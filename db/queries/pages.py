"""Published pages and chunks of a version that the caller was already found to see."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import ChunkRow, PageLayer, PageRow

MAXIMUM_LAYERS = 100
"""A page read by more engines and versions of them shows the newest."""


async def list_pages(
    session: AsyncSession, version_id: UUID, *, limit: int, after_page: int = 0
) -> Sequence[PageRow]:
    """In page order."""
    statement = (
        select(PageRow)
        .where(col(PageRow.version_id) == version_id, col(PageRow.page) > after_page)
        .order_by(col(PageRow.page))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def get_page(session: AsyncSession, version_id: UUID, page: int) -> PageRow | None:
    statement = select(PageRow).where(
        col(PageRow.version_id) == version_id, col(PageRow.page) == page
    )
    return (await session.scalars(statement)).one_or_none()


async def list_layers(session: AsyncSession, version_id: UUID, page: int) -> Sequence[PageLayer]:
    """The page's layers, the newest reading first."""
    statement = (
        select(PageLayer)
        .where(col(PageLayer.version_id) == version_id, col(PageLayer.page) == page)
        .order_by(col(PageLayer.read_at).desc(), col(PageLayer.engine_version))
        .limit(MAXIMUM_LAYERS)
    )
    return (await session.scalars(statement)).all()


async def find_layer(
    session: AsyncSession, version_id: UUID, page: int, name: str
) -> PageLayer | None:
    """The newest layer of the page by that engine, or by exactly that version of one."""
    statement = (
        select(PageLayer)
        .where(
            col(PageLayer.version_id) == version_id,
            col(PageLayer.page) == page,
            or_(col(PageLayer.engine) == name, col(PageLayer.engine_version) == name),
        )
        .order_by(col(PageLayer.read_at).desc())
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


async def list_chunks(
    session: AsyncSession, version_id: UUID, *, limit: int, after_ordinal: int = -1
) -> Sequence[ChunkRow]:
    """In the order of the document."""
    statement = (
        select(ChunkRow)
        .where(col(ChunkRow.version_id) == version_id, col(ChunkRow.ordinal) > after_ordinal)
        .order_by(col(ChunkRow.ordinal))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def failed_pages(session: AsyncSession, version_id: UUID) -> set[int]:
    """The published pages that could not be read."""
    statement = select(col(PageRow.page)).where(
        col(PageRow.version_id) == version_id, col(PageRow.problem).is_not(None)
    )
    return set((await session.scalars(statement)).all())

"""Which models are paused, and which passages may be shown to one, or to a reader, at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import ModelPause, now
from db.queries.search import CURRENT_VERSIONS
from muniment.contracts.language_models import ModelUse


@dataclass(frozen=True)
class Pause:
    """`by_operator`: in a tenant that operates, so that it holds for every tenant."""

    model: str
    paused_at: datetime
    by_operator: bool


async def pauses(session: AsyncSession) -> Sequence[Pause]:
    """Those that hold for the tenant."""
    rows = await session.execute(
        text("SELECT model, paused_at, by_operator FROM paused_models() ORDER BY model")
    )
    return [Pause(row.model, row.paused_at, row.by_operator) for row in rows]


async def pause(
    session: AsyncSession, tenant_id: UUID, model: str, principal_id: UUID | None
) -> bool:
    """Whether it was not yet paused by this tenant."""
    made = await session.execute(
        insert(ModelPause)
        .values(tenant_id=tenant_id, model=model, paused_by=principal_id, paused_at=now())
        .on_conflict_do_nothing()
        .returning(col(ModelPause.model))
    )
    return made.one_or_none() is not None


async def resume(session: AsyncSession, model: str) -> bool:
    """Whether this tenant had paused it."""
    dropped = await session.execute(
        delete(ModelPause).where(col(ModelPause.model) == model).returning(col(ModelPause.model))
    )
    return dropped.one_or_none() is not None


_READABLE = text(
    f"""
    SELECT chunk.id, collection.language_models
    FROM chunk
    JOIN (
        SELECT file_version.id AS version_id, file.collection_id
        {CURRENT_VERSIONS}
    ) AS shown ON shown.version_id = chunk.version_id
    JOIN collection ON collection.id = shown.collection_id
    WHERE chunk.id = ANY (CAST(:chunk_ids AS uuid[]))
    """  # noqa: S608 - made of the constant above; every value is bound
)


async def readable_passages(
    session: AsyncSession, chunk_ids: Sequence[UUID]
) -> dict[UUID, ModelUse]:
    """Those among them that the caller may read now, with what their collections let models read."""
    rows = await session.execute(_READABLE, {"chunk_ids": list(chunk_ids)})
    return {row.id: ModelUse(row.language_models) for row in rows}

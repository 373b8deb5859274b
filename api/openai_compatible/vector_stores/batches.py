"""Files that a vector store got in one request."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.openai_compatible.ids import IdPrefix, absent, shown_id
from api.openai_compatible.vector_stores import holding
from api.openai_compatible.vector_stores.schemas import FileBatch, FileCounts, NewFileBatch
from api.openai_compatible.vector_stores.service import refuse_chunking
from db.models import Collection, VectorStoreBatch
from db.queries import vector_stores
from muniment.errors import InvalidRequest


async def create(
    session: AsyncSession, caller: Caller, store: Collection, body: NewFileBatch
) -> FileBatch:
    """All of them or none. Raises what `holding.hold` raises."""
    file_ids = await holding.hold(session, caller, store, _wanted(body))
    batch = VectorStoreBatch(
        tenant_id=caller.tenant_id,
        collection_id=store.id,
        file_ids=list(dict.fromkeys(file_ids)),
    )
    session.add(batch)
    await session.flush()
    return await view(session, store, batch)


def _wanted(body: NewFileBatch) -> list[holding.Wanted]:
    if (body.file_ids is None) == (body.files is None):
        raise InvalidRequest(
            "a batch has either `file_ids` or `files`",
            errors=[{"field": "file_ids", "detail": "one of the two is given"}],
        )
    for each in (body, *(body.files or ())):
        refuse_chunking(each.chunking_strategy)
    if body.files is not None:
        return [holding.Wanted(each.file_id, each.attributes) for each in body.files]
    return [holding.Wanted(each, body.attributes) for each in body.file_ids or ()]


async def require_batch(
    session: AsyncSession, store: Collection, batch_id: UUID
) -> VectorStoreBatch:
    found = await vector_stores.get_batch(session, store.id, batch_id)
    if found is None:
        raise absent(IdPrefix.FILE_BATCH)
    return found


async def view(session: AsyncSession, store: Collection, batch: VectorStoreBatch) -> FileBatch:
    held = await vector_stores.list_held(
        session, store.id, limit=len(batch.file_ids) + 1, file_ids=batch.file_ids
    )
    shown = await holding.held_views(session, store, held)
    counts = _counted([each.status for each in shown], len(batch.file_ids))
    return FileBatch(
        id=shown_id(IdPrefix.FILE_BATCH, batch.id),
        created_at=int(batch.created_at.timestamp()),
        vector_store_id=shown_id(IdPrefix.VECTOR_STORE, store.id),
        status="in_progress" if counts.in_progress else "completed",
        file_counts=counts,
    )


def _counted(states: Sequence[str], total: int) -> FileCounts:
    """Those that are no longer there count as cancelled."""
    of = Counter(states)
    return FileCounts(
        in_progress=of["in_progress"],
        completed=of["completed"],
        failed=of["failed"],
        cancelled=of["cancelled"] + total - len(states),
        total=total,
    )

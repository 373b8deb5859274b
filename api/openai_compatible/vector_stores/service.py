"""Vector stores: collections, and what they hold."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.collections import service as collections_service
from api.collections.schemas import CollectionChange, NewCollection
from api.levels import lacks_level
from api.openai_compatible.errors import UnsupportedParameter
from api.openai_compatible.files.service import CANCELLED, COMPLETED, IN_PROGRESS
from api.openai_compatible.ids import IdPrefix, absent, shown_id
from api.openai_compatible.lists import ListPage, Order, list_page
from api.openai_compatible.vector_stores import holding
from api.openai_compatible.vector_stores.schemas import (
    FileCounts,
    NewVectorStore,
    VectorStore,
    VectorStoreChange,
)
from api.services import Services
from db.models import Collection, new_id
from db.queries import collections, vector_stores
from db.queries.vector_stores import HeldState
from muniment.contracts.jobs import FileState

_EXPIRY = "expires_after"
_CHUNKING = "chunking_strategy"


async def require_store(
    session: AsyncSession, collection_id: UUID, level: str = "read"
) -> Collection:
    """The collection, if the caller has the level on it. Raises Forbidden where it may read it and no more,
    else NotFound."""
    found = await collections.get_collection(session, collection_id, level=level)
    if found is not None:
        return found
    if level != "read" and await collections.get_collection(session, collection_id) is not None:
        raise lacks_level(level, "collection")
    raise absent(IdPrefix.VECTOR_STORE)


async def create(session: AsyncSession, caller: Caller, body: NewVectorStore) -> VectorStore:
    """Raises Conflict where a collection has the name; and what `holding.hold` raises."""
    refuse_expiry(body.expires_after)
    refuse_chunking(body.chunking_strategy)
    name = body.name or f"vector store {new_id().hex}"
    made = await collections_service.create(
        session, caller, NewCollection(name=name), {**(body.metadata or {})}
    )
    if body.file_ids:
        wanted = [holding.Wanted(file_id=each) for each in body.file_ids]
        await holding.hold(session, caller, made, wanted)
    return (await store_views(session, [made]))[0]


async def change(
    session: AsyncSession, caller: Caller, collection_id: UUID, body: VectorStoreChange
) -> VectorStore:
    refuse_expiry(body.expires_after)
    await require_store(session, collection_id, "manage")
    wanted = CollectionChange() if body.name is None else CollectionChange(name=body.name)
    notes: dict[str, JsonValue] | None = None if body.metadata is None else {**body.metadata}
    changed = await collections_service.change(session, caller, None, collection_id, wanted, notes)
    return (await store_views(session, [changed]))[0]


async def delete(services: Services, caller: Caller, collection_id: UUID) -> None:
    """What is attached stays where it lies. Raises Conflict while the collection has files of its own."""
    async with services.database.transaction(caller.access) as session:
        await require_store(session, collection_id, "manage")
    await collections_service.delete(services.database, caller, collection_id)


async def list_stores(
    services: Services, caller: Caller, *, limit: int, after: UUID | None, order: Order
) -> ListPage[VectorStore]:
    async with services.database.transaction(caller.access) as session:
        rows = await vector_stores.list_stores(
            session, limit=limit + 1, after=after, descending=order == "desc"
        )
        shown = await store_views(session, rows[:limit])
    return list_page(shown, [each.id for each in shown], has_more=len(rows) > limit)


async def store_views(session: AsyncSession, found: Sequence[Collection]) -> list[VectorStore]:
    held = await vector_stores.states_of_stores(session, [each.id for each in found])
    return [_view(each, held[each.id]) for each in found]


def _view(found: Collection, held: Sequence[HeldState]) -> VectorStore:
    counts = counted({each.state: each.files for each in held})
    return VectorStore(
        id=shown_id(IdPrefix.VECTOR_STORE, found.id),
        created_at=int(found.created_at.timestamp()),
        name=found.name,
        usage_bytes=sum(each.size_bytes for each in held),
        file_counts=counts,
        status="in_progress" if counts.in_progress else "completed",
        metadata={name: str(value) for name, value in found.attributes.items()},
    )


def counted(files: dict[str, int]) -> FileCounts:
    """By the state of the file."""

    def of(states: Sequence[FileState]) -> int:
        return sum(files.get(state, 0) for state in states)

    total = sum(files.values())
    in_progress, completed, cancelled = of(IN_PROGRESS), of(COMPLETED), of(CANCELLED)
    return FileCounts(
        in_progress=in_progress,
        completed=completed,
        cancelled=cancelled,
        failed=total - in_progress - completed - cancelled,
        total=total,
    )


def refuse_expiry(wanted: JsonValue) -> None:
    if wanted is not None:
        raise UnsupportedParameter(_EXPIRY, "vector stores are kept until they are deleted")


def refuse_chunking(wanted: JsonValue) -> None:
    """Whoever sets the length of chunks would not get it: documents are read once, for every store."""
    if wanted is None or wanted == {"type": "auto"}:
        return
    raise UnsupportedParameter(
        _CHUNKING,
        "chunks follow the structure of the document",
        remedy="Leave it out, or set `chunk_tokens` with POST /v1/files/{id}/reprocess.",
    )

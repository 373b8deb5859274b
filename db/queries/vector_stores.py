"""What a collection holds as a vector store: its own files, and those of others that are attached to it.

To attach a file gives nobody a right: every statement here starts from what the caller may read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Collection, VectorStoreBatch, VectorStoreFile, now
from db.queries.collections import allowed
from db.queries.files import OUT_OF_SIGHT


@dataclass(frozen=True)
class HeldState:
    """Of a store's files that are in one state: how many they are, and how long in all."""

    state: str
    files: int
    size_bytes: int


@dataclass(frozen=True)
class HeldFile:
    """`held_at`: since when the store has it. Its place in lists is its id, which sorts by the time of the
    upload and is known when the file has left the store: whoever empties a store walks its list."""

    file_id: UUID
    held_at: datetime


_HELD = """
held AS (
    SELECT file.collection_id, file.id AS file_id, file.created_at AS held_at
    FROM file
    WHERE file.collection_id = ANY (CAST(:collection_ids AS uuid[]))
    UNION ALL
    SELECT attached.collection_id, attached.file_id, attached.created_at
    FROM vector_store_file AS attached
    JOIN file ON file.id = attached.file_id
    WHERE attached.collection_id = ANY (CAST(:collection_ids AS uuid[]))
        AND file.collection_id IS DISTINCT FROM attached.collection_id
),
seen AS (
    SELECT held.collection_id, held.file_id, held.held_at, file.state, file.current_version
    FROM held
    JOIN visible_files('read') AS visible(file_id) ON visible.file_id = held.file_id
    JOIN file ON file.id = held.file_id
    WHERE file.state <> ALL (CAST(:out_of_sight AS text[]))
)
"""
"""The files that the caller may read of those that the stores hold, but what is in the trash or erased."""

_STATES = f"""
WITH {_HELD}
SELECT seen.collection_id, seen.state, count(*) AS files, coalesce(sum(version.size), 0) AS size_bytes
FROM seen
LEFT JOIN file_version AS version
    ON version.file_id = seen.file_id AND version.number = seen.current_version
GROUP BY seen.collection_id, seen.state
"""  # noqa: S608 - made of the constants above; every value is bound

_FILES = f"""
WITH {_HELD}
SELECT seen.file_id, seen.held_at
FROM seen
WHERE (CAST(:states AS text[]) IS NULL OR seen.state = ANY (CAST(:states AS text[])))
    AND (CAST(:file_ids AS uuid[]) IS NULL OR seen.file_id = ANY (CAST(:file_ids AS uuid[])))
    AND (CAST(:after AS uuid) IS NULL OR seen.file_id {{comparison}} CAST(:after AS uuid))
ORDER BY seen.file_id {{direction}}
LIMIT :limit
"""  # noqa: S608 - made of the constants above; every value is bound
_OLDEST_FIRST = text(_FILES.format(comparison=">", direction="ASC"))
_NEWEST_FIRST = text(_FILES.format(comparison="<", direction="DESC"))


async def list_stores(
    session: AsyncSession, *, limit: int, after: UUID | None = None, descending: bool = True
) -> Sequence[Collection]:
    """The collections that the caller may read, newest first, or oldest; `after` may be one that is gone."""
    key = col(Collection.id)
    statement = select(Collection).where(allowed("read"))
    if after is not None:
        statement = statement.where(key < after if descending else key > after)
    statement = statement.order_by(key.desc() if descending else key.asc()).limit(limit)
    return (await session.scalars(statement)).all()


async def states_of_stores(
    session: AsyncSession, collection_ids: Sequence[UUID]
) -> dict[UUID, list[HeldState]]:
    """By store."""
    found: dict[UUID, list[HeldState]] = {each: [] for each in collection_ids}
    rows = await session.execute(text(_STATES), _parameters(collection_ids))
    for row in rows:
        found[row.collection_id].append(HeldState(row.state, row.files, int(row.size_bytes)))
    return found


async def list_held(
    session: AsyncSession,
    collection_id: UUID,
    *,
    limit: int,
    states: Sequence[str] | None = None,
    file_ids: Sequence[UUID] | None = None,
    after: UUID | None = None,
    descending: bool = True,
) -> list[HeldFile]:
    """Newest first, or oldest."""
    rows = await session.execute(
        _NEWEST_FIRST if descending else _OLDEST_FIRST,
        {
            **_parameters([collection_id]),
            "states": None if states is None else list(states),
            "file_ids": None if file_ids is None else list(file_ids),
            "after": after,
            "limit": limit,
        },
    )
    return [HeldFile(row.file_id, row.held_at) for row in rows]


async def find_held(session: AsyncSession, collection_id: UUID, file_id: UUID) -> HeldFile | None:
    found = await list_held(session, collection_id, limit=1, file_ids=[file_id])
    return found[0] if found else None


async def attach(
    session: AsyncSession, tenant_id: UUID, collection_id: UUID, file_ids: Sequence[UUID]
) -> None:
    """Those that are attached already stay so, since when they were."""
    moment = now()
    rows = [
        {
            "collection_id": collection_id,
            "file_id": file_id,
            "tenant_id": tenant_id,
            "created_at": moment,
        }
        # In one order, so that two requests do not wait for each other.
        for file_id in sorted(set(file_ids))
    ]
    await session.execute(insert(VectorStoreFile).values(rows).on_conflict_do_nothing())


async def detach(session: AsyncSession, collection_id: UUID, file_id: UUID) -> bool:
    """Whether it was attached."""
    gone = await session.execute(
        delete(VectorStoreFile)
        .where(
            col(VectorStoreFile.collection_id) == collection_id,
            col(VectorStoreFile.file_id) == file_id,
        )
        .returning(col(VectorStoreFile.file_id))
    )
    return gone.one_or_none() is not None


async def get_batch(
    session: AsyncSession, collection_id: UUID, batch_id: UUID
) -> VectorStoreBatch | None:
    """Of a store that the caller was already found to read."""
    statement = select(VectorStoreBatch).where(
        col(VectorStoreBatch.id) == batch_id, col(VectorStoreBatch.collection_id) == collection_id
    )
    return (await session.scalars(statement)).one_or_none()


def _parameters(collection_ids: Sequence[UUID]) -> dict[str, list[UUID] | list[str]]:
    out_of_sight = [state.value for state in OUT_OF_SIGHT]
    return {"collection_ids": list(collection_ids), "out_of_sight": out_of_sight}

"""Vectors of passages: the nearest ones to a question's, and the graph that finds them among very many.

Which plan PostgreSQL takes is settled here. `nearest_exactly` measures every passage that is wanted, and
`nearest_by_graph` walks the HNSW graph of the index version and looks at the file of each passage it
meets: neither depends on the planner's statistics. Both start from `SEARCHABLE`, like every search.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.search import SEARCHABLE, FileFilter, ScoredChunk, filter_parameters

FIRST_CANDIDATES = 200
"""`hnsw.ef_search`: what the graph is asked for at once. 200 find 95 % of the best ten among a million;
at most 1000."""

_LOCK_TIMEOUT_SECONDS = 10
"""Whoever publishes waits behind a graph that waits."""


@dataclass(frozen=True)
class ActiveIndex:
    """The index version that a tenant searches. With `has_graph` it is a large one."""

    id: UUID
    model_id: str
    dimensions: int
    has_graph: bool


_ACTIVE_INDEX = text(
    """
    SELECT id, model_id, dimensions, has_graph FROM index_version
    WHERE state = 'active' ORDER BY activated_at DESC NULLS LAST LIMIT 1
    """
)

# Measured before it is ordered, so that no approximate index takes part: exact under any filter.
_EXACTLY = text(
    f"""
    WITH {SEARCHABLE},
    measured AS MATERIALIZED (
        SELECT
            embedding.chunk_id,
            1 - (embedding.vector <=> CAST(:vector AS halfvec)) AS score
        FROM searchable
        JOIN chunk ON chunk.version_id = searchable.version_id
        JOIN embedding
            ON embedding.chunk_id = chunk.id AND embedding.index_version_id = :index_version_id
        WHERE searchable.wanted
    )
    SELECT chunk_id, score FROM measured
    WHERE score <> 'NaN'
    ORDER BY score DESC, chunk_id
    LIMIT :max_chunks
    """  # noqa: S608 - made of the constants above; every value is bound
)

# The graph is that of one index version and its dimensions: PostgreSQL takes a partial index and one of
# an expression only where the statement itself says them.
_BY_GRAPH = """
WITH {searchable}
SELECT near.chunk_id, 1 - near.distance AS score
FROM (
    SELECT
        embedding.chunk_id,
        CAST(embedding.vector AS halfvec({dimensions})) <=> CAST(:vector AS halfvec({dimensions}))
            AS distance
    FROM embedding
    WHERE embedding.index_version_id = '{index_version_id}'
    ORDER BY CAST(embedding.vector AS halfvec({dimensions}))
        <=> CAST(:vector AS halfvec({dimensions}))
) AS near
JOIN chunk ON chunk.id = near.chunk_id
CROSS JOIN LATERAL (
    SELECT searchable.wanted FROM searchable
    WHERE searchable.file_id = chunk.file_id AND searchable.version_id = chunk.version_id
    OFFSET 0  -- looked up for each candidate, never joined otherwise
) AS its_file
WHERE its_file.wanted AND near.distance <> 'NaN'
LIMIT :max_chunks
"""

_FILE_OF_EACH_CANDIDATE = SEARCHABLE.replace("AS MATERIALIZED", "AS NOT MATERIALIZED")

_ONE_PLAN = text(
    """
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_sort', 'off', true),
           set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true),
           set_config('hnsw.iterative_scan', 'relaxed_order', true),
           set_config('hnsw.ef_search', :candidates, true),
           set_config('hnsw.max_scan_tuples', :max_visited, true)
    """
)

_COUNT_WANTED = text(
    f"""
    WITH {SEARCHABLE}
    SELECT count(*) FROM (
        SELECT 1 FROM searchable JOIN chunk ON chunk.version_id = searchable.version_id
        WHERE searchable.wanted LIMIT :most
    ) AS counted
    """  # noqa: S608 - made of the constants above; every value is bound
)

_IS_LARGE = text(
    """
    SELECT count(*) >= :size FROM (
        SELECT 1 FROM embedding WHERE tenant_id = (SELECT current_tenant())
            AND index_version_id = :index_version_id
        LIMIT :size
    ) AS counted
    """
)


async def active_index(session: AsyncSession) -> ActiveIndex | None:
    """The tenant's active index version; none before anything was published."""
    row = (await session.execute(_ACTIVE_INDEX)).first()
    return None if row is None else ActiveIndex(*row)


async def nearest_exactly(
    session: AsyncSession,
    vector: Sequence[float],
    index: ActiveIndex,
    wanted: FileFilter,
    *,
    max_chunks: int,
) -> tuple[ScoredChunk, ...]:
    """The wanted passages of greatest cosine (−1 to 1) with `vector`, by measuring each of them."""
    rows = await session.execute(
        _EXACTLY,
        {
            **filter_parameters(wanted),
            "vector": _literal(vector),
            "index_version_id": index.id,
            "max_chunks": max_chunks,
        },
    )
    return tuple(ScoredChunk(row.chunk_id, row.score) for row in rows)


async def nearest_by_graph(
    session: AsyncSession,
    vector: Sequence[float],
    index: ActiveIndex,
    wanted: FileFilter,
    *,
    max_chunks: int,
    max_visited: int,
) -> tuple[ScoredChunk, ...]:
    """Passages of nearly the greatest cosines, best first: fewer than `max_chunks` when the graph's walk
    came to `max_visited` vectors before. The transaction's plans are fit for nothing else afterwards."""
    await session.execute(
        _ONE_PLAN, {"candidates": str(FIRST_CANDIDATES), "max_visited": str(max_visited)}
    )
    statement = _BY_GRAPH.format(
        searchable=_FILE_OF_EACH_CANDIDATE,
        # Of types that have no quotes in them.
        dimensions=int(index.dimensions),
        index_version_id=UUID(str(index.id)),
    )
    rows = await session.execute(
        text(statement),
        {**filter_parameters(wanted), "vector": _literal(vector), "max_chunks": max_chunks},
    )
    found = [ScoredChunk(row.chunk_id, row.score) for row in rows]
    return tuple(sorted(found, key=lambda chunk: (-chunk.score, chunk.chunk_id)))


async def count_wanted(session: AsyncSession, wanted: FileFilter, most: int) -> int:
    """How many passages the caller may read and wants, counted up to `most`."""
    counted = await session.execute(_COUNT_WANTED, {**filter_parameters(wanted), "most": most})
    return int(counted.scalar_one())


async def has_graph(session: AsyncSession, index_version_id: UUID) -> bool:
    found = await session.execute(
        text("SELECT has_graph FROM index_version WHERE id = :id"), {"id": index_version_id}
    )
    return bool(found.scalar_one())


async def is_large(session: AsyncSession, index_version_id: UUID, size: int) -> bool:
    """Whether the index version has at least `size` vectors."""
    found = await session.execute(_IS_LARGE, {"index_version_id": index_version_id, "size": size})
    return bool(found.scalar_one())


async def make_graph(session: AsyncSession, index_version_id: UUID) -> bool:
    """Whether the index version has a graph that it had not. Nobody publishes until it is there.

    Raises DatabaseUnavailable when publications hold it up for too long, DatabaseTooSlow when there are
    too many vectors already."""
    await session.execute(
        text("SELECT set_config('lock_timeout', :lock, true)"),
        {"lock": f"{_LOCK_TIMEOUT_SECONDS}s"},
    )
    made = await session.execute(text("SELECT make_vector_graph(:id)"), {"id": index_version_id})
    return bool(made.scalar_one())


def _literal(vector: Sequence[float]) -> str:
    return json.dumps([float(value) for value in vector])

"""Vectors of passages: the nearest ones to a question's, and the graph that finds them among very many.

Which plan PostgreSQL takes is settled here. `nearest_exactly` measures every passage that is wanted, and
`nearest_by_graph` walks the HNSW graph of the index version and looks at the file of each passage it
meets: neither depends on the planner's statistics. Both start from `SEARCHABLE_IN_PLACE`, like every search.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.giving_way import giving_way
from db.queries.search import SEARCHABLE_IN_PLACE, FileFilter, ScoredChunk, filter_parameters

FIRST_CANDIDATES = 400
"""`hnsw.ef_search`, at most 1000: how many the graph looks for at once. 200 would be enough of them, but 400
find more of the best (decision 0052)."""

GRAPH_FROM = 10_000
"""Vectors of an index version from which on a graph finds them. Fewer are measured each in some hundredths
of a second, and a graph over them is made in a few seconds, in which nobody publishes."""


@dataclass(frozen=True)
class ActiveIndex:
    """The index version that a tenant searches and publishes into. With `has_graph` it is a large one."""

    id: UUID
    model_id: str
    model_version: str
    dimensions: int
    has_graph: bool


_ACTIVE_INDEX = text(
    """
    SELECT id, model_id, model_version, dimensions, has_vector_graph(id) AS has_graph
    FROM index_version WHERE state = 'active'
    """
)

# Counted before anything is measured, and measured before it is ordered: exact under any filter.
_EXACTLY = text(
    f"""
    WITH {SEARCHABLE_IN_PLACE},
    chosen AS MATERIALIZED (
        SELECT chunk.id FROM searchable JOIN chunk ON chunk.version_id = searchable.version_id
        WHERE searchable.wanted
        LIMIT CAST(:most AS bigint) + 1
    ),
    counted AS MATERIALIZED (SELECT count(*) AS passages FROM chosen),
    measured AS MATERIALIZED (
        SELECT
            embedding.chunk_id,
            1 - (embedding.vector <=> CAST(:vector AS halfvec)) AS score
        FROM chosen
        JOIN embedding
            ON embedding.chunk_id = chosen.id AND embedding.index_version_id = :index_version_id
        WHERE (SELECT passages FROM counted) <= CAST(:most AS bigint) OR CAST(:most AS bigint) IS NULL
    ),
    best AS (
        SELECT chunk_id, score FROM measured
        WHERE score <> 'NaN'
        ORDER BY score DESC, chunk_id
        LIMIT :max_chunks
    )
    SELECT passages, chunk_id, score FROM counted LEFT JOIN best ON true
    ORDER BY score DESC, chunk_id
    """  # noqa: S608 - made of the constants above; every value is bound
)

_FILES_FIRST = text(
    """
    SELECT set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true),
           set_config('join_collapse_limit', '1', true)
    """
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
-- Looked up for each candidate, and never joined otherwise: a plan that begins with the passages, as
-- statistics from when there were few may make it, loses the order, and LIMIT takes any of them.
CROSS JOIN LATERAL (
    SELECT chunk.file_id, chunk.version_id FROM chunk WHERE chunk.id = near.chunk_id OFFSET 0
) AS passage
CROSS JOIN LATERAL (
    SELECT searchable.wanted FROM searchable
    WHERE searchable.file_id = passage.file_id AND searchable.version_id = passage.version_id
    OFFSET 0
) AS its_file
WHERE its_file.wanted AND near.distance <> 'NaN'
LIMIT :max_chunks
"""

_GRAPH_FIRST = text(
    """
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_sort', 'off', true),
           set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true),
           set_config('plan_cache_mode', 'force_generic_plan', true),
           set_config('hnsw.iterative_scan', 'relaxed_order', true),
           set_config('hnsw.ef_search', :candidates, true),
           set_config('hnsw.max_scan_tuples', :max_visited, true)
    """
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

_CLAIM_GRAPH = text(
    """
    UPDATE index_version SET graph_tried_at = now()
    WHERE id = :id AND (graph_tried_at IS NULL OR graph_tried_at < now() - CAST(:pause AS interval))
    RETURNING id
    """
)


async def active_index(session: AsyncSession) -> ActiveIndex | None:
    """The tenant's one active index version; none before anything was published."""
    row = (await session.execute(_ACTIVE_INDEX)).one_or_none()
    return None if row is None else ActiveIndex(*row)


async def nearest_exactly(
    session: AsyncSession,
    vector: Sequence[float],
    index: ActiveIndex,
    wanted: FileFilter,
    *,
    max_chunks: int,
    most: int | None,
) -> tuple[ScoredChunk, ...] | None:
    """The wanted passages of greatest cosine (−1 to 1) with `vector`, by measuring each of them; None
    when there are more than `most`, if that is given. The transaction's plans are fit for nothing else
    afterwards."""
    await session.execute(_FILES_FIRST)
    rows = await session.execute(
        _EXACTLY,
        {
            **filter_parameters(wanted),
            "vector": _literal(vector),
            "index_version_id": index.id,
            "max_chunks": max_chunks,
            "most": most,
        },
    )
    found = rows.all()
    if most is not None and found[0].passages > most:
        return None
    return tuple(ScoredChunk(row.chunk_id, row.score) for row in found if row.chunk_id)


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
        _GRAPH_FIRST, {"candidates": str(FIRST_CANDIDATES), "max_visited": str(max_visited)}
    )
    statement = _BY_GRAPH.format(
        searchable=SEARCHABLE_IN_PLACE,
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


async def has_graph(session: AsyncSession, index_version_id: UUID) -> bool:
    found = await session.execute(text("SELECT has_vector_graph(:id)"), {"id": index_version_id})
    return bool(found.scalar_one())


async def lacks_graph(session: AsyncSession, index_version_id: UUID) -> bool:
    """Whether it is large and every search of it measures all."""
    return not await has_graph(session, index_version_id) and await is_large(
        session, index_version_id, GRAPH_FROM
    )


async def count_missing_graphs(session: AsyncSession) -> int:
    """Large index versions of all tenants that have no graph although a publication tried to make it."""
    found = await session.execute(text("SELECT count_missing_graphs()"))
    return int(found.scalar_one())


async def is_large(session: AsyncSession, index_version_id: UUID, size: int) -> bool:
    """Whether the index version has at least `size` vectors."""
    found = await session.execute(_IS_LARGE, {"index_version_id": index_version_id, "size": size})
    return bool(found.scalar_one())


async def claim_graph(session: AsyncSession, index_version_id: UUID, pause: timedelta) -> bool:
    """Whether nobody has tried to make the graph for so long; then it is ours to try."""
    claimed = await session.execute(_CLAIM_GRAPH, {"id": index_version_id, "pause": pause})
    return claimed.first() is not None


async def make_graph(session: AsyncSession, index_version_id: UUID) -> bool:
    """Whether the index version has a graph that it had not; False also where the database has as many as
    it takes. Nobody publishes while it is made; while it waits for those who do, others are let through.

    Raises DatabaseUnavailable when publications hold it up all along; the session's transaction raises
    DatabaseTooSlow when there are too many vectors already."""

    async def make() -> bool:
        made = await session.execute(
            text("SELECT make_vector_graph(:id)"), {"id": index_version_id}
        )
        return bool(made.scalar_one())

    return await giving_way(session, make)


def _literal(vector: Sequence[float]) -> str:
    return json.dumps([float(value) for value in vector])
